/**
 * The Merkle tree of RFC 6962, section 2.1, over the bodies of the entries: arithmetic on bytes and
 * nothing else.
 */
import { hash } from 'node:crypto'
import { invariant } from '../base/errors.ts'

/** 32 bytes of SHA-256. */
export type Hash = Buffer

const LEAF_PREFIX = Buffer.of(0)
const NODE_PREFIX = Buffer.of(1)

/** A size and the root at that size: what an outside party keeps, to compare with later. */
export type TreeHead = { readonly size: number; readonly root: Hash }

/**
 * All that is needed to go on building a tree: the roots of its perfect subtrees, largest first,
 * one for each bit set in `size`. A journal of a million entries needs twenty hashes.
 */
export type CompactRange = { readonly size: number; readonly roots: readonly Hash[] }

export const EMPTY_RANGE: CompactRange = { size: 0, roots: [] }

/** Hashes a leaf. The prefixes keep an inner node from ever passing for an entry. */
export function leafHash(entry: Uint8Array): Hash {
  return sha256(LEAF_PREFIX, entry)
}

export function nodeHash(left: Hash, right: Hash): Hash {
  return sha256(NODE_PREFIX, left, right)
}

/** The `prev` of entry 0: the leaf hash of empty data, which no entry can have. */
export const NO_ENTRY: Hash = leafHash(Buffer.alloc(0))

/** Adds one leaf at the right, joining subtrees of one size as a binary counter carries. */
export function extend(range: CompactRange, leaf: Hash): CompactRange {
  const roots = [...range.roots]
  let root = leaf
  for (let size = range.size; size % 2 === 1; size = (size - 1) / 2) {
    const left = roots.pop()
    invariant(left !== undefined, 'a compact range lacks a subtree')
    root = nodeHash(left, root)
  }
  return { size: range.size + 1, roots: [...roots, root] }
}

/** The tree hash; of no entries it is the hash of nothing, as the RFC has it. */
export function rootOf(range: CompactRange): Hash {
  return range.roots.length === 0
    ? sha256()
    : range.roots.reduceRight((right, left) => nodeHash(left, right))
}

/** A perfect subtree of the tree: its leaves are those from `index * 2^level` on, `2^level` of them. */
export type Node = { readonly level: number; readonly index: number }

/** Gives the hashes of perfect subtrees in the order asked, or throws. Level 0 is the leaves. */
export type ReadNodes = (nodes: readonly Node[]) => Promise<readonly Hash[]>

/** The leaves from `from` up to but without `to`. */
type Span = { readonly from: number; readonly to: number }

/** Proves that the leaf `index` is in the tree of this size: the audit path, from the leaf upwards. */
export async function proveInclusion(
  read: ReadNodes,
  index: number,
  size: number,
): Promise<readonly Hash[]> {
  invariant(index < size, 'the leaf is outside the tree')
  return rootsOf(read, inclusionSpans(index, { from: 0, to: size }))
}

/** Proves that the tree of the older size is a prefix of the tree of this size. */
export async function proveConsistency(
  read: ReadNodes,
  older: number,
  size: number,
): Promise<readonly Hash[]> {
  invariant(older > 0 && older <= size, 'the older tree is empty or larger')
  return rootsOf(read, consistencySpans(older, { from: 0, to: size }, true))
}

/** The perfect subtrees of a tree of this size, largest first: what it needs to grow. */
export async function rangeAt(read: ReadNodes, size: number): Promise<CompactRange> {
  return { size, roots: await read(perfectIn({ from: 0, to: size })) }
}

/** Reads nodes of a tree whose leaves are at hand. */
export function nodesOf(leaves: readonly Hash[]): ReadNodes {
  const levels: (readonly Hash[])[] = [leaves]
  for (let below = leaves; below.length > 1;) {
    below = pairs(below)
    levels.push(below)
  }
  return async (nodes) =>
    nodes.map(({ level, index }) => {
      const hash = levels[level]?.[index]
      invariant(hash !== undefined, 'the tree has no such node')
      return hash
    })
}

function pairs(hashes: readonly Hash[]): readonly Hash[] {
  const joined: Hash[] = []
  for (let index = 0; index + 1 < hashes.length; index += 2) {
    joined.push(nodeHash(hashes[index] as Hash, hashes[index + 1] as Hash))
  }
  return joined
}

/** RFC 6962, section 2.1.1: the siblings on the way from the leaf to the root. */
function inclusionSpans(index: number, { from, to }: Span): readonly Span[] {
  if (to - from === 1) return []
  const middle = from + splitOf(to - from)
  return index < middle
    ? [...inclusionSpans(index, { from, to: middle }), { from: middle, to }]
    : [...inclusionSpans(index, { from: middle, to }), { from, to: middle }]
}

