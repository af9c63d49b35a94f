import type { Problem } from './problem.ts'

/** Exit statuses of every command, as documented in docs/errors.md. */
export const EXIT = {
  done: 0,
  failed: 1,
  due: 2,
  refused: 3,
  partial: 4,
  journalUnsound: 5,
  usage: 64,
  leaseHeld: 75,
  invalid: 78,
} as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

type Details = { readonly cause?: unknown; readonly remedy?: string }

/**
 * The root of every error this program throws on purpose. `code` is stable and listed in
 * docs/errors.md; `remedy` is one sentence that the operator can act on. Messages name places and
 * things, never a value of a governed row.
 */
export abstract class RetentionError extends Error {
  abstract readonly code: string
  abstract readonly exit: ExitStatus
  readonly remedy: string | undefined

  constructor(message: string, details: Details = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.remedy = details.remedy
  }
}

/** The command line says something we do not understand. */
export class UsageError extends RetentionError {
  readonly code = 'USAGE'
  readonly exit = EXIT.usage
  override readonly name = 'UsageError'
}

/** The environment or a file it names (a key, a plan, a schema version) is not usable. */
export class ConfigError extends RetentionError {
  readonly code = 'CONFIG_INVALID'
  readonly exit = EXIT.invalid
  override readonly name = 'ConfigError'
}

/** The policies have problems, all of them listed with their places. */
export class PolicyError extends RetentionError {
  readonly code = 'POLICY_INVALID'
  readonly exit = EXIT.invalid
  override readonly name = 'PolicyError'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(`the policies have ${countProblems(problems)}`)
    this.problems = problems
  }
}

/** `1 problem`, `2 problems`. */
export function countProblems(problems: readonly Problem[]): string {
  return `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`
}

/** Acting was refused before anything was destroyed: a stale plan, a clock, an approval, a limit. */
export class RefusedError extends RetentionError {
  readonly code = 'REFUSED'
  readonly exit = EXIT.refused
  override readonly name = 'RefusedError'
}

/** Another instance holds the lease, or took ours over. */
export class LeaseError extends RetentionError {
  readonly code: 'LEASE_HELD' | 'LEASE_LOST'
  readonly exit = EXIT.leaseHeld
  override readonly name = 'LeaseError'

  constructor(code: 'LEASE_HELD' | 'LEASE_LOST', message: string, details: Details = {}) {
    super(message, details)
    this.code = code
  }
}

/** No database answers, or the connection to it is gone: trying again later may help. */
export class UnreachableError extends RetentionError {
  readonly code = 'DATABASE_UNREACHABLE'
  readonly exit = EXIT.failed
  override readonly name = 'UnreachableError'
}

/** The database gave up on a transaction that may succeed if it is run again. */
export class TransientDatabaseError extends RetentionError {
  readonly code = 'DATABASE_TRANSIENT'
  readonly exit = EXIT.failed
  override readonly name = 'TransientDatabaseError'
}

/** PostgreSQL reported an error. Only its SQLSTATE goes on: its detail may carry whole rows. */
export class DatabaseError extends RetentionError {
  readonly code = 'DATABASE_FAILED'
  readonly exit = EXIT.failed
  override readonly name = 'DatabaseError'
  readonly sqlstate: string

  constructor(sqlstate: string, message: string, details: Details = {}) {
    super(message, details)
    this.sqlstate = sqlstate
  }
}

/** The head of the journal moved under us: another writer, or a restored database. */
export class JournalConflictError extends RetentionError {
  readonly code = 'JOURNAL_CONFLICT'
  readonly exit = EXIT.journalUnsound
  override readonly name = 'JournalConflictError'
}

/** The journal is missing, altered or not ours; nothing may be destroyed until a person looks. */
export class JournalCorruptError extends RetentionError {
  readonly code = 'JOURNAL_CORRUPT'
  readonly exit = EXIT.journalUnsound
  override readonly name = 'JournalCorruptError'
}

/**
 * The journal is not the one that somebody outside the database remembers: it was cut back by a
 * restore, it went another way, it is another journal, or it stands in another cluster.
 */
export class RestoredError extends RetentionError {
  readonly code: 'ROLLED_BACK' | 'FORKED' | 'OTHER_JOURNAL' | 'OTHER_CLUSTER'
  readonly exit = EXIT.journalUnsound
  override readonly name = 'RestoredError'

  constructor(code: RestoredError['code'], message: string, details: Details = {}) {
    super(message, details)
    this.code = code
  }
}

/** A place outside the database did not take a checkpoint; it is asked again later. */
export class SinkError extends RetentionError {
  readonly code = 'SINK_FAILED'
  readonly exit = EXIT.failed
  override readonly name = 'SinkError'
}

/** For too long nothing outside the database has known what was journalled. */
export class AnchorLagError extends RetentionError {
  readonly code = 'ANCHOR_LAG'
  readonly exit = EXIT.refused
  override readonly name = 'AnchorLagError'
}

/** One of our own promises is broken; foreign input never causes it. */
export class Bug extends RetentionError {
  readonly code = 'BUG'
  readonly exit = EXIT.failed
  override readonly name = 'Bug'
}

/** Throws a Bug unless `condition` holds. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Bug(message, { remedy: 'please report this with the command you ran' })
}

/** What of an error may be told: a foreign message or detail may carry a value of a row. */
export type ToldError = {
  readonly name: string
  readonly code?: string
  readonly message?: string
  readonly remedy?: string
  readonly at?: readonly string[]
}

/**
 * Allow-list view of an error, for logs and the terminal. Of errors that are not ours only the
 * name, the code (an SQLSTATE, an errno) and where in the program they came up.
 */
export function tell(error: unknown): ToldError {
  if (error instanceof RetentionError) {
    const { name, code, message, remedy } = error
    return { name, code, message, ...(remedy === undefined ? {} : { remedy }) }
  }
  if (!(error instanceof Error)) return { name: 'unknown' }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return { name: error.name, ...code, at: frames.slice(0, 8).map((line) => line.trim()) }
}
