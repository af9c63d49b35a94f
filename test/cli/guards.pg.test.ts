import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exitOf, start } from './program.ts'
import { openSite, type Site } from './site.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (id bigint primary key, seen_at date);
  insert into site.visit values (1, '2001-01-01');`

const policy = (head = '') => `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
${head}
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

let site: Site
let role: string

beforeAll(async () => {
  site = await openSite(SCHEMA)
  await site.govern(policy())
  await site.prepare()
  role = site.env['RETENTIOND_DAEMON_ROLE'] ?? ''
})

afterAll(async () => {
  await site[Symbol.asyncDispose]()
})

/** The environment of the daemon's role, with a port that nobody else has. */
const free = () => ({ ...site.env, RETENTIOND_LISTEN: '127.0.0.1:0' })

const commands = [
  ['plan'],
  ['enforce'],
  ['validate', '--database'],
  ['explain', 'site.visit', '1'],
  ['hold', 'place', 'case 7', '--rule', 'visit'],
  ['grants'],
  ['daemon'],
] as const

test('policies of another database are refused before anything is read', async () => {
  await site.govern(policy('database: { name: crm }'))

  const ended = await Promise.all(commands.map(async (command) => site.run(command, free())))

  for (const { status, out, err } of ended) {
    // The daemon has said by then that its health endpoints listen, and nothing else.
    expect(out.replace(/^.*"msg":"listening".*\n/, '')).toBe('')
    expect(status).toBe(78)
    expect(err).toContain('policy.yaml:6:19')
    expect(err).toContain(`this policy is for database crm, and this is ${site.database.name}`)
    expect(err).toContain('nothing was read')
  }
})

test('a database of the same name in another cluster is another database', async () => {
  const { name } = site.database
  const [own] = await site.sql<{ id: string }>(
    'select system_identifier::text as id from pg_control_system()',
  )
  await site.govern(policy(`database: { name: ${name}, system_identifier: '7000000000000000001' }`))
  const other = await site.run(['plan'])
  await site.govern(policy(`database: { name: ${name}, system_identifier: '${own?.id}' }`))

  const same = await site.run(['plan'])

  expect(other).toMatchObject({ status: 78, out: '' })
  expect(other.err).toContain(`of the cluster 7000000000000000001, and this cluster is ${own?.id}`)
  expect(same).toMatchObject({ status: 0, err: '' })
})

test('a role that may do too much is warned of, and no daemon starts as it unless told so', async () => {
  await site.govern(policy())
  await site.sql(`alter role ${role} createrole`)

  const [plan, validate, daemon] = await Promise.all([
    site.run(['plan']),
    site.run(['validate', '--database']),
    site.run(['daemon'], free()),
  ])
  const child = start(['daemon'], {
    ...free(),
    RETENTIOND_POWERFUL_ROLE: 'accept',
  })
  const ended = exitOf(child)
  await saying(child, '"msg":"ready"')
  child.kill('SIGTERM')
  await site.sql(`alter role ${role} nocreaterole`)

  expect(await ended).toBe(0)
  expect([plan.status, validate.status, daemon.status]).toEqual([0, 0, 78])
  for (const { err } of [plan, validate]) {
    expect(err).toBe(
      `warning: role ${role} may create roles, and give itself others\n  alter role ${role} nocreaterole;\n`,
    )
  }
  expect(daemon.err).toContain('may create roles')
  expect(daemon.err).toContain('RETENTIOND_POWERFUL_ROLE=accept')
})

/** Waits until a line of the child's log has `text` in it. */
async function saying(child: ChildProcess, text: string): Promise<void> {
  const { stdout } = child
  if (stdout === null) throw new Error('the child has no stdout')
  for await (const line of createInterface({ input: stdout })) if (line.includes(text)) return
  throw new Error(`it ended before it said: ${text}`)
}
