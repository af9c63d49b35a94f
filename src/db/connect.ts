import { Kysely, PostgresDialect } from 'kysely'
import { Pool, types, type CustomTypesConfig } from 'pg'
import { ConfigError } from '../base/errors.ts'
import type { OwnTables } from './schema.ts'
import { SQLSTATE, sqlstateOf } from './sqlstate.ts'

export type Db = Kysely<OwnTables>

export interface Connection extends AsyncDisposable {
  readonly db: Db
}

export type ConnectOptions = {
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string
  /** Most connections at once. */
  readonly max?: number
}

/**
 * Dates and times stay text: a `date` read as a JavaScript Date is the day before in Tokyo, and
 * microseconds would be cut. Eight-byte integers become bigint.
 */
const TEXT_TYPES: ReadonlySet<number> = new Set<number>([
  types.builtins.DATE,
  types.builtins.TIMESTAMP,
  types.builtins.TIMESTAMPTZ,
])

const parsers: CustomTypesConfig = {
  getTypeParser: (oid, format) => {
    if (TEXT_TYPES.has(oid)) return (text: string) => text
    if (oid === types.builtins.INT8) return (text: string) => BigInt(text)
    return types.getTypeParser(oid, format)
  },
}

/** Opens a pool for the database at `url`. Nothing connects before the first statement. */
export function connect(url: string, options: ConnectOptions = {}): Connection {
  const pool = new Pool({
    connectionString: url,
    application_name: options.applicationName ?? 'retentiond',
    max: options.max ?? 2,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    types: parsers,
  })
  // Without both listeners a terminated backend ends the process, whether its client idles or works.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    client.on('error', () => {})
  })
  const db = new Kysely<OwnTables>({ dialect: new PostgresDialect({ pool }) })
  return { db, [Symbol.asyncDispose]: async () => db.destroy() }
}

/**
 * Explains why a first statement on `url` failed, if that is the operator's to mend: the server,
 * the password, the database. Names host and port, never the password.
 */
export function explainConnectFailure(url: string, error: unknown): unknown {
  const place = describeUrl(url)
  const state = sqlstateOf(error)
  if (state === SQLSTATE.invalidPassword || state === SQLSTATE.invalidAuthorization) {
    return new ConfigError(`the server at ${place.server} refuses role ${place.role}`, {
      cause: error,
      remedy: 'check the role and its password in RETENTIOND_DATABASE_URL, and pg_hba.conf',
    })
  }
  if (state === SQLSTATE.invalidCatalogName) {
    return new ConfigError(`the server at ${place.server} has no database ${place.database}`, {
      cause: error,
      remedy: 'check the database name in RETENTIOND_DATABASE_URL',
    })
  }
  const code = networkCode(error)
  if (code !== undefined) {
    return new ConfigError(`no database answers at ${place.server} (${code})`, {
      cause: error,
      remedy: 'check host and port in RETENTIOND_DATABASE_URL, and that the server runs',
    })
  }
  return error
}

function describeUrl(url: string): { server: string; role: string; database: string } {
  try {
    const parsed = new URL(url)
    return {
      server: `${parsed.hostname || 'localhost'}:${parsed.port || '5432'}`,
      role: decodeURIComponent(parsed.username) || '(default)',
      database: decodeURIComponent(parsed.pathname.slice(1)) || '(default)',
    }
  } catch {
    return { server: '(unreadable URL)', role: '(unknown)', database: '(unknown)' }
  }
}

function networkCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if (error instanceof AggregateError) return networkCode(error.errors[0])
  const code = 'code' in error ? error.code : undefined
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return code
  if (/timeout|terminated/i.test(error.message)) return 'timeout'
  return error.cause === undefined ? undefined : networkCode(error.cause)
}
