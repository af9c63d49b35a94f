/**
 * The journal in PostgreSQL. An entry becomes durable with the transaction that appended it and not
 * before; whatever a crash leaves, the sequence has no gap, since a rolled-back number is given out
 * again.
 */
import { randomBytes } from 'node:crypto'
import { sql, type Kysely, type Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import {
  ConfigError,
  invariant,
  JournalConflictError,
  JournalCorruptError,
  RefusedError,
} from '../base/errors.ts'
import type { OwnTables } from '../db/schema.ts'
import { atEnd } from '../db/transaction.ts'
import { SQLSTATE, sqlstateOf } from '../db/sqlstate.ts'
import {
  encodeEntry,
  type DatabasePosition,
  type EntryDraft,
  type Position,
  type Previous,
} from './entry.ts'
import { NO_ENTRY, type Hash } from './merkle.ts'
import type { Signer } from './signature.ts'

/** What was appended: enough to find it again after a commit whose answer was lost. */
export type Appended = {
  readonly seq: number
  readonly leafHash: Hash
  readonly time: string
  /** The bytes that were signed and stored. */
  readonly body: Buffer
}

export type OpenLogOptions = {
  /** `domain/name`, chosen by the operator; the log id is added. */
  readonly origin: string
  /** Name and version of the program. */
  readonly product: string
  /** The role that owns the schema: nobody else may open a journal. */
  readonly owner: string
  /** The journal that this one takes the place of. */
  readonly previous?: Previous
}

export type LockedHead = DatabasePosition & {
  readonly origin: string
  readonly size: bigint
  readonly last_hash: Buffer
  readonly time: string
}

/** A batch, and the tokens of its rows if it keeps any. */
export type WithTokens = { readonly draft: EntryDraft; readonly tokens: Buffer | null }

type Sealed = { readonly body: Buffer; readonly sig: Buffer; readonly tokens: Buffer | null }

/** No duplicate is possible: whoever opens takes the number 0. */
const DUPLICATE_OBJECT = '42710'
const UNIQUE_VIOLATION = '23505'

/**
 * Appends one entry and returns what it became. Takes the head lock, so it is the last thing a
 * transaction does before it commits: every other writer waits from here to the commit. A crash
 * before the commit leaves neither the entry nor the rows it speaks of.
 */
export async function appendEntry(
  trx: Transaction<OwnTables>,
  signer: Signer,
  what: EntryDraft | WithTokens,
  clock: Clock,
): Promise<Appended> {
  const { draft, tokens } = 'draft' in what ? what : { draft: what, tokens: null }
  const { origin, size, last_hash: prev, time, ...db } = await lockHead(trx)
  await signer.memory?.check(
    { origin, size: Number(size), lastHash: prev, sysid: db.sysid },
    async (from) => readLeaves(trx, from),
  )
  const position = { seq: Number(size), prev, time, clock: clock.now().toISOString(), db }
  const body = encodeEntry(draft, position)
  const leaf = await append(trx, position, { body, sig: signer.sign(origin, body), tokens })
  atEnd(trx, (fate) => {
    if (fate === 'committed') signer.memory?.committed(position.seq, leaf)
    if (fate === 'rolled back') signer.memory?.rolledBack(leaf)
  })
  return { seq: position.seq, leafHash: leaf, time, body }
}

/**
 * Begins a journal and returns its origin: the operator's name for it and a random id, so that a
 * journal that was dropped and begun again is never taken for the first. Once per database.
 */
export async function openLog(
  trx: Transaction<OwnTables>,
  signer: Signer,
  options: OpenLogOptions,
  clock: Clock,
): Promise<string> {
  if (!/^[^\s+]{1,200}$/.test(options.origin)) {
    throw new ConfigError('the origin of a journal has 1 to 200 characters, no space and no plus', {
      remedy: 'name it as example.com/purge, with a domain of yours',
    })
  }
  await sql`set local role ${sql.id(options.owner)}`.execute(trx)
  const log = randomBytes(4).toString('hex')
  const origin = `${options.origin}/${log}`
  const position = await firstPosition(trx, clock)
  const entryKey = signer.vkey(origin)
  const { product, previous } = options
  const before = previous === undefined ? {} : { previous }
  const body = encodeEntry({ type: 'genesis', origin, log, product, entryKey, ...before }, position)
  try {
    await sql`select retentiond.open_log(${origin}, ${body}, ${signer.sign(origin, body)})`.execute(
      trx,
    )
  } catch (error) {
    const state = sqlstateOf(error)
    if (state !== DUPLICATE_OBJECT && state !== UNIQUE_VIOLATION) throw error
    throw new RefusedError('this database has a journal already', { cause: error })
  }
  await sql`set local role none`.execute(trx)
  return origin
}

/** More than other writers append between two entries of ours. */
const MOST_LEAVES = 1000

async function readLeaves(trx: Transaction<OwnTables>, from: number): Promise<readonly Hash[]> {
  const rows = await trx
    .selectFrom('retentiond.leaf')
    .select('leaf_hash')
    .where('seq', '>=', BigInt(from))
    .orderBy('seq')
    .limit(MOST_LEAVES)
    .execute()
  return rows.map(({ leaf_hash: leaf }) => leaf)
}

/** Takes the lock that orders the journal, and says where the next entry goes. */
export async function lockHead(trx: Transaction<OwnTables>): Promise<LockedHead> {
  const { rows } = await sql<LockedHead>`
    select
      origin,
      size,
      last_hash,
      to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time,
      sysid,
      tli,
      lsn::text as lsn,
      xid::text as xid
    from retentiond.lock_head()`.execute(trx)
  const [head] = rows
  if (head === undefined) {
    throw new JournalCorruptError('this database has no journal', {
      remedy: 'run: retentiond migrate; if there was a journal before, ask who removed it',
    })
  }
  return head
}

/** Position of entry 0, before there is a head to lock. */
async function firstPosition(trx: Kysely<OwnTables>, clock: Clock): Promise<Position> {
  const { rows } = await sql<DatabasePosition & { readonly time: string }>`
    select
      to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time,
      sysid,
      tli,
      lsn::text as lsn,
      xid::text as xid
    from retentiond.database_position()`.execute(trx)
  const [place] = rows
  invariant(place !== undefined, 'the database does not know where it stands')
  const { time, ...db } = place
  return { seq: 0, prev: NO_ENTRY, time, clock: clock.now().toISOString(), db }
}

async function append(
  trx: Transaction<OwnTables>,
  { seq, prev, time }: Position,
  { body, sig, tokens }: Sealed,
): Promise<Hash> {
  const beside = tokens === null ? sql`` : sql`, ${tokens}::bytea`
  try {
    const { rows } = await sql<{ readonly leaf: Buffer }>`
      select retentiond.append(
        ${seq}::bigint, ${prev}::bytea, ${time}::timestamptz, ${body}::bytea, ${sig}::bytea${beside}
      ) as leaf`.execute(trx)
    const [row] = rows
    invariant(row !== undefined, 'append() gave no leaf hash')
    return row.leaf
  } catch (error) {
    const state = sqlstateOf(error)
    if (state !== SQLSTATE.serializationFailure && state !== UNIQUE_VIOLATION) throw error
    // We hold the lock since we read the head, so it is not another writer in the usual way.
    throw new JournalConflictError(`the head of the journal moved while entry ${seq} was made`, {
      cause: error,
      remedy: 'run retentiond journal verify before anything else is destroyed',
    })
  }
}
