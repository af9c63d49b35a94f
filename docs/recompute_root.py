"""Recomputes the root of a journal from an export: python3 recompute_root.py FOLDER"""
import base64, hashlib, json, os, sys


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


path = os.path.join(sys.argv[1], "archived.txt")  # leaf hashes of entries whose bodies are elsewhere
leaves = dict(map(str.split, open(path))) if os.path.exists(path) else {}
entries = open(os.path.join(sys.argv[1], "entries.jsonl"), "rb")
prev = sha(b"\x00")  # the leaf hash of nothing
roots, size = [], 0  # of the perfect subtrees so far, largest first
while (leaf := leaves.get(str(size))) or (line := entries.readline()):
    if not leaf:
        body = line[:-1]
        entry = json.loads(body)
        spelled = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
        if not line.endswith(b"\n") or spelled.encode() != body:
            sys.exit(f"entry {size}: ENCODING")
        if entry["seq"] != size or base64.b64decode(entry["prev"]) != prev:
            sys.exit(f"entry {size}: CHAIN")
    prev = node = base64.b64decode(leaf) if leaf else sha(b"\x00", body)
    place = size
    while place % 2 == 1:
        node = sha(b"\x01", roots.pop(), node)
        place //= 2
    roots.append(node)
    size += 1
if size == 0:
    sys.exit("no entries")
root = roots.pop()
while roots:
    root = sha(b"\x01", roots.pop(), root)
head = f"{size}:{base64.b64encode(root).decode()}"
print(head)
if open(os.path.join(sys.argv[1], "head.txt")).read() != head + "\n":
    sys.exit("ROOT: head.txt says otherwise")
