import { Kysely, PostgresDialect } from 'kysely'
import { Pool, types, type CustomTypesConfig, type PoolClient } from 'pg'
import { ConfigError, UnreachableError } from '../base/errors.ts'
import type { OwnTables } from './schema.ts'
import { cancelStatement } from './cancel.ts'
import { Route, serversOf } from './route.ts'
import { SQLSTATE, sqlstateOf } from './sqlstate.ts'
import { watchedClient } from './watched-client.ts'

export type Db = Kysely<OwnTables>

export interface Connection extends AsyncDisposable {
  readonly db: Db
  /** Has the server end the statements that are at work, as Ctrl-C does in psql. */
  readonly cancel: () => void
}

export type ConnectOptions = {
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string
  /** Most connections at once. */
  readonly max?: number
  /** Milliseconds after which a client without an answer is destroyed, whatever it asked. */
  readonly answerMs?: number
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

/**
 * Opens the way to the database at `url`, which may be a function that says where it is now.
 * Nothing connects before the first statement.
 */
export function connect(url: string | (() => string), options: ConnectOptions = {}): Connection {
  const clients = new Set<PoolClient>()
  const route = new Route({
    url: typeof url === 'string' ? () => url : url,
    open: (server) => openPool(server, options, clients),
  })
  const db = new Kysely<OwnTables>({ dialect: new PostgresDialect({ pool: route }) })
  return {
    db,
    cancel: () => {
      for (const client of clients) cancelStatement(client)
    },
    [Symbol.asyncDispose]: async () => db.destroy(),
  }
}

function openPool(url: string, options: ConnectOptions, clients: Set<PoolClient>): Pool {
  const pool = new Pool({
    connectionString: url,
    application_name: options.applicationName ?? 'retentiond',
    max: options.max ?? 2,
    connectionTimeoutMillis: options.answerMs ?? 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    // Linux then finds a peer that is gone within twenty seconds.
    keepAliveInitialDelayMillis: 10_000,
    Client: watchedClient(options.answerMs),
    types: parsers,
  })
  // Without both listeners a terminated backend ends the process, whether its client idles or works.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    client.on('error', () => {})
    clients.add(client)
  })
  pool.on('remove', (client) => clients.delete(client))
  return pool
}

/**
 * Explains why a first statement on `url` failed, if that is the operator's to mend. What only a
 * change of the configuration mends is a ConfigError; what may pass by itself is not. Names host and
 * port, never the password.
 */
export function explainConnectFailure(url: string, error: unknown): unknown {
  const place = describeUrl(url)
  const state = sqlstateOf(error)
  if (state !== undefined) return refusedByServer(place, state, error)
  const { code, syscall, path } = systemError(error)
  if (syscall === 'open') {
    return new ConfigError(
      `RETENTIOND_DATABASE_URL names the file ${path}, which cannot be read (${code})`,
      { cause: error, remedy: 'check sslrootcert, sslcert and sslkey in it' },
    )
  }
  const tls = tlsFailure(error, code)
  if (tls !== undefined) {
    return new ConfigError(`no encrypted connection to ${place.server}: ${tls}`, {
      cause: error,
      remedy: 'check sslmode and sslrootcert in RETENTIOND_DATABASE_URL, and ssl on the server',
    })
  }
  const reason = networkReason(error, code)
  if (reason === undefined) return error
  return new UnreachableError(`no database answers at ${place.server} (${reason})`, {
    cause: error,
    remedy: 'check host and port in RETENTIOND_DATABASE_URL, and that the server runs',
  })
}

type Place = { readonly server: string; readonly role: string; readonly database: string }

function refusedByServer(place: Place, state: string, error: unknown): unknown {
  switch (state) {
    case SQLSTATE.invalidPassword:
    case SQLSTATE.invalidAuthorization:
      return new ConfigError(`the server at ${place.server} refuses role ${place.role}`, {
        cause: error,
        remedy: 'check the role and its password in RETENTIOND_DATABASE_URL, and pg_hba.conf',
      })
    case SQLSTATE.invalidCatalogName:
      return new ConfigError(`the server at ${place.server} has no database ${place.database}`, {
        cause: error,
        remedy: 'check the database name in RETENTIOND_DATABASE_URL',
      })
    case SQLSTATE.insufficientPrivilege:
      return new ConfigError(`role ${place.role} may not connect to ${place.database}`, {
        cause: error,
        remedy: 'have a superuser run what retentiond grants prints',
      })
    case SQLSTATE.cannotConnectNow:
    case SQLSTATE.adminShutdown:
    case SQLSTATE.crashShutdown:
    case SQLSTATE.tooManyConnections:
      return new UnreachableError(`the server at ${place.server} takes no connection (${state})`, {
        cause: error,
        remedy: 'it starts, stops or is full: try again',
      })
    default:
      return error
  }
}

function describeUrl(url: string): Place {
  try {
    const servers = serversOf(url).map((server) => new URL(server))
    const [{ username, pathname } = new URL(url)] = servers
    return {
      server: servers.map(describeServer).join(' and '),
      role: decodeURIComponent(username) || '(default)',
      database: decodeURIComponent(pathname.slice(1)) || '(default)',
    }
  } catch {
    return { server: '(unreadable URL)', role: '(unknown)', database: '(unknown)' }
  }
}

function describeServer({ hostname, port, searchParams }: URL): string {
  const host = searchParams.get('host') ?? decodeURIComponent(hostname)
  return `${host || 'localhost'}:${searchParams.get('port') ?? (port || '5432')}`
}

type SystemError = { readonly code?: string; readonly syscall?: string; readonly path?: string }

/** The error of the operating system inside; a name with two addresses fails once for each. */
function systemError(error: unknown): SystemError {
  if (error instanceof AggregateError) return systemError(error.errors[0])
  if (!(error instanceof Error)) return {}
  if ('code' in error && typeof error.code === 'string') return error as SystemError
  return systemError(error.cause)
}

/** node-postgres says in words, and in English only, that the server speaks no TLS. */
function tlsFailure(error: unknown, code: string | undefined): string | undefined {
  if (error instanceof Error && error.message.includes('does not support SSL')) {
    return 'the server does not offer TLS'
  }
  const isTls = /^(ERR_(TLS|SSL)|CERT|CRL|UNABLE_TO|EPROTO)|SELF_SIGNED/.test(code ?? '')
  return isTls ? code : undefined
}

function networkReason(error: unknown, code: string | undefined): string | undefined {
  if (code !== undefined && /^E[A-Z_]+$/.test(code)) return code
  if (!(error instanceof Error)) return undefined
  if (error.message.includes('timeout')) return 'timeout'
  return error.message.startsWith('Connection terminated')
    ? 'it hung up: is it PostgreSQL?'
    : undefined
}
