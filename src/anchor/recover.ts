/**
 * After a restore: appends the entries that the database lost, byte for byte as an archive has them.
 * The head lets exactly these fit, so that the journal does not fork and every old proof holds; then
 * an entry says that it happened. Everything in one transaction: an archive that does not hold leaves
 * nothing behind.
 */
import { sql, type Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { EXIT, RefusedError, RetentionError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import type { OwnTables } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import { openCheckpoint, type Checkpoint } from '../journal/checkpoint.ts'
import type { DatabasePosition, RecoveredDraft } from '../journal/entry.ts'
import { follow, type Followed } from '../journal/follow.ts'
import { readNamedKeys } from '../journal/keys.ts'
import { rangeAt, rootOf } from '../journal/merkle.ts'
import { readNodes } from '../journal/nodes.ts'
import { parseVerifierKey, type VerifierKey } from '../journal/note.ts'
import { findEntryBySeq, requireEntry } from '../journal/read.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry, lockHead } from '../journal/store.ts'
import type { StoredEntry } from '../journal/reader.ts'
import { checkTokens } from '../journal/verify-evidence.ts'
import type { Archive } from './archive.ts'
import type { Remembered } from './state-file.ts'

export type RecoverTools = { readonly db: Db; readonly signer: Signer; readonly clock: Clock }

export type Recovered = {
  readonly origin: string
  /** Entries that the database came back with. */
  readonly size: number
  readonly entries: number
  /** Batches whose tokens the archive does not have. */
  readonly withoutTokens: number
}

/** An archive is altered, has a gap, or ends before what somebody remembers. */
export class ArchiveError extends RetentionError {
  readonly code = 'ARCHIVE_UNSOUND'
  readonly exit = EXIT.failed
  override readonly name = 'ArchiveError'
}

/** Appends what is missing, up to the newest checkpoint of the archive. */
export async function recoverFrom(
  tools: RecoverTools,
  archive: Archive,
  remembered: readonly Remembered[],
): Promise<Recovered> {
  const notes = await archive.notes()
  return inTransaction(tools.db, async (trx) => {
    const head = await lockHead(trx)
    const size = Number(head.size)
    const before = await reachedIn(trx, size)
    const appended = await appendAll(trx, archive, before)
    const goal = requireHead(appended, notes)
    for (const each of remembered) requireReached(goal, each)
    await keepNotes(trx, appended.keys, notes)
    if (appended.lost.length > 0) await sayPruned(trx, tools, appended.lost)
    const was = appended.was ?? (await positionAt(trx, size - 1))
    const entries = goal.size - size
    await appendEntry(trx, tools.signer, draftOf('archive', { size, entries, was }), tools.clock)
    return { origin: head.origin, size, entries, withoutTokens: appended.lost.length }
  })
}

/** Says that the journal goes on as it is: in another cluster, or without anybody who remembers it. */
export async function acknowledge(
  { db, signer, clock }: RecoverTools,
  why: 'cluster' | 'trusted',
): Promise<Recovered> {
  return inTransaction(db, async (trx) => {
    const head = await lockHead(trx)
    const size = Number(head.size)
    const was = await positionAt(trx, size - 1)
    if (why === 'cluster' && was.sysid === head.sysid) {
      throw new RefusedError('the newest entry was written in this cluster: nothing was moved')
    }
    await appendEntry(trx, signer, draftOf(why, { size, entries: 0, was }), clock)
    return { origin: head.origin, size, entries: 0, withoutTokens: 0 }
  })
}

type Where = Pick<RecoveredDraft, 'size' | 'entries'> & { readonly was: DatabasePosition }

function draftOf(why: RecoveredDraft['why'], { size, entries, was }: Where): RecoveredDraft {
  const { sysid, tli, lsn } = was
  return { type: 'recovered', why, size, entries, was: { sysid, tli, lsn } }
}

async function positionAt(trx: Transaction<OwnTables>, seq: number): Promise<DatabasePosition> {
  const stored = await findEntryBySeq(trx, seq)
  if (stored === null) throw unsound(seq, 'it is missing in the database')
  return requireEntry(stored).db
}

async function reachedIn(trx: Transaction<OwnTables>, size: number): Promise<Followed> {
  const { origin, entry: key } = await readNamedKeys(trx)
  const newest = await findEntryBySeq(trx, size - 1)
  if (newest === null) throw unsound(size - 1, 'it is missing in the database')
  const range = await rangeAt(async (nodes) => readNodes(trx, nodes), size)
  return { range, prev: newest.leafHash, time: requireEntry(newest).time, origin, key }
}

type Appended = {
  readonly reached: Followed
  /** Where the newest of the archive was written; null if it had none that are missing here. */
  readonly was: DatabasePosition | null
  /** Batches without tokens. */
  readonly lost: readonly number[]
  /** Every key that signs checkpoints. */
  readonly keys: readonly VerifierKey[]
}

async function appendAll(
  trx: Transaction<OwnTables>,
  archive: Archive,
  before: Followed,
): Promise<Appended> {
  let reached = before
  let was: DatabasePosition | null = null
  const lost: number[] = []
  const keys = [...(await readNamedKeys(trx)).checkpoint]
  for await (const stored of archive.entries(before.range.size)) {
    const step = follow(reached, stored)
    if (step.fault !== undefined) throw unsound(stored.seq, step.fault)
    const { entry } = step
    if (entry.type === 'batch' && entry.evidence.alg !== 'count') {
      const fault = Buffer.isBuffer(stored.tokens) ? checkTokens(entry, stored.tokens) : null
      if (fault !== null) throw unsound(stored.seq, fault)
      if (!Buffer.isBuffer(stored.tokens)) lost.push(stored.seq)
    }
    const key = entry.type === 'keys' && entry.use === 'checkpoint' ? entry.key : null
    const named = key === null ? null : parseVerifierKey(key)
    if (named !== null) keys.push(named)
    await appendVerbatim(trx, stored, { prev: reached.prev, time: entry.time })
    reached = step.followed
    was = entry.db
  }
  return { reached, was, lost, keys }
}

type Place = { readonly prev: Buffer; readonly time: string }

async function appendVerbatim(
  trx: Transaction<OwnTables>,
  { seq, body, sig, tokens }: StoredEntry,
  { prev, time }: Place,
): Promise<void> {
  const beside = Buffer.isBuffer(tokens) ? sql`, ${tokens}::bytea` : sql``
  await sql`
    select retentiond.append(
      ${seq}::bigint, ${prev}::bytea, ${time}::timestamptz, ${body}::bytea, ${sig}::bytea${beside}
    )`.execute(trx)
}

/** The journal must be exactly what the newest checkpoint of the archive says: neither less nor more. */
function requireHead({ reached, keys }: Appended, notes: readonly string[]): Checkpoint {
  const opened = notes.map((note) => openCheckpoint(note, keys))
  const newest = opened.findLast((each) => each.fault === undefined)?.checkpoint
  if (newest === undefined) {
    throw new ArchiveError('the archive has no checkpoint that a key of this journal signed')
  }
  const { size } = reached.range
  const sound =
    newest.origin === reached.origin &&
    newest.size === size &&
    newest.root.equals(rootOf(reached.range))
  if (sound) return newest
  throw new ArchiveError(
    `with the archive the journal would have ${size} entries, and not be what its checkpoint of ${newest.size} says`,
    { remedy: `${NOTHING}; look for another archive, or begin a new journal: journal succeed` },
  )
}

function requireReached({ size, root }: Checkpoint, remembered: Remembered): void {
  if (remembered.size > size) {
    throw new ArchiveError(
      `the archive ends with ${size} entries, and ${remembered.size} are remembered elsewhere`,
      { remedy: `${NOTHING}; look for a newer archive, or begin a new journal: journal succeed` },
    )
  }
  if (remembered.size === size && !remembered.root.equals(root)) {
    throw new ArchiveError('the archive is not of the journal that is remembered elsewhere', {
      remedy: NOTHING,
    })
  }
}

/** The checkpoints were lost with the entries. */
async function keepNotes(
  trx: Transaction<OwnTables>,
  keys: readonly VerifierKey[],
  notes: readonly string[],
): Promise<void> {
  for (const note of notes) {
    const { checkpoint } = openCheckpoint(note, keys) as { readonly checkpoint?: Checkpoint }
    if (checkpoint === undefined) continue
    await trx
      .insertInto('retentiond.checkpoint')
      .values({ size: BigInt(checkpoint.size), note })
      .onConflict((conflict) => conflict.column('size').doNothing())
      .execute()
  }
}

async function sayPruned(
  trx: Transaction<OwnTables>,
  { signer, clock }: RecoverTools,
  lost: readonly number[],
): Promise<void> {
  const [from = 0] = lost
  const to = lost.at(-1) ?? from
  const draft = { type: 'evidence-pruned', from, to, batches: lost.length } as const
  await appendEntry(trx, signer, draft, clock)
}

const NOTHING = 'nothing was appended'

function unsound(seq: number, what: string): ArchiveError {
  return new ArchiveError(`entry ${seq} of the archive does not hold: ${what}`, {
    remedy: `${NOTHING}; look for another archive`,
  })
}
