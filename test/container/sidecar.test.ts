import { randomBytes } from 'node:crypto'
import { DateTime } from 'luxon'
import { Client } from 'pg'
import { GenericContainer, Network, Wait, type StartedTestContainer } from 'testcontainers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ZONE } from '../../deploy/demo/days.ts'
import { loadDemo } from '../../deploy/demo/load.ts'
import { docker } from './docker.ts'
import { engine } from './engine.ts'

const IMAGE = `retentiond-test:${randomBytes(6).toString('hex')}`
const POSTGRES = process.env['POSTGRES_IMAGE'] ?? 'postgres:18'
const PROGRAM = ['node', '/app/dist/main.js']
const PASSWORD = randomBytes(12).toString('hex')

describe.runIf(engine)('the image as a sidecar', () => {
  const stack = new AsyncDisposableStack()
  let sidecar: StartedTestContainer
  let superuserUrl: string

  beforeAll(async () => {
    await docker('build', '--quiet', '--tag', IMAGE, '.')
    stack.defer(async () => {
      await docker('image', 'rm', '--force', IMAGE)
    })
    const network = await new Network().start()
    stack.defer(async () => {
      await network.stop()
    })
    const database = await new GenericContainer(POSTGRES)
      .withNetwork(network)
      .withNetworkAliases('application-database')
      .withEnvironment({ POSTGRES_PASSWORD: PASSWORD, POSTGRES_DB: 'application' })
      .withExposedPorts(5432)
      .withWaitStrategy(Wait.forListeningPorts())
      .start()
    stack.defer(async () => {
      await database.stop()
    })
    superuserUrl = `postgresql://postgres:${PASSWORD}@${database.getHost()}:${database.getMappedPort(5432)}/application`
    await answers(superuserUrl)
    await loadDemo(superuserUrl, { today: DateTime.now().setZone(ZONE).toISODate() ?? '' })
    sidecar = await new GenericContainer(IMAGE)
      .withNetwork(network)
      .withEnvironment({
        RETENTIOND_DATABASE_URL: `postgresql://postgres:${PASSWORD}@application-database:5432/application`,
        RETENTIOND_ENTRY_KEY_FILE: '/tmp/entry.key',
      })
      .withTmpFs({ '/tmp': 'rw' })
      .withCopyDirectoriesToContainer([{ source: 'policies', target: '/policies' }])
      // Commands are run in it one by one; the daemon would want the schema first.
      .withEntrypoint(['node', '-e', "console.log('open'); setInterval(() => {}, 1e9)"])
      .withCommand([])
      .withWaitStrategy(Wait.forLogMessage('open'))
      .start()
    stack.defer(async () => {
      await sidecar.stop()
    })
  })

  afterAll(async () => stack.disposeAsync())

  test('it plans, enforces what was planned, and its journal verifies', async () => {
    await run('keygen', '/tmp/entry.key')
    await inDatabase(superuserUrl, await run('grants'))
    await run('migrate', '--origin', 'test.example/purge')

    const planned = await run('plan', '-o', '/tmp/plan.json')
    const enforced = await run('enforce', '--plan', '/tmp/plan.json')
    const again = await run('plan')
    const head = /journal (\d+:\S+)/.exec(enforced)?.[1] ?? ''
    const verified = await run('journal', 'verify', '--expect', head)

    expect(planned).toContain('would be acted on')
    expect(enforced).toContain(': done')
    expect(again).toContain('Nothing is due.')
    expect(verified).toContain('verified')
  })

  test('a daemon that is told to stop ends with status 0', async () => {
    const started = await sidecar.exec([
      'node',
      '-e',
      `const { spawn } = require('node:child_process')
       const daemon = spawn('node', ['/app/dist/main.js', 'daemon'], {
         stdio: ['ignore', 'pipe', 'inherit'],
         // A superuser of this database, which is told to be accepted.
         env: { ...process.env, RETENTIOND_LISTEN: '127.0.0.1:0', RETENTIOND_POWERFUL_ROLE: 'accept' },
       })
       daemon.stdout.on('data', (text) => {
         process.stdout.write(text)
         if (String(text).includes('"msg":"ready"')) daemon.kill('SIGTERM')
       })
       daemon.once('exit', (status, signal) => console.log('ended', status, signal))`,
    ])

    expect(started.output).toContain('"msg":"planned"')
    expect(started.output).toContain('ended 0 null')
  })

  /** Runs a command of the program in the sidecar and returns what it printed on stdout. */
  async function run(...command: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await sidecar.exec([...PROGRAM, ...command])
    expect(`${exitCode} ${exitCode === 0 ? '' : stderr}`).toBe('0 ')
    return stdout
  }
})

/** Resolves once the server answers: the image restarts it after it made the database. */
async function answers(url: string): Promise<void> {
  const deadline = AbortSignal.timeout(120_000)
  for (;;) {
    try {
      return await inDatabase(url, 'select 1')
    } catch (error) {
      deadline.throwIfAborted()
      if (error instanceof Error && error.name === 'AbortError') throw error
    }
  }
}

async function inDatabase(url: string, statements: string): Promise<void> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(statements)
  } finally {
    await client.end()
  }
}
