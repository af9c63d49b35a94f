/**
 * The demo: an embedded PostgreSQL with example data, and the program on it as its operators would
 * run it. `--keep` leaves the server running and says what to try next.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DateTime } from 'luxon'
import { Client } from 'pg'
import { startPostgres } from '../embedded/postgres.ts'
import { ZONE } from './days.ts'
import { loadDemo, type Loaded } from './load.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

type Environment = Readonly<Record<string, string>>

async function runDemo(keep: boolean): Promise<void> {
  const started = performance.now()
  say('Starting PostgreSQL 18 with example data of a French software company')
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-demo-'))
  await using resources = new AsyncDisposableStack()
  const server = await startPostgres({ detached: keep })
  if (!keep) {
    resources.use(server)
    resources.defer(async () => rm(folder, { recursive: true, force: true }))
  }
  await withClient(server.url(), async (client) => client.query('create database crm'))
  const superuserUrl = server.url('crm')
  const loaded = await loadDemo(superuserUrl, {
    today: DateTime.now().setZone(ZONE).toISODate() ?? '',
  })
  const total = Object.values(loaded).reduce((sum, rows) => sum + rows, 0)
  say(`${total} rows in ${Object.keys(loaded).length} tables`)

  const password = randomBytes(12).toString('hex')
  const environment: Environment = {
    RETENTIOND_DATABASE_URL: server.url('crm', 'retentiond', password),
    RETENTIOND_POLICIES: join(ROOT, 'policies'),
    RETENTIOND_ENTRY_KEY_FILE: join(folder, 'entry.key'),
  }
  await prepareDatabase({ superuserUrl, password, environment })
  await showRun(environment, join(folder, 'plan.json'))
  await showWhatIsLeft(superuserUrl, loaded)
  say(`Done in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  if (keep) showNextSteps(environment, { superuserUrl, pid: server.pid, folder: server.folder })
}

/** What a DBA does once: roles and rights as printed by the program, then its schema. */
async function prepareDatabase(parts: {
  readonly superuserUrl: string
  readonly password: string
  readonly environment: Environment
}): Promise<void> {
  const { superuserUrl, password, environment } = parts
  const asSuperuser = { ...environment, RETENTIOND_DATABASE_URL: superuserUrl }
  await retentiond(['keygen', environment['RETENTIOND_ENTRY_KEY_FILE'] ?? ''], environment)
  const { out: grants } = await retentiond(['grants'], asSuperuser, { quiet: true })
  await withClient(superuserUrl, async (client) => {
    await client.query(grants)
    await client.query(`alter role retentiond password '${password}'`)
  })
  await retentiond(['migrate', '--origin', 'example.com/purge'], asSuperuser)
}

async function showRun(environment: Environment, planFile: string): Promise<void> {
  await retentiond(['validate'], environment)
  await retentiond(['plan', '-o', planFile], environment)
  const { out } = await retentiond(['enforce', '--plan', planFile], environment)
  await retentiond(['plan'], environment)
  const head = /^journal (\S+)$/m.exec(out)?.[1] ?? ''
  await retentiond(['journal', 'verify', '--expect', head], environment)
}

async function showWhatIsLeft(superuserUrl: string, loaded: Loaded): Promise<void> {
  say('What is left per table')
  await withClient(superuserUrl, async (client) => {
    for (const [table, before] of Object.entries(loaded)) {
      const { rows } = await client.query<{ left: number }>(
        `select count(*)::int as left from ${table}`,
      )
      const left = rows[0]?.left ?? 0
      process.stdout.write(
        `${table.padEnd(24)} ${String(before).padStart(7)} before ${String(left).padStart(7)} left ${String(before - left).padStart(7)} gone\n`,
      )
    }
  })
}

function showNextSteps(
  environment: Environment,
  server: { readonly superuserUrl: string; readonly pid: number; readonly folder: string },
): void {
  const exports = Object.entries(environment).map(([name, value]) => `export ${name}='${value}'`)
  say('The database is still running. To go on:')
  process.stdout.write(
    `${[
      ...exports,
      'npm run -s retentiond -- journal list',
      'npm run -s retentiond -- journal show 2',
      'npm run -s retentiond -- plan --as-of 2030-01-01',
      'npm run -s retentiond -- enforce',
      '',
      `as superuser: ${server.superuserUrl}`,
      `to stop it:   kill ${server.pid} && rm -r ${server.folder}`,
    ].join('\n')}\n`,
  )
}

/** Runs a command of the program as a process of its own, showing what it prints. */
async function retentiond(
  args: readonly string[],
  environment: Environment,
  options: { readonly quiet?: boolean } = {},
): Promise<{ readonly out: string }> {
  say(`retentiond ${args.join(' ')}`)
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const parts: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    parts.push(text)
    if (options.quiet !== true) process.stdout.write(text)
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (status !== 0) throw new Error(`retentiond ${args[0] ?? ''} ended with status ${status}`)
  return { out: parts.join('') }
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function say(text: string): void {
  process.stdout.write(`\n▸ ${text}\n`)
}

await runDemo(process.argv.includes('--keep'))
