/**
 * Goes on where a verified journal ended: what a signer of checkpoints checks of the entries that
 * came since, before it puts its name to them. Signing whatever stands in the table would let a
 * forged row into a signed head.
 */
import { parseEntry, type Entry } from './entry.ts'
import { extend, leafHash, NO_ENTRY, EMPTY_RANGE, type CompactRange, type Hash } from './merkle.ts'
import { parseVerifierKey, type VerifierKey } from './note.ts'
import { checkSignature } from './signature.ts'
import type { StoredEntry } from './reader.ts'

/** Where the verified part ends. */
export type Followed = {
  readonly range: CompactRange
  /** Leaf hash of its last entry. */
  readonly prev: Hash
  readonly time: string
  /** Null before entry 0, which names both. */
  readonly origin: string | null
  readonly key: VerifierKey | null
}

export const NOTHING_FOLLOWED: Followed = {
  range: EMPTY_RANGE,
  prev: NO_ENTRY,
  time: '',
  origin: null,
  key: null,
}

/** The verified part with one entry more, or what is wrong with that entry. */
export type Step =
  | { readonly followed: Followed; readonly entry: Entry; readonly fault?: undefined }
  | { readonly fault: string }

export function follow(before: Followed, stored: StoredEntry): Step {
  const { entry, fault } = parseEntry(stored.body)
  if (entry === undefined) return { fault: `its body ${fault}` }
  const { size } = before.range
  if (stored.seq !== size || entry.seq !== size) return { fault: `it stands in place of ${size}` }
  if (!entry.prev.equals(before.prev)) {
    return { fault: 'prev is not the leaf hash of the entry before' }
  }
  if (entry.time < before.time) return { fault: 'its time is before that of the entry before' }
  if ((entry.type === 'genesis') !== (size === 0)) return { fault: 'a genesis is entry 0' }
  const { origin, key } = namedBy(before, entry)
  if (origin === null || key === null) return { fault: 'it names no key' }
  if (!checkSignature(key, { origin, ...stored })) {
    return { fault: 'the signature is not that of the entry key' }
  }
  const leaf = leafHash(stored.body)
  const range = extend(before.range, leaf)
  const next = nextKey(key, entry)
  if (next === null) return { fault: 'it names a key that cannot be read' }
  return { followed: { range, prev: leaf, time: entry.time, origin, key: next }, entry }
}

function namedBy(before: Followed, entry: Entry): Pick<Followed, 'origin' | 'key'> {
  return entry.type === 'genesis'
    ? { origin: entry.origin, key: parseVerifierKey(entry.entryKey) }
    : before
}

/** The key of the entry after this one. */
export function nextKey(key: VerifierKey, entry: Entry): VerifierKey | null {
  return entry.type === 'keys' && entry.use === 'entry' ? parseVerifierKey(entry.key) : key
}
