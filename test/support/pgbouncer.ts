/** A PgBouncer of Debian's package in front of a server, in transaction pooling. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort, unprivileged } from '../../deploy/embedded/postgres.ts'

export interface Pooler extends AsyncDisposable {
  /** The same URL, by way of the pooler. */
  through(url: string): string
}

/** False on a machine without the package: what needs it is left out, and says so. */
export function hasPgBouncer(): boolean {
  return spawnSync('pgbouncer', ['--version']).status === 0
}

/** Starts a pooler that shares `size` connections for each role; the roles' passwords are `test`. */
export async function openPooler(
  server: string,
  roles: Readonly<Record<string, string>>,
  size = 2,
): Promise<Pooler> {
  const { uid, gid } = unprivileged()
  const folder = mkdtempSync(join(tmpdir(), 'retentiond-pooler-'))
  const target = new URL(server)
  const port = await freePort()
  const users = Object.entries(roles).map(([role, password]) => `"${role}" "${password}"\n`)
  await writeFile(join(folder, 'users.txt'), users.join(''))
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    `[databases]
* = host=${target.hostname} port=${target.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = ${size}
max_client_conn = 100
`,
  )
  if (uid !== undefined) chownSync(folder, uid, gid ?? uid)
  const child = spawn('pgbouncer', [join(folder, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(uid !== undefined && { uid, gid: gid ?? uid }),
  })
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line)
      if (line.includes('process up')) resolve()
    })
    child.once('exit', () => reject(new Error(`pgbouncer ended: ${said.join('\n')}`)))
  })
  return {
    through: (url) => {
      const by = new URL(url)
      by.host = `127.0.0.1:${port}`
      return by.href
    },
    [Symbol.asyncDispose]: async () => {
      child.removeAllListeners('exit')
      child.kill('SIGKILL')
      await once(child, 'exit')
      await rm(folder, { recursive: true })
    },
  }
}
