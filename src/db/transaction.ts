import { sql, type Kysely, type Transaction, type TransactionBuilder } from 'kysely'
import { saysConnectionLost, sqlstateOf } from './sqlstate.ts'
import { allowing } from './watched-client.ts'

/** What became of a transaction; nobody knows if the answer to its commit was lost. */
export type Fate = 'committed' | 'rolled back' | 'unknown'

const WATCHED = new WeakMap<object, ((fate: Fate) => void)[]>()

/** Has `tell` called once with what became of the transaction. */
export function atEnd<DB>(trx: Transaction<DB>, tell: (fate: Fate) => void): void {
  const watchers = WATCHED.get(trx)
  if (watchers === undefined) WATCHED.set(trx, [tell])
  else watchers.push(tell)
}

type Timeouts = {
  readonly statementMs: number
  /** How long we wait for the application's locks; below deadlock_timeout, so it is never the victim. */
  readonly lockMs: number
  readonly idleMs: number
  /** Least memory of a sort or a hash, in kB; the server's own if that is more. */
  readonly workKb?: number
}

const TIMEOUTS: Timeouts = { statementMs: 300_000, lockMs: 800, idleMs: 60_000 }

/**
 * For a census, which reads much and locks nothing. With the 4 MB of a fresh server PostgreSQL would
 * rather visit a large source row by row in the order of an index than sum it up in one pass.
 */
const READING: Timeouts = {
  statementMs: 3_600_000,
  lockMs: 5_000,
  idleMs: 60_000,
  workKb: 128 * 1024,
}

/** For a trial, which locks rows of the application for nothing: it rather is not made than waited for. */
const TRYING: Timeouts = { statementMs: 30_000, lockMs: 200, idleMs: 10_000 }

/** For the upkeep of tables: it takes its time, and waits for nobody's lock. */
const TENDING: Timeouts = { statementMs: 3_600_000, lockMs: 200, idleMs: 60_000 }

/**
 * Runs `work` in one transaction and rejects with the error that `work` met. Kysely alone would
 * reject with the rollback's error if that fails too, as it does on a lost connection.
 */
export async function inTransaction<DB, T>(
  db: Kysely<DB>,
  work: (trx: Transaction<DB>) => Promise<T>,
): Promise<T> {
  return within(writing(db), TIMEOUTS, work)
}

/** As `inTransaction`, on one snapshot and without the right to write: for a census and a report. */
export async function inSnapshot<DB, T>(
  db: Kysely<DB>,
  work: (trx: Transaction<DB>) => Promise<T>,
): Promise<T> {
  const reading = db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only')
  return within(reading, READING, work)
}

/** As `inTransaction`, for statements that read whole tables and change no row. */
export async function inUpkeep<DB, T>(
  db: Kysely<DB>,
  work: (trx: Transaction<DB>) => Promise<T>,
): Promise<T> {
  return within(writing(db), TENDING, work)
}

/** Runs `work` in a transaction that is never committed, and returns what it found. */
export async function inTrial<DB, T>(
  db: Kysely<DB>,
  work: (trx: Transaction<DB>) => Promise<T>,
): Promise<T> {
  const found: T[] = []
  const over = new Error('the trial is over')
  try {
    await within(writing(db), TRYING, async (trx) => {
      found.push(await work(trx))
      throw over
    })
  } catch (error) {
    if (error !== over) throw error
  }
  return found[0] as T
}

/**
 * Whatever the default of the server, the database or the role: what is decided after a lock has to be
 * decided on a snapshot that is newer than the lock.
 */
function writing<DB>(db: Kysely<DB>): TransactionBuilder<DB> {
  return db.transaction().setIsolationLevel('read committed')
}

async function within<DB, T>(
  builder: TransactionBuilder<DB>,
  timeouts: Timeouts,
  work: (trx: Transaction<DB>) => Promise<T>,
): Promise<T> {
  let failure: { readonly error: unknown } | undefined
  let begun: object | undefined
  const remember = (error: unknown): never => {
    failure = { error }
    throw error
  }
  const tellAll = (fate: Fate): void => {
    for (const tell of (begun && WATCHED.get(begun)) ?? []) tell(fate)
  }
  try {
    const result = await allowing(timeouts.statementMs, async () =>
      builder.execute((trx) => {
        begun = trx
        return pinSession(trx, timeouts)
          .then(async () => work(trx))
          .catch(remember)
      }),
    )
    tellAll('committed')
    return result
  } catch (error) {
    // Without a failure before it, it is the commit that failed: only PostgreSQL's own word is certain.
    const refused = sqlstateOf(error) !== undefined && !saysConnectionLost(error)
    tellAll(failure !== undefined || refused ? 'rolled back' : 'unknown')
    throw failure === undefined ? error : failure.error
  }
}

/**
 * Pins what a statement's meaning depends on, for this transaction only, so that nothing leaks
 * through a pooler: the text form of keys and types, the search path, and row security, which would
 * otherwise hide rows in silence. A commit must survive a crash once it was answered, so a weaker
 * level becomes `on`; a stronger one of the server stays.
 */
async function pinSession<DB>(trx: Transaction<DB>, timeouts: Timeouts): Promise<void> {
  const settings: Readonly<Record<string, string>> = {
    statement_timeout: String(timeouts.statementMs),
    lock_timeout: String(timeouts.lockMs),
    idle_in_transaction_session_timeout: String(timeouts.idleMs),
    search_path: 'pg_catalog',
    TimeZone: 'UTC',
    DateStyle: 'ISO, YMD',
    IntervalStyle: 'iso_8601',
    bytea_output: 'hex',
    extra_float_digits: '1',
    quote_all_identifiers: 'off',
    row_security: 'off',
    // Our statements are long, and their costs guessed: compiling one takes longer than running it.
    jit: 'off',
  }
  const names = Object.keys(settings)
  await sql`
    select
      (
        select count(set_config(name, value, true))
        from unnest(${names}::text[], ${Object.values(settings)}::text[]) as setting (name, value)
      ),
      case
        when current_setting('synchronous_commit') in ('off', 'local', 'remote_write')
        then set_config('synchronous_commit', 'on', true)
      end,
      case
        when pg_size_bytes(current_setting('work_mem')) < ${timeouts.workKb ?? 0}::bigint * 1024
        then set_config('work_mem', ${`${timeouts.workKb ?? 0}kB`}, true)
      end`.execute(trx)
}
