/** A standby of a server, made as an operator makes one: a base backup that follows its primary. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync } from 'node:fs'
import { appendFile, chmod, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import {
  serve,
  unprivileged,
  type PostgresServer,
  type ServerOptions,
} from '../../deploy/embedded/postgres.ts'

/** Starts a hot standby that streams from `primary`. */
export async function startStandby(
  primary: PostgresServer,
  options: ServerOptions = {},
): Promise<PostgresServer> {
  const identity = unprivileged()
  const folder = mkdtempSync(join(tmpdir(), 'retentiond-standby-'))
  if (identity.uid !== undefined) chownSync(folder, identity.uid, identity.gid ?? identity.uid)
  await chmod(folder, 0o755)
  await backUp(primary, folder)
  const data = join(folder, 'data')
  const asOwner = { mode: 0o600 }
  await writeFile(join(data, 'standby.signal'), '', asOwner)
  await appendFile(
    join(data, 'postgresql.auto.conf'),
    `\nprimary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres password=${primary.password}'\n`,
  )
  const native = join(primary.folder, 'native')
  const programs = { bin: join(native, 'bin'), lib: join(native, 'lib') }
  await run('chown', ['-R', String(identity.uid ?? process.getuid?.() ?? 0), data])
  return serve({ folder, programs, identity, password: primary.password }, options)
}

/** Copies the data of a running server, between the start and the end of a backup. */
async function backUp(primary: PostgresServer, folder: string): Promise<void> {
  const client = new Client({ connectionString: primary.url() })
  await client.connect()
  try {
    await client.query("select pg_backup_start('standby', true)")
    await run('cp', ['-a', join(primary.folder, 'data'), folder])
    const { rows } = await client.query<{ labelfile: string }>(
      'select labelfile from pg_backup_stop(false)',
    )
    await writeFile(join(folder, 'data', 'backup_label'), rows[0]?.labelfile ?? '')
    await rm(join(folder, 'data', 'postmaster.pid'), { force: true })
  } finally {
    await client.end()
  }
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, [...args], { stdio: 'ignore' })
  const [status] = (await once(child, 'exit')) as [number | null]
  // Files come and go under a server that is backed up: cp says so, and recovery deals with it.
  if (status !== 0 && command !== 'cp') throw new Error(`${command} ended with ${status}`)
}
