/** A server of one's own that a test crashes and restarts, as machines and operators do. */
import { setTimeout as pause } from 'node:timers/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import {
  serve,
  startPostgres,
  unprivileged,
  type Major,
  type PostgresServer,
} from '../../deploy/embedded/postgres.ts'

export interface CrashingServer extends AsyncDisposable {
  /** Connection string of the superuser. */
  url(database?: string): string
  /** Runs statements on a connection of their own, since others do not outlive a crash. */
  sql<T extends object = Record<string, unknown>>(
    database: string,
    statements: string,
  ): Promise<readonly T[]>
  /** `kill -9` of a session of a role, in a transaction if one is: the server ends all others too. */
  killSession(database: string, role: string): Promise<void>
  /** `kill -9` of the server, which is started again on its data. */
  kill(): Promise<void>
  /** A restart in fast mode: sessions are ended, and nothing has to be recovered. */
  restart(): Promise<void>
}

export async function openCrashingServer(
  major: Major,
  settings: readonly string[] = [],
): Promise<CrashingServer> {
  const server: CrashingServer & { running: PostgresServer } = {
    running: await startPostgres({ major, settings }),
    url: (database) => server.running.url(database),
    sql: async <T extends object>(database: string, statements: string) => {
      const client = new Client({ connectionString: server.running.url(database) })
      client.on('error', () => {})
      await client.connect()
      try {
        return (await client.query<T>(statements)).rows
      } finally {
        await client.end()
      }
    },
    killSession: async (database, role) => {
      const [found] = await server.sql<{ pid: number }>(
        database,
        `select pid from pg_stat_activity where usename = '${role}' order by xact_start nulls last`,
      )
      if (found !== undefined && isThere(found.pid)) process.kill(found.pid, 'SIGKILL')
    },
    kill: async () => end('SIGKILL'),
    restart: async () => end('SIGINT'),
    [Symbol.asyncDispose]: async () => server.running[Symbol.asyncDispose](),
  }
  const end = async (signal: 'SIGKILL' | 'SIGINT'): Promise<void> => {
    const { folder, password, port, pid } = server.running
    const workers = await server.sql<{ pid: number }>(
      'postgres',
      'select pid from pg_stat_activity',
    )
    process.kill(pid, signal)
    // No server starts while a process of the one before has its memory.
    for (const each of [pid, ...workers.map((worker) => worker.pid)]) {
      while (isThere(each)) await pause(5)
    }
    const native = join(folder, 'native')
    const programs = { bin: join(native, 'bin'), lib: join(native, 'lib') }
    const prepared = { folder, password, programs, identity: unprivileged() }
    server.running = await serve(prepared, { major, settings, port })
  }
  return server
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
