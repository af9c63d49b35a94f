/**
 * Makes everything that the sidecar of docker-compose.yml finds when it starts. Safe to run again:
 * each step looks first whether it was done.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Client, escapeLiteral } from 'pg'
import { ZONE } from './days.ts'
import { loadDemo } from './load.ts'

const PROGRAM = new URL('../../dist/main.js', import.meta.url).pathname
const EXAMPLES = new URL('../../policies/', import.meta.url).pathname

const POLICIES = '/policies'
const ENTRY_KEY_FILE = '/run/retentiond/entry.key'
const CHECKPOINT_KEY_FILE = '/run/retentiond/checkpoint.key'
const ANCHORS_FILE = '/run/retentiond/anchors.yaml'
const DATABASE_URL_FILE = '/run/retentiond/database-url'

/** A volume of its own, as docker-compose.yml mounts it. */
const ANCHORS = 'sinks:\n  - { name: worm, kind: file, folder: /anchors, evidence: true }\n'

const PLAN_FILE = '/tmp/plan.json'

/** The role as which the sidecar connects, as the printed grants name it. */
const ROLE = 'retentiond'

const superuserUrl = process.env['SUPERUSER_URL']
if (superuserUrl === undefined) throw new Error('SUPERUSER_URL is not set')
await prepare(superuserUrl)

async function prepare(superuserUrl: string): Promise<void> {
  const client = new Client({ connectionString: superuserUrl })
  await client.connect()
  try {
    await load(client, superuserUrl)
    await copyPolicies()
    await client.query(await retentiond(superuserUrl, 'grants'))
    await writeLogin(client, superuserUrl)
    if (!(await exists(ENTRY_KEY_FILE))) await retentiond(superuserUrl, 'keygen', ENTRY_KEY_FILE)
    if (!(await exists(CHECKPOINT_KEY_FILE))) {
      await retentiond(superuserUrl, 'keygen', CHECKPOINT_KEY_FILE)
    }
    await writeFile(ANCHORS_FILE, ANCHORS)
    await retentiond(superuserUrl, 'migrate', '--origin', 'demo.example/purge')
    // What a person does after reading the plan; a demonstration has nobody to wait for.
    await retentiond(superuserUrl, 'plan', '-o', PLAN_FILE)
    await retentiond(superuserUrl, 'approve', PLAN_FILE)
    say('ready')
  } finally {
    await client.end()
  }
}

async function load(client: Client, superuserUrl: string): Promise<void> {
  const { rows } = await client.query<{ loaded: boolean; today: string }>(
    `select to_regclass('crm.customer') is not null as loaded,
       (current_timestamp at time zone $1)::date::text as today`,
    [ZONE],
  )
  const [state] = rows
  if (state === undefined || state.loaded) return
  const loaded = await loadDemo(superuserUrl, { today: state.today })
  const total = Object.values(loaded).reduce((sum, count) => sum + count, 0)
  say(`${total} rows loaded`)
}

/** Copies the example policies, due every minute. */
async function copyPolicies(): Promise<void> {
  const files = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.yaml'))
  for (const file of files) {
    const policy = await readFile(join(EXAMPLES, file), 'utf8')
    await writeFile(join(POLICIES, file), everyMinute(policy))
  }
}

function everyMinute(policy: string): string {
  return policy.replaceAll(/^( *schedule:).*$/gm, "$1 '* * * * *'")
}

/** Gives the sidecar's role a password that only its file knows. */
async function writeLogin(client: Client, superuserUrl: string): Promise<void> {
  if (await exists(DATABASE_URL_FILE)) return
  const url = new URL(superuserUrl)
  url.username = ROLE
  url.password = randomBytes(24).toString('hex')
  await client.query(`alter role ${ROLE} password ${escapeLiteral(url.password)}`)
  await writeFile(DATABASE_URL_FILE, url.href, { mode: 0o600 })
}

/** Runs a command of the program as the superuser, and returns what it printed. */
async function retentiond(superuserUrl: string, ...command: readonly string[]): Promise<string> {
  const said = `retentiond ${command.join(' ')}`
  say(said)
  const child = spawn(process.execPath, [PROGRAM, ...command], {
    env: {
      ...process.env,
      RETENTIOND_DATABASE_URL: superuserUrl,
      RETENTIOND_ENTRY_KEY_FILE: ENTRY_KEY_FILE,
      RETENTIOND_POLICIES: POLICIES,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [printed, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  if (status !== 0) throw new Error(`${said} ended with exit status ${status}`)
  return printed
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

function say(sentence: string): void {
  process.stderr.write(`prepare: ${sentence}\n`)
}
