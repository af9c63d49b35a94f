/** What stands in an export for somebody who has neither this program nor its documentation. */
export const README = `A purge journal: the record of what was destroyed in a database, and when.

  entries.jsonl    one entry per line: exactly the bytes that were hashed and signed
  signatures.txt   sequence number, and the signature of that entry in base64
  archived.txt     if a part was archived: sequence number, and leaf hash in base64 of each entry whose
                   body is in an archive; archives.txt: what the journal says of that
  checkpoints/     signed heads of the journal (C2SP tlog-checkpoint)
  evidence/        if it was asked for: 32 bytes for each row of a batch
  tiles/           if it was asked for: the tree in the layout of C2SP tlog-tiles
  summary.csv      rows acted on, by run, table and rule; for reading, it proves nothing.
                   A cell that a spreadsheet would take for a formula begins with '
  entry-key.txt    the key that the journal names itself. Trust one that you got elsewhere
  trust.txt        all keys that it names itself, as a trust file: to compare with yours
  policies/        if they were at hand: the text of each rule, named by its SHA-256
  head.txt         number of entries, and root of their Merkle tree (RFC 6962)
  part.txt         only if entries before the first one here were left out
  MANIFEST.sha256  digests of the other files

With the program, and no network:

  retentiond journal verify --dir . --trust TRUST.TXT --anchor CHECKPOINTS

TRUST.TXT and CHECKPOINTS come from somebody who kept them outside the database. Without them nothing
shows that no entry was cut off at the end.

Without the program, in a shell: are the files whole; are there as many entries as the head says;
does the last entry name the hash of the one before it (both lines are equal); which runs ended how?

  sha256sum --check --quiet MANIFEST.sha256
  test "$(cat entries.jsonl archived.txt 2>/dev/null | wc -l)" -eq "$(cut -d: -f1 head.txt)" && echo as many
  tail -n 1 entries.jsonl | sed 's/.*"prev":"\\([^"]*\\)".*/\\1/'
  { printf '\\0'; tail -n 2 entries.jsonl | head -n 1 | tr -d '\\n'; } | openssl dgst -sha256 -binary | base64
  grep -o '"phase":"end","run":"[^"]*","outcome":"[^"]*"' entries.jsonl

docs/recompute_root.py of retentiond computes the root again, with nothing but Python.
`
