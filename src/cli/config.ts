import { ConfigError } from '../base/errors.ts'
import { didYouMean } from '../base/nearest.ts'
import { serversOf } from '../db/route.ts'
import { DEFAULT_ROLES, type Roles } from '../db/roles.ts'

/** Where the program runs, out of the environment; what is kept stands in the policies. */
export type Config = {
  readonly databaseUrl: Setting
  /** Reads the connection string again: a file that holds it may have been replaced. */
  readonly rereadDatabaseUrl: () => string
  /** Folder of the policies. */
  readonly policies: string
  /** File of the entry key (PKCS#8 PEM, Ed25519). */
  readonly entryKeyFile: Setting
  /** File of the key that signs checkpoints (PKCS#8 PEM, Ed25519); null: none are signed. */
  readonly checkpointKeyFile: string | null
  /** File that says where checkpoints go; null: nowhere but the log. */
  readonly anchorsFile: string | null
  /** File that remembers the journal outside the database; null: nothing does. */
  readonly stateFile: string | null
  /** File of the key under which rows are committed to; null: only their number is journalled. */
  readonly evidenceKeyFile: string | null
  /** File of the key of pseudonyms (64 hexadecimal digits); null if no rule makes any. */
  readonly pseudonymKeyFile: string | null
  /** `host:port` of the daemon's health endpoints. */
  readonly listen: { readonly host: string; readonly port: number }
  /** Most connections on which a run acts at once. */
  readonly connections: number
  readonly logLevel: LogLevel
  /** What the daemon does about a role that may do more than the rules need. */
  readonly powerfulRole: 'refuse' | 'accept'
  readonly roles: Roles
}

/** A setting that only some commands need; asking for it when it is not set is the error. */
export type Setting = { readonly value: string | null; readonly name: string }

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const KNOWN = new Set([
  'RETENTIOND_DATABASE_URL',
  'RETENTIOND_DATABASE_URL_FILE',
  'RETENTIOND_POLICIES',
  'RETENTIOND_ENTRY_KEY_FILE',
  'RETENTIOND_CHECKPOINT_KEY_FILE',
  'RETENTIOND_ANCHORS_FILE',
  'RETENTIOND_STATE_FILE',
  'RETENTIOND_EVIDENCE_KEY_FILE',
  'RETENTIOND_PSEUDONYM_KEY_FILE',
  'RETENTIOND_CONNECTIONS',
  'RETENTIOND_LISTEN',
  'RETENTIOND_LOG_LEVEL',
  'RETENTIOND_POWERFUL_ROLE',
  'RETENTIOND_OWNER_ROLE',
  'RETENTIOND_DAEMON_ROLE',
  'RETENTIOND_AUDITOR_ROLE',
  'RETENTIOND_KEEPER_ROLE',
])

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the configuration; `readSecret` gives the content of a file that holds one. */
export function parseConfig(env: Environment, readSecret: (file: string) => string): Config {
  refuseUnknown(env)
  return Object.freeze({
    databaseUrl: { name: 'RETENTIOND_DATABASE_URL', value: databaseUrl(env, readSecret) },
    rereadDatabaseUrl: () => databaseUrl(env, readSecret) ?? '',
    policies: env['RETENTIOND_POLICIES'] ?? 'policies',
    entryKeyFile: {
      name: 'RETENTIOND_ENTRY_KEY_FILE',
      value: env['RETENTIOND_ENTRY_KEY_FILE'] ?? null,
    },
    checkpointKeyFile: env['RETENTIOND_CHECKPOINT_KEY_FILE'] ?? null,
    anchorsFile: env['RETENTIOND_ANCHORS_FILE'] ?? null,
    stateFile: env['RETENTIOND_STATE_FILE'] ?? null,
    evidenceKeyFile: env['RETENTIOND_EVIDENCE_KEY_FILE'] ?? null,
    pseudonymKeyFile: env['RETENTIOND_PSEUDONYM_KEY_FILE'] ?? null,
    listen: parseListen(env['RETENTIOND_LISTEN'] ?? '127.0.0.1:8080'),
    connections: parseConnections(env['RETENTIOND_CONNECTIONS'] ?? '2'),
    logLevel: parseLevel(env['RETENTIOND_LOG_LEVEL'] ?? 'info'),
    powerfulRole: parsePowerfulRole(env['RETENTIOND_POWERFUL_ROLE'] ?? 'refuse'),
    roles: {
      owner: env['RETENTIOND_OWNER_ROLE'] ?? DEFAULT_ROLES.owner,
      daemon: env['RETENTIOND_DAEMON_ROLE'] ?? DEFAULT_ROLES.daemon,
      auditor: env['RETENTIOND_AUDITOR_ROLE'] ?? DEFAULT_ROLES.auditor,
      keeper: env['RETENTIOND_KEEPER_ROLE'] ?? DEFAULT_ROLES.keeper,
    },
  })
}

