/**
 * The Merkle tree of RFC 6962, section 2.1, over the bodies of the entries: arithmetic on bytes and
 * nothing else.
 */
import { createHash } from 'node:crypto'
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

function sha256(...parts: readonly Uint8Array[]): Hash {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
