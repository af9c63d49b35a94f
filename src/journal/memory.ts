/**
 * What a process remembers of the journal that it writes to: the newest entry that it knows to be
 * committed, and those of its own that were rolled back. A database that was put back while the
 * process ran, or in which one of those came up after all, is found before the next entry.
 */
import { RestoredError } from '../base/errors.ts'
import type { Hash } from './merkle.ts'

/** The head as it stands under the lock. */
export type SeenHead = {
  readonly origin: string
  readonly size: number
  readonly lastHash: Hash
  /** System identifier of the cluster. */
  readonly sysid: string
}

/** Reads leaf hashes from this entry on, in order; not all of them if they are many. */
export type ReadLeaves = (from: number) => Promise<readonly Hash[]>

export interface Memory {
  /** Throws unless the head continues what is remembered; from then on it is remembered. */
  check(head: SeenHead, leaves: ReadLeaves): Promise<void>
  /** An entry of ours was committed as number `seq`. */
  committed(seq: number, leaf: Hash): void
  /** An entry of ours was rolled back: nobody may ever see it. */
  rolledBack(leaf: Hash): void
}

/** Rolled back entries that are remembered: the slots after them are long taken by others. */
const MOST_ROLLED_BACK = 1000

const REMEDY = 'nothing is destroyed; see docs/operating.md, Backups'

export function openMemory(): Memory {
  let known: SeenHead | null = null
  const dead = new Set<string>()
  return {
    check: async (head, leaves) => {
      if (known !== null) await requireContinued(known, head, { leaves, dead })
      else if (dead.has(head.lastHash.toString('base64'))) throw cameBack(head.size - 1)
      known = head
    },
    committed: (seq, leaf) => {
      if (known !== null && seq >= known.size) known = { ...known, size: seq + 1, lastHash: leaf }
    },
    rolledBack: (leaf) => {
      dead.add(leaf.toString('base64'))
      const [oldest] = dead
      if (dead.size > MOST_ROLLED_BACK && oldest !== undefined) dead.delete(oldest)
    },
  }
}

type Beside = { readonly leaves: ReadLeaves; readonly dead: ReadonlySet<string> }

async function requireContinued(known: SeenHead, head: SeenHead, beside: Beside): Promise<void> {
  if (head.origin !== known.origin) throw otherJournal(head.origin, known.origin, 'this process')
  if (head.sysid !== known.sysid) throw otherCluster(head.sysid, known.sysid)
  if (head.size < known.size) throw rolledBack(head.size, known.size, 'this process', '')
  if (head.size === known.size) {
    if (!head.lastHash.equals(known.lastHash)) throw forked(known.size, 'this process')
    return
  }
  const [last, ...since] = await beside.leaves(known.size - 1)
  if (last?.equals(known.lastHash) !== true) throw forked(known.size, 'this process')
  const back = since.findIndex((leaf) => beside.dead.has(leaf.toString('base64')))
  if (back >= 0) throw cameBack(known.size + back)
}

/** The journal is another one than somebody remembers. */
export function otherJournal(is: string, was: string, who: string): RestoredError {
  return new RestoredError('OTHER_JOURNAL', `the journal is ${is}, and ${who} remembers ${was}`, {
    remedy:
      'nothing is destroyed; if a new journal was begun on purpose, give it a new state file and new sinks',
  })
}

/** The newest entry was written in another cluster. */
export function otherCluster(is: string, was: string): RestoredError {
  return new RestoredError(
    'OTHER_CLUSTER',
    `the journal was written in cluster ${was}, and this is cluster ${is}: the database was moved or loaded from a dump`,
    {
      remedy:
        'nothing is destroyed; if this is the database to go on with, run: retentiond journal recover --ack',
    },
  )
}

/** The journal is shorter than somebody remembers. */
export function rolledBack(is: number, was: number, who: string, explained: string): RestoredError {
  return new RestoredError(
    'ROLLED_BACK',
    `the journal has ${is} entries, and ${who} remembers ${was}: the database was put back to an earlier state${explained}`,
    {
      remedy:
        'nothing is destroyed; append what is missing with: retentiond journal recover --from FOLDER',
    },
  )
}

/** The journal is not what somebody remembers, as far back as that goes. */
export function forked(size: number, who: string): RestoredError {
  return new RestoredError(
    'FORKED',
    `the first ${size} entries are not those that ${who} remembers: the journal was forked`,
    { remedy: REMEDY },
  )
}

function cameBack(seq: number): RestoredError {
  return new RestoredError(
    'FORKED',
    `entry ${seq} is one that this process rolled back: somebody put it into the journal`,
    { remedy: REMEDY },
  )
}