/** A misspelt setting must not pass for one that is not set. */
function refuseUnknown(env: Environment): void {
  const unknown = Object.keys(env).filter((key) => key.startsWith('RETENTIOND_') && !KNOWN.has(key))
  const [first] = unknown
  if (first === undefined) return
  // Kubernetes sets RETENTIOND_SERVICE_HOST and RETENTIOND_PORT_… for a service called retentiond.
  const serviceLink = unknown.some((key) => /^RETENTIOND_(SERVICE_|PORT)/.test(key))
  throw new ConfigError(`unknown environment variable ${unknown.join(', ')}`, {
    remedy: serviceLink
      ? 'if Kubernetes set it for a service of that name: enableServiceLinks: false in the pod'
      : (didYouMean(first, [...KNOWN]) ?? `known are ${[...KNOWN].join(', ')}`),
  })
}

/** The value of a setting, or the error that names it. */
export function required({ value, name }: Setting): string {
  if (value !== null && value !== '') return value
  throw new ConfigError(`${name} is not set`, {
    remedy:
      name === 'RETENTIOND_DATABASE_URL'
        ? 'set it, or RETENTIOND_DATABASE_URL_FILE, to postgresql://role:password@host:port/database'
        : 'make a key with: retentiond keygen entry.key, then set it to that file',
  })
}

function databaseUrl(env: Environment, readSecret: (file: string) => string): string | null {
  const url = env['RETENTIOND_DATABASE_URL']
  const file = env['RETENTIOND_DATABASE_URL_FILE']
  if (url !== undefined && file !== undefined) {
    throw new ConfigError('RETENTIOND_DATABASE_URL and RETENTIOND_DATABASE_URL_FILE are both set', {
      remedy: 'keep one of them',
    })
  }
  const text = file === undefined ? url : readSecret(file).trim()
  if (text === undefined || text === '') return null
  if (!/^postgres(ql)?:\/\//.test(text) || !isReadable(text)) {
    throw new ConfigError('RETENTIOND_DATABASE_URL is not a PostgreSQL connection string', {
      remedy:
        'write postgresql://role:password@host:port/database, with @ : / ? # % in a password percent-encoded',
    })
  }
  return text
}

/** True of a URL whose every part can be decoded. */
function isReadable(text: string): boolean {
  try {
    for (const server of serversOf(text)) {
      const { username, password, pathname } = new URL(server)
      for (const part of [username, password, pathname]) decodeURIComponent(part)
    }
    return true
  } catch {
    // Both have one reason to throw, and their messages quote the password.
    return false
  }
}

function parseListen(text: string): Config['listen'] {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? []
  if (host === undefined || Number(port) > 65_535) {
    throw new ConfigError(`RETENTIOND_LISTEN is "${text}"`, {
      remedy: 'write host:port, as 127.0.0.1:8080',
    })
  }
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
}

/** More than a few only stand in each other's way, and in that of the application. */
const MOST_CONNECTIONS = 8

function parseConnections(text: string): number {
  const connections = /^\d$/.test(text) ? Number(text) : 0
  if (connections >= 1 && connections <= MOST_CONNECTIONS) return connections
  throw new ConfigError(`RETENTIOND_CONNECTIONS is "${text}"`, {
    remedy: `write a number from 1 to ${MOST_CONNECTIONS}`,
  })
}

function parseLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text)
  if (level !== undefined) return level
  throw new ConfigError(`RETENTIOND_LOG_LEVEL is "${text}"`, {
    remedy: `write one of ${LOG_LEVELS.join(', ')}`,
  })
}

function parsePowerfulRole(text: string): Config['powerfulRole'] {
  if (text === 'refuse' || text === 'accept') return text
  throw new ConfigError(`RETENTIOND_POWERFUL_ROLE is "${text}"`, {
    remedy: 'write refuse, which is the default, or accept',
  })
}
