/** Entries of which the leaf hash alone is left, against what the journal says was archived. */
import { rootOf, type CompactRange, type Hash } from './merkle.ts'
import type { StatedArchive } from './reader.ts'

export type ArchivedSeen = {
  readonly stated: readonly StatedArchive[]
  /** The root at each size behind which entries were archived; null as long as it is not reached. */
  readonly heads: Map<number, Hash | null>
  /** Leaf hashes without a body, and the last of them. */
  count: number
  last: number
  /** What entries account for: how many bodies, and up to where. */
  saidCount: number
  saidTo: number
}

export function noArchivedSeen(stated: readonly StatedArchive[]): ArchivedSeen {
  return {
    stated,
    heads: new Map(stated.map(({ size }) => [size, null])),
    count: 0,
    last: -1,
    saidCount: 0,
    saidTo: -1,
  }
}

export function passArchived(seen: ArchivedSeen, seq: number): void {
  seen.count += 1
  seen.last = seq
}

/** Keeps the root if an entry of type `archived` names this size. */
export function noteHead({ heads }: ArchivedSeen, range: CompactRange): void {
  if (heads.has(range.size)) heads.set(range.size, rootOf(range))
}

/**
 * Checks that an entry speaks of what comes after the part that was archived before it, behind a head that
 * the journal has. The leaf hashes make that root, so that none of them can be another's.
 */
export function checkArchived(
  seen: ArchivedSeen,
  { seq, from, to, entries, size, root }: StatedArchive,
): string | null {
  if (from !== seen.saidTo + 1 || to < from || to > size - 2 || size > seq) {
    return 'it does not go on where what was archived before it ended, or not to before its checkpoint'
  }
  seen.saidTo = to
  seen.saidCount += entries
  return seen.heads.get(size)?.equals(root) === true
    ? null
    : `the root of the first ${size} entries is not the one that it names`
}

/**
 * The same of what was said beyond the end: a part that was exported up to an earlier entry has leaf hashes
 * of what a later one archived.
 */
export function checkStated(seen: ArchivedSeen, end: number): readonly Said[] {
  return seen.stated.flatMap((stated) => {
    if (stated.seq < end || stated.size > end) return []
    const message = checkArchived(seen, stated)
    return message === null ? [] : [{ seq: stated.to, message }]
  })
}

type Said = { readonly seq: number; readonly message: string }

/** What is to be said at the end: that bodies were not read, and whether no entry accounts for one. */
export function judgeArchived({ count, last, saidCount, saidTo }: ArchivedSeen): {
  readonly seen: Said | null
  readonly unsaid: Said | null
} {
  if (count === 0) return { seen: null, unsaid: null }
  const message = `the bodies of ${count} entries up to this one are archived and were not read: --archive compares them`
  const more = count > saidCount || last > saidTo
  const unsaid = {
    seq: last,
    message: 'bodies are gone of which no entry says that they were archived',
  }
  return { seen: { seq: last, message }, unsaid: more ? unsaid : null }
}
