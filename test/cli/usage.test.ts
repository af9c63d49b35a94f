import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { policyYaml } from '../policy/documents.ts'
import { runInside } from './program.ts'

const test = base.extend<{ folder: string }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads from the pattern what a fixture needs
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'retentiond-cli-'))
    await use(folder)
    await rm(folder, { recursive: true })
  },
})

const POLICY = policyYaml('  - { id: a, table: t.a, start: at, keep: 1 year, then: purge }\n')

/** Nobody listens on port 1. */
const NOWHERE = 'postgresql://daemon:secret-word@127.0.0.1:1/crm'

test.for([
  ['', 'no command given', 'retentiond --help'],
  ['planx', "unknown command 'planx' (Did you mean plan?)", 'retentiond --help'],
  ['journal', 'no command given', 'retentiond journal --help'],
  ['plan --nope', "unknown option '--nope'", 'retentiond plan --help'],
  ['plan --outptu json', "unknown option '--outptu' (Did you mean", 'retentiond plan --help'],
  ['plan --as-of 2026-02-30', 'write a date as YYYY-MM-DD', 'retentiond plan --help'],
  ['plan --output xml', 'Allowed choices are text, json', 'retentiond plan --help'],
  ['enforce now', "too many arguments for 'enforce'", 'retentiond enforce --help'],
  ['approve', "missing required argument 'file'", 'retentiond approve --help'],
  ['journal show x', 'write a whole number', 'retentiond journal show --help'],
  ['journal verify --expect 5', 'write SIZE:ROOT', 'retentiond journal verify --help'],
  ['journal verify --trust-key k', 'write a verifier key', 'retentiond journal verify --help'],
])('usage that makes no sense names the help to read: %s', async ([args = '', said, help]) => {
  const { status, out, err } = await runInside(args.split(' ').filter(Boolean), {})

  expect({ status, out }).toEqual({ status: 64, out: '' })
  expect(err).toContain(`retentiond: `)
  expect(err).toContain(said)
  expect(err).toContain(`see: ${help}\n`)
})

test('a password in an argument is not printed', async () => {
  const { status, err } = await runInside(['plan', NOWHERE], {})

  expect(status).toBe(64)
  expect(err).not.toContain('secret-word')
})

