import { DatabaseError, TransientDatabaseError, UnreachableError } from '../base/errors.ts'

/** The SQLSTATEs we act on (PostgreSQL manual, appendix A). */
export const SQLSTATE = {
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  insufficientPrivilege: '42501',
  undefinedTable: '42P01',
  undefinedColumn: '42703',
  undefinedFunction: '42883',
  undefinedObject: '42704',
  dependentObjects: '2BP01',
  invalidSchemaName: '3F000',
  invalidPassword: '28P01',
  invalidAuthorization: '28000',
  invalidCatalogName: '3D000',
  readOnlyTransaction: '25006',
  adminShutdown: '57P01',
  crashShutdown: '57P02',
  cannotConnectNow: '57P03',
  tooManyConnections: '53300',
  idleInTransaction: '25P03',
  diskFull: '53100',
  outOfMemory: '53200',
  ioError: '58030',
} as const

const TRANSIENT: ReadonlySet<string> = new Set([
  SQLSTATE.serializationFailure,
  SQLSTATE.deadlockDetected,
  SQLSTATE.lockNotAvailable,
  SQLSTATE.queryCanceled,
])

/** The SQLSTATE of an error of PostgreSQL, also when it was wrapped; undefined for anything else. */
export function sqlstateOf(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return error.sqlstate
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)) {
    return error.code
  }
  return error.cause === undefined ? undefined : sqlstateOf(error.cause)
}

/** The constraint or column that an error of PostgreSQL names; its other fields may hold values. */
export function namedBy(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('constraint' in error && typeof error.constraint === 'string') {
    return `constraint ${error.constraint}`
  }
  if ('column' in error && typeof error.column === 'string') return `column ${error.column}`
  return error.cause === undefined ? undefined : namedBy(error.cause)
}

/** True of an error that says a table, column or type is no longer what the catalog said. */
export function saysCatalogMoved(error: unknown): boolean {
  const state = sqlstateOf(error)
  return (
    state === SQLSTATE.undefinedTable ||
    state === SQLSTATE.undefinedColumn ||
    state === SQLSTATE.undefinedObject ||
    state === SQLSTATE.undefinedFunction ||
    state === SQLSTATE.invalidSchemaName
  )
}

/** True of an error that one row of a statement caused: a constraint (class 23) or a value (class 22). */
export function saysRowRefused(error: unknown): boolean {
  return /^2[23]/.test(sqlstateOf(error) ?? '')
}

/** True of an error after which we do not know what the server did: the connection is gone. */
export function saysConnectionLost(error: unknown): boolean {
  const state = sqlstateOf(error)
  if (state !== undefined) return state.startsWith('08') || state.startsWith('57P')
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? error.code : undefined
  if (typeof code === 'string' && /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET)/.test(code)) return true
  if (/Connection terminated|Client has encountered a connection error/.test(error.message)) {
    return true
  }
  return error.cause !== undefined && saysConnectionLost(error.cause)
}

/**
 * True of an error that goes by without us: the server is gone, starts, stops, is full of sessions, or
 * became a standby, and nothing was wrong with what we asked.
 */
export function saysAway(error: unknown): boolean {
  if (error instanceof UnreachableError || saysConnectionLost(error)) return true
  const state = sqlstateOf(error)
  if (state !== undefined) return AWAY.has(state)
  // The pool's own words for a server that lets nobody in.
  return error instanceof Error && error.message.startsWith('timeout exceeded when trying to conn')
}

const AWAY: ReadonlySet<string> = new Set([
  SQLSTATE.tooManyConnections,
  SQLSTATE.readOnlyTransaction,
  SQLSTATE.idleInTransaction,
])

/** What a server has run out of, by its SQLSTATE; null for any other error. More load makes it worse. */
export function ranOutOf(error: unknown): string | null {
  return EXHAUSTED[sqlstateOf(error) ?? ''] ?? null
}

const EXHAUSTED: Readonly<Record<string, string>> = {
  [SQLSTATE.diskFull]: 'disk space',
  [SQLSTATE.outOfMemory]: 'memory',
  [SQLSTATE.ioError]: 'a disk that works',
}

/**
 * Names what PostgreSQL reported by its SQLSTATE, which unlike its text is not translated. The
 * original stays the cause; nobody prints it, since its detail may carry a row.
 */
export function classify(error: unknown): unknown {
  if (error instanceof DatabaseError || error instanceof TransientDatabaseError) return error
  const state = sqlstateOf(error)
  if (state === undefined) return error
  if (TRANSIENT.has(state)) {
    return new TransientDatabaseError(`PostgreSQL gave up the transaction (SQLSTATE ${state})`, {
      cause: error,
    })
  }
  const lacking = ranOutOf(error)
  if (lacking !== null) {
    return new DatabaseError(state, `the server has run out of ${lacking} (SQLSTATE ${state})`, {
      cause: error,
      remedy: 'nothing more is tried: see to the server, then run again',
    })
  }
  return new DatabaseError(state, `PostgreSQL refused a statement (SQLSTATE ${state})`, {
    cause: error,
    remedy:
      state === SQLSTATE.insufficientPrivilege
        ? 'the role lacks a right: look which role the command connects as (docs/operating.md), or run the SQL that retentiond grants prints; a trigger writes with the rights of that role too'
        : "its text is in the server's log; it may hold values of rows, so it is not shown here",
  })
}
