import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { productionPackages, type Lock } from '../../deploy/production-modules.ts'
import { ROOT, docker } from './docker.ts'
import { engine } from './engine.ts'

const IMAGE = `retentiond-test:${randomBytes(6).toString('hex')}`

describe.runIf(engine)('the image', () => {
  beforeAll(async () => {
    await docker('build', '--quiet', '--tag', IMAGE, '.')
  })

  afterAll(async () => {
    await docker('image', 'rm', '--force', IMAGE)
  })

  /** Runs a script in the image as it is meant to run: no capability, nothing to write to but /tmp. */
  async function inside(script: string): Promise<unknown> {
    const { stdout } = await docker(
      'run',
      '--rm',
      '--read-only',
      '--cap-drop=ALL',
      '--security-opt=no-new-privileges',
      '--network=none',
      '--tmpfs=/tmp',
      '--entrypoint=node',
      IMAGE,
      '--input-type=module',
      '--eval',
      script,
    )
    return JSON.parse(stdout)
  }

  test('the image has the packages of production and no others', async () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock
    const wanted = productionPackages(lock).map(({ folder }) => folder.replace('node_modules/', ''))

    const found = await inside(`
    import { globSync } from 'node:fs'
    const manifests = globSync('/app/node_modules/{*,@*/*}/package.json')
    console.log(JSON.stringify(manifests.map((path) => path.split('/').slice(3, -1).join('/'))))`)

    expect(new Set(found as string[])).toEqual(new Set(wanted))
  })

  test('the image has what was compiled and the migrations, neither sources nor tests nor tools', async () => {
    const found = await inside(`
    import { readdirSync } from 'node:fs'
    console.log(JSON.stringify(readdirSync('/app')))`)

    const needed = ['dist', 'migrations', 'node_modules', 'package.json']
    expect((found as string[]).filter((name) => !name.startsWith('LICENSE'))).toEqual(needed)
  })

  test('the program runs as nobody in particular and can change nothing of itself', async () => {
    const found = await inside(`
    import { accessSync, constants, globSync } from 'node:fs'
    const may = (path, mode) => { try { accessSync(path, mode); return true } catch { return false } }
    const files = globSync('/app/**/*')
    console.log(JSON.stringify({
      uid: process.getuid(),
      unreadable: files.filter((file) => !may(file, constants.R_OK)),
      writable: files.filter((file) => may(file, constants.W_OK)),
      temporary: may('/tmp', constants.W_OK),
    }))`)

    expect(found).toEqual({ uid: 65_532, unreadable: [], writable: [], temporary: true })
  })

  test('every module of the program loads from the image alone', async () => {
    const found = await inside(`
    import { globSync } from 'node:fs'
    const files = globSync('/app/dist/**/*.js').filter((file) => file !== '/app/dist/main.js')
    const failed = []
    for (const file of files) {
      await import(file).catch(({ message }) => failed.push(file + ': ' + message))
    }
    console.log(JSON.stringify(failed))`)

    expect(found).toEqual([])
  })

  test('the image says how it is started, asked after and stopped', async () => {
    const { stdout } = await docker('image', 'inspect', '--format', '{{json .Config}}', IMAGE)

    const config = JSON.parse(stdout) as Record<string, unknown>
    expect(config).toMatchObject({
      User: '65532:65532',
      Entrypoint: ['node', '/app/dist/main.js'],
      Cmd: ['daemon'],
      StopSignal: 'SIGTERM',
      ExposedPorts: { '8080/tcp': {} },
      Labels: { 'org.opencontainers.image.title': 'retentiond' },
    })
    expect(JSON.stringify(config['Healthcheck'])).toContain('/livez')
  })
})