test('help and version need no environment', async () => {
  const help = await runInside(['--help'], { RETENTIOND_WRONG: 'x' })
  const version = await runInside(['--version'], {})

  expect(help).toMatchObject({ status: 0, err: '' })
  expect(help.out).toContain('Usage: retentiond')
  expect(version).toMatchObject({ status: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
})

const URL_SET = { RETENTIOND_DATABASE_URL: NOWHERE }

test.for([
  ['no URL', {}, 'RETENTIOND_DATABASE_URL is not set', 'postgresql://role:password@host'],
  ['another URL', { RETENTIOND_DATABASE_URL: 'mysql://u:secret-word@h/d' }, 'not a PostgreSQL', ''],
  ['a # in it', { RETENTIOND_DATABASE_URL: 'postgresql://u:secret-word#@h/d' }, 'not a', 'encoded'],
  [
    'a % in it',
    { RETENTIOND_DATABASE_URL: 'postgresql://u:secret-word%z@h/d' },
    'not a',
    'encoded',
  ],
  ['two URLs', { ...URL_SET, RETENTIOND_DATABASE_URL_FILE: 'f' }, 'both set', 'keep one of them'],
  ['a lost file', { RETENTIOND_DATABASE_URL_FILE: '/no/url' }, '/no/url', 'check the path'],
  ['a slip', { ...URL_SET, RETENTIOND_POLICY: 'x' }, 'RETENTIOND_POLICY', 'RETENTIOND_POLICIES?'],
  ['Kubernetes', { ...URL_SET, RETENTIOND_PORT_80_TCP: 'x' }, '_PORT_80', 'enableServiceLinks'],
  ['no host', { ...URL_SET, RETENTIOND_LISTEN: '8080' }, 'RETENTIOND_LISTEN', '127.0.0.1:8080'],
  ['a power', { ...URL_SET, RETENTIOND_POWERFUL_ROLE: 'yes' }, 'POWERFUL_ROLE', 'or accept'],
  ['a level', { ...URL_SET, RETENTIOND_LOG_LEVEL: 'loud' }, 'RETENTIOND_LOG_LEVEL', 'debug, info'],
] as const)('a setting that cannot be used is named: %s', async ([, env, said, remedy]) => {
  const { status, out, err } = await runInside(['journal', 'list'], env)

  expect({ status, out }).toEqual({ status: 78, out: '' })
  expect(err).toContain(said)
  expect(err).toContain(remedy)
  expect(err).not.toContain('secret-word')
})

test('a server that does not answer is named by host and port, and is no fault of the configuration', async () => {
  const { status, err } = await runInside(['journal', 'list'], URL_SET)

  expect(status).toBe(1)
  expect(err).toContain('no database answers at 127.0.0.1:1 (ECONNREFUSED)')
  expect(err).not.toContain('secret-word')
})

test('a journal that cannot be reached is neither sound nor tampered with', async () => {
  const { status, err } = await runInside(['journal', 'verify'], URL_SET)

  expect(status).toBe(3)
  expect(err).toContain('inconclusive: no database answers at 127.0.0.1:1')
})

test.for([
  ['no folder', null, 'the folder of policies', 'name the folder'],
  ['an empty file', '', 'this file holds no policy', 'begin with version: 1'],
  ['broken YAML', 'version: 1\nrules: [', 'this is not YAML', ''],
  ['a key twice', POLICY.replace('owner:', 'title: x\ntitle: y\nowner:'), 'twice', ''],
  ['a slip', POLICY.replace('keep:', 'keeep:'), '"keeep" is not a known key', 'mean keep?'],
  ['hours', POLICY.replace('1 year', '36 hours'), 'the smallest unit of a period is a day', ''],
] as const)(
  'a policy that cannot be read is shown at its place: %s',
  async ([, text, said, remedy], { folder }) => {
    const policies = join(folder, 'policies')
    if (text !== null) {
      await mkdir(policies)
      await writeFile(join(policies, 'p.yaml'), text)
    }

    const { status, out, err } = await runInside(['validate', policies], {})

    expect({ status, out }).toEqual({ status: 78, out: '' })
    expect(err).toContain(said)
    expect(err).toContain(remedy)
    expect(err).toMatch(text === null ? /^\S+policies {2}/ : /^\S+p\.yaml:\d+:\d+ {2}/)
    expect(err).toMatch(/\n1 problem; nothing was done\n$/)
  },
)

test('a folder without policies says what to write, and names no command that does not exist', async ({
  folder,
}) => {
  const { status, err } = await runInside(['validate', folder], {})

  expect(status).toBe(78)
  expect(err).toContain('there is no policy in this folder')
  expect(err).toContain('docs/policy.md')
})

test('a rule that promises evidence of rows warns before the run that no key for it is set', async ({
  folder,
}) => {
  await writeFile(
    join(folder, 'p.yaml'),
    `${POLICY}\ndefaults: { mode: enforce, evidence: rows }\n`,
  )

  const without = await runInside(['validate', folder], {})
  const keyed = await runInside(['validate', folder], { RETENTIOND_EVIDENCE_KEY_FILE: 'ek' })

  expect(without).toMatchObject({ status: 0 })
  expect(without.err).toContain('evidence of rows is wanted by')
  expect(keyed).toMatchObject({ status: 0, err: '' })
})

test('a key file is made once, for its owner only', async ({ folder }) => {
  const file = join(folder, 'entry.key')

  const made = await runInside(['keygen', file], {})
  const again = await runInside(['keygen', file], {})

  expect(made).toMatchObject({ status: 0, out: '' })
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(again.status).toBe(78)
  expect(again.err).toContain('is there already')
})

test.for([
  ['not set', 'RETENTIOND_ENTRY_KEY_FILE is not set', 'retentiond keygen'],
  ['missing', 'does not exist', 'retentiond keygen'],
  ['readable by others', 'can be read by its group or by others', 'run: chmod 600'],
  ['a folder', 'is a folder', 'entry.key'],
  ['no key', 'holds no Ed25519 key', 'retentiond keygen'],
] as const)(
  'an entry key that is %s is refused before anything is asked of a database',
  async ([how, said, remedy], { folder }) => {
    const file = join(folder, 'entry.key')
    await writeFile(join(folder, 'p.yaml'), POLICY)
    if (how === 'readable by others') {
      await runInside(['keygen', file], {})
      await chmod(file, 0o640)
    }
    if (how === 'a folder') await mkdir(file)
    if (how === 'no key') await writeFile(file, 'hello', { mode: 0o600 })
    const key: Record<string, string> = how === 'not set' ? {} : { RETENTIOND_ENTRY_KEY_FILE: file }

    const { status, err } = await runInside(['enforce'], {
      ...URL_SET,
      ...key,
      RETENTIOND_POLICIES: folder,
    })

    expect(status).toBe(78)
    expect(err).toContain(said)
    expect(err).toContain(remedy)
  },
)

test('the schema of the policy language is JSON Schema draft-7', async () => {
  const { status, out } = await runInside(['schema'], {})

  const schema = JSON.parse(out) as Record<string, unknown>
  expect(status).toBe(0)
  expect(schema['$schema']).toBe('http://json-schema.org/draft-07/schema#')
  expect(Object.keys(schema['properties'] as object)).toEqual(
    expect.arrayContaining(['version', 'policy', 'owner', 'timezone', 'defaults', 'rules']),
  )
})
