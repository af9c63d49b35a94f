/**
 * The restore guard: compares the journal with what is remembered outside the database. Size and
 * root decide; cluster, timeline and position only explain. A copy put back, a recovery to an
 * earlier point and a lagging standby that was promoted all leave a journal that is sound and too
 * short, and to go on with it would fork it.
 */
import { sql, type Transaction } from 'kysely'
import { ConfigError, SinkError, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Db } from '../db/connect.ts'
import type { OwnTables } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import { parseCheckpoint, type Checkpoint } from '../journal/checkpoint.ts'
import { forked, otherCluster, otherJournal, rolledBack } from '../journal/memory.ts'
import { rootAt } from '../journal/nodes.ts'
import { parseNote } from '../journal/note.ts'
import { findEntryBySeq, hasRuns, requireEntry } from '../journal/read.ts'
import { lockHead, type LockedHead } from '../journal/store.ts'
import type { Sink } from './sink.ts'
import { readState, writeState, type Remembered } from './state-file.ts'

export type GuardTools = {
  readonly db: Db
  readonly log: Log
  /** Null: nothing outside the database is kept by this program. */
  readonly stateFile: string | null
  readonly sinks: readonly Sink[]
  /** What a person has said: it was moved to this cluster, or nobody remembers it. */
  readonly acknowledged?: 'cluster' | 'trusted'
}

/** Who remembers the journal, and how. */
type Witnessed = Remembered & { readonly who: string }

/**
 * Throws unless the journal continues what the state file and the sinks remember, in the cluster in
 * which its newest entry was written. Then the state file remembers it as it is now.
 */
export async function requireRemembered(tools: GuardTools): Promise<void> {
  // On a standby nothing can be written, which whoever tries is told.
  if (await isStandby(tools.db)) return
  const remembered = await readRemembered(tools)
  const now = await inTransaction(tools.db, async (trx) => {
    const head = await lockHead(trx)
    for (const each of remembered) await requireContinued(trx, head, each)
    if (tools.acknowledged !== 'cluster') await requireSameCluster(trx, head)
    if (remembered.length === 0 && tools.acknowledged !== 'trusted')
      await requireNewJournal(trx, tools)
    return { origin: head.origin, ...(await rootAt(trx, Number(head.size))) }
  })
  if (tools.stateFile !== null) await writeState(tools.stateFile, now)
}

async function isStandby(db: Db): Promise<boolean> {
  const { rows } = await sql<{ standby: boolean }>`
    select pg_is_in_recovery() as standby`.execute(db)
  return rows[0]?.standby === true
}

/** What the state file and every sink that can be read remember; one that does not answer is logged. */
export async function readRemembered({
  stateFile,
  sinks,
  log,
}: Omit<GuardTools, 'db'>): Promise<readonly Witnessed[]> {
  const state = stateFile === null ? null : await readState(stateFile)
  const kept = await Promise.all(
    sinks.map(async (sink) => {
      try {
        const checkpoint = read((await sink.newest?.()) ?? null)
        return checkpoint === null ? [] : [{ ...checkpoint, who: `sink ${sink.name}` }]
      } catch (error) {
        if (!(error instanceof SinkError)) throw error
        log.warn({ sink: sink.name, err: tell(error) }, 'sink could not be asked')
        return []
      }
    }),
  )
  return [...(state === null ? [] : [{ ...state, who: 'the state file' }]), ...kept.flat()]
}

function read(note: string | null): Checkpoint | null {
  return note === null ? null : parseCheckpoint(parseNote(note)?.text ?? '')
}

async function requireContinued(
  trx: Transaction<OwnTables>,
  head: LockedHead,
  { who, origin, size, root }: Witnessed,
): Promise<void> {
  if (origin !== head.origin) throw otherJournal(head.origin, origin, who)
  if (Number(head.size) < size) {
    throw rolledBack(Number(head.size), size, who, await explained(trx, head))
  }
  if (!(await rootAt(trx, size)).root.equals(root)) throw forked(size, who)
}

/** Copies and snapshots come back on the same timeline, a recovery and a promotion on a new one. */
async function explained(trx: Transaction<OwnTables>, head: LockedHead): Promise<string> {
  const newest = await findEntryBySeq(trx, Number(head.size) - 1)
  if (newest === null) return ''
  const { db } = requireEntry(newest)
  return db.tli === head.tli
    ? `, on the same timeline ${head.tli}: a copy or a snapshot`
    : `, on timeline ${head.tli} after ${db.tli}: a recovery to a point in time, or a failover`
}

async function requireSameCluster(trx: Transaction<OwnTables>, head: LockedHead): Promise<void> {
  const newest = await findEntryBySeq(trx, Number(head.size) - 1)
  if (newest === null) throw forked(Number(head.size), 'its own head')
  const { db } = requireEntry(newest)
  if (db.sysid !== head.sysid) throw otherCluster(head.sysid, db.sysid)
}

/** Without any memory only a journal that has no run yet can be what it was. */
async function requireNewJournal(
  trx: Transaction<OwnTables>,
  { stateFile }: GuardTools,
): Promise<void> {
  if (stateFile === null || !(await hasRuns(trx))) return
  throw new ConfigError(`${stateFile} is not there, and no sink says how long the journal was`, {
    remedy:
      'bring the file back or a sink into reach; to go on with the database as it is: retentiond journal recover --trust-database',
  })
}