/** RFC 6962, section 2.1.2, SUBPROOF; `known` as long as the older tree is a whole left part. */
function consistencySpans(older: number, { from, to }: Span, known: boolean): readonly Span[] {
  if (older === to) return known ? [] : [{ from, to }]
  const middle = from + splitOf(to - from)
  return older <= middle
    ? [...consistencySpans(older, { from, to: middle }, known), { from: middle, to }]
    : [...consistencySpans(older, { from: middle, to }, false), { from, to: middle }]
}

/** The largest power of two below `count`. */
function splitOf(count: number): number {
  let split = 1
  while (split * 2 < count) split *= 2
  return split
}

/** Splits a span that a tree has as a part into perfect subtrees, from left to right. */
function perfectIn({ from, to }: Span): readonly Node[] {
  const nodes: Node[] = []
  for (let next = from; next < to;) {
    let level = 0
    while (next % 2 ** (level + 1) === 0 && next + 2 ** (level + 1) <= to) level += 1
    nodes.push({ level, index: next / 2 ** level })
    next += 2 ** level
  }
  return nodes
}

/** Roots of spans, with one reading for all. */
async function rootsOf(read: ReadNodes, spans: readonly Span[]): Promise<readonly Hash[]> {
  const parts = spans.map(perfectIn)
  const hashes = await read(parts.flat())
  let next = 0
  return parts.map((nodes) => {
    const roots = hashes.slice(next, next + nodes.length)
    next += nodes.length
    return rootOf({ size: 0, roots })
  })
}

export type Inclusion = TreeHead & {
  readonly leaf: Hash
  readonly index: number
  readonly path: readonly Hash[]
}

/** Checks an inclusion proof by the steps of RFC 9162, section 2.1.3.2, which make no proof. */
export function checkInclusion({ leaf, index, path, size, root }: Inclusion): boolean {
  if (index < 0 || index >= size) return false
  let [place, last] = [index, size - 1]
  let hash = leaf
  for (const sibling of path) {
    if (last === 0) return false
    if (place % 2 === 1 || place === last) {
      hash = nodeHash(sibling, hash)
      while (place % 2 === 0 && place !== 0) [place, last] = [half(place), half(last)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[place, last] = [half(place), half(last)]
  }
  return last === 0 && hash.equals(root)
}

/** Checks a consistency proof by the steps of RFC 9162, section 2.1.4.2. */
export function checkConsistency(older: TreeHead, newer: TreeHead, path: readonly Hash[]): boolean {
  if (older.size === newer.size) return path.length === 0 && older.root.equals(newer.root)
  if (older.size < 1 || older.size > newer.size || path.length === 0) return false
  let [place, last] = [older.size - 1, newer.size - 1]
  while (place % 2 === 1) [place, last] = [half(place), half(last)]
  // A whole power of two is a node of the newer tree itself, and not repeated in the proof.
  const [first, ...rest] = place === 0 ? [older.root, ...path] : path
  if (first === undefined) return false
  let [was, is] = [first, first]
  for (const hash of rest) {
    if (last === 0) return false
    if (place % 2 === 1 || place === last) {
      ;[was, is] = [nodeHash(hash, was), nodeHash(hash, is)]
      while (place % 2 === 0 && place !== 0) [place, last] = [half(place), half(last)]
    } else {
      is = nodeHash(is, hash)
    }
    ;[place, last] = [half(place), half(last)]
  }
  return last === 0 && was.equals(older.root) && is.equals(newer.root)
}

function half(number: number): number {
  return Math.floor(number / 2)
}

/** Prints `SIZE:ROOT`, the root in base64: what `journal verify --expect` takes. */
export function printTreeHead(head: TreeHead): string {
  return `${head.size}:${head.root.toString('base64')}`
}

/**
 * Reads `SIZE:ROOT` in its only spelling, or gives null. Size 0 is refused: every journal agrees
 * with it, so it would prove nothing.
 */
export function parseTreeHead(text: string): TreeHead | null {
  const [, size = '', base64 = ''] = /^([1-9][0-9]*):([A-Za-z0-9+/]{43}=)$/.exec(text) ?? []
  const head = { size: Number(size), root: Buffer.from(base64, 'base64') }
  return Number.isSafeInteger(head.size) && printTreeHead(head) === text ? head : null
}

/** By way of a string of bytes, which Node makes four times faster than a buffer. */
function sha256(...parts: readonly Uint8Array[]): Hash {
  return Buffer.from(hash('sha256', Buffer.concat(parts), 'binary'), 'latin1')
}
