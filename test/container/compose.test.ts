import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compose, docker } from './docker.ts'
import { engine } from './engine.ts'

const NAME = `retentiond-test-${randomBytes(4).toString('hex')}`

/** Port 0: the engine picks a free one, and nobody else's port is in the way. */
const ENVIRONMENT = {
  COMPOSE_PROJECT_NAME: NAME,
  RETENTIOND_IMAGE: NAME,
  RETENTIOND_DEMO_IMAGE: `${NAME}-demo`,
  RETENTIOND_PORT: '0',
}

describe.runIf(engine)('docker-compose', () => {
  beforeAll(async () => {
    await compose(ENVIRONMENT, 'up', '--build', '--detach')
  })

  afterAll(async () => {
    await compose(ENVIRONMENT, 'down', '--volumes')
    // By name, not `down --rmi all`: that also removes the database's image, which others use.
    await docker('image', 'rm', '--force', NAME, `${NAME}-demo`)
  })

  test('the sidecar starts beside a prepared database and answers', async () => {
    const { stdout: id } = await compose(ENVIRONMENT, 'ps', '--quiet', 'retentiond')
    const address = await compose(ENVIRONMENT, 'port', 'retentiond', '8080')

    const answer = await until(async () =>
      fetch(`http://${address.stdout.trim()}/livez`).catch(() => null),
    )
    const { stdout: host } = await docker(
      'inspect',
      '--format',
      '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}',
      id.trim(),
    )

    expect(answer.status).toBe(200)
    expect(host.trim()).toBe('true [ALL] [no-new-privileges:true]')
  })

  test('preparing again changes nothing: neither the rows, nor the password, nor the key', async () => {
    const before = await compose(ENVIRONMENT, 'exec', '-T', 'retentiond', ...printSecrets())

    const { stdout, stderr } = await compose(ENVIRONMENT, 'run', '--rm', 'prepare')
    const after = await compose(ENVIRONMENT, 'exec', '-T', 'retentiond', ...printSecrets())

    expect(`${stdout}${stderr}`).toContain('prepare: ready')
    expect(`${stdout}${stderr}`).not.toContain('rows loaded')
    expect(after.stdout).toBe(before.stdout)
  })

  test('the policies of the sidecar differ from the examples in their schedule alone', async () => {
    const { stdout } = await compose(
      ENVIRONMENT,
      'run',
      '--rm',
      '--entrypoint=diff',
      'prepare',
      '--recursive',
      '/app/policies',
      '/policies',
    ).catch((error: { readonly stdout: string }) => error)

    const changed = stdout.split('\n').filter((line) => /^[<>] /.test(line.trim()))
    expect(changed.map((line) => line.trim())).toEqual([
      `<   schedule: '0 3 * * *'`,
      `>   schedule: '* * * * *'`,
    ])
  })

  test('the plan appears in the log of the sidecar, rule by rule', async () => {
    const planned = await until(async () => {
      const { stdout } = await compose(ENVIRONMENT, 'logs', '--no-color', 'retentiond')
      return stdout.includes('"msg":"ready"') ? stdout : null
    })

    for (const rule of ['customer', 'contract', 'invoice', 'support-ticket', 'site-connection']) {
      expect(planned).toContain(`"rule":"${rule}"`)
    }
  })

  test('a scheduled run acts alone, and all of it is journalled', async () => {
    await until(async () => ((await due()) === '0' ? true : null))
    await sql(`insert into site.connection (recorded_at, ip, page)
    select now() - interval '13 months', '192.0.2.1', '/' from generate_series(1, 3)`)

    const left = await until(async () => ((await due()) === '0' ? '0' : null))
    const runs = await retentiond('journal', 'list')
    const verified = await retentiond('journal', 'verify').catch(
      (error: { readonly stdout: string; readonly code: number }) =>
        `${error.stdout} exit ${error.code}`,
    )

    expect(left).toBe('0')
    expect(runs).toContain('schedule')
    // Nothing outside to compare with: sound as far as it can be seen, and never 0.
    expect(verified).toContain('exit 3')
  })

  test('the journal verifies in the container against a head that was kept', async () => {
    const enforced = await retentiond('enforce')
    const head = /journal (\d+:\S+)/.exec(enforced)?.[1] ?? ''

    const verified = await retentiond('journal', 'verify', '--expect', head)
    const anchored = await retentiond('journal', 'verify', '--anchor', '/anchors')

    expect(verified).toContain('verified')
    expect(anchored).toContain('verified')
  })
})

/** Rows of connections whose twelve months are over for sure. */
async function due(): Promise<string> {
  return sql(
    "select count(*) from site.connection where recorded_at < now() - interval '12 months 2 days'",
  )
}

/** Runs a command inside the sidecar and returns what it printed. */
async function retentiond(...command: readonly string[]): Promise<string> {
  const { stdout, stderr } = await compose(
    ENVIRONMENT,
    'exec',
    '-T',
    'retentiond',
    'node',
    '/app/dist/main.js',
    ...command,
  )
  return `${stdout}${stderr}`
}

/** Runs a statement as the application's superuser. */
async function sql(statement: string): Promise<string> {
  const { stdout } = await compose(
    ENVIRONMENT,
    'exec',
    '-T',
    'application-database',
    'sh',
    '-c',
    'PGPASSWORD=$POSTGRES_PASSWORD psql -qAt -h 127.0.0.1 -U postgres -d application -c "$1"',
    'sql',
    statement,
  )
  return stdout.trim()
}

/** Digests, so that a failing test prints no secret. */
function printSecrets(): readonly string[] {
  return [
    'node',
    '--eval',
    `for (const file of ['database-url', 'entry.key']) {
       const bytes = fs.readFileSync('/run/retentiond/' + file)
       console.log(file, crypto.createHash('sha256').update(bytes).digest('hex'))
     }`,
  ]
}

/** Asks again until there is an answer: a scheduled run is a minute away at most. */
async function until<T>(ask: () => Promise<T | null>): Promise<T> {
  const deadline = AbortSignal.timeout(150_000)
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    deadline.throwIfAborted()
  }
}
