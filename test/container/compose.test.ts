import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compose, docker } from './docker.ts'

const NAME = `retentiond-test-${randomBytes(4).toString('hex')}`

/** Port 0: the engine picks a free one, and nobody else's port is in the way. */
const ENVIRONMENT = {
  COMPOSE_PROJECT_NAME: NAME,
  RETENTIOND_IMAGE: NAME,
  RETENTIOND_DEMO_IMAGE: `${NAME}-demo`,
  RETENTIOND_PORT: '0',
}

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

  const answer = await untilAnswer(`http://${address.stdout.trim()}/livez`)
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

async function untilAnswer(url: string): Promise<Response> {
  const deadline = AbortSignal.timeout(60_000)
  for (;;) {
    const answer = await fetch(url).catch(() => null)
    if (answer !== null) return answer
    deadline.throwIfAborted()
  }
}
