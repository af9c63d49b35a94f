import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exitOf, start, type Environment } from '../cli/program.ts'
import { openSite, type Site } from '../cli/site.ts'
import { openDaemon } from './inside.ts'
import { openProxy } from './proxy.ts'

const CANARY = 'canary-4711'

const SCHEMA = `
  create schema site;
  create table site.visit (id bigint primary key, seen_at timestamptz, address text);
  insert into site.visit
  select n, now() - n * interval '40 days', '${CANARY}' from generate_series(0, 19) as n;`

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults:
  mode: enforce
  schedule: '0 3 * * *'
  limits: { max_rows: 1000, max_percent: 100 }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

let site: Site

beforeAll(async () => {
  site = await openSite(SCHEMA)
  await site.govern(POLICY)
})

afterAll(async () => {
  await site[Symbol.asyncDispose]()
})

const left = async () =>
  (await site.sql<{ rows: number }>('select count(*)::int as rows from site.visit'))[0]?.rows

type Line = Readonly<Record<string, unknown>>

/** Reads the log of a daemon: every line so far, and the next one with a given message. */
function readLog(child: ChildProcess) {
  const lines: Line[] = []
  const waiting: { readonly msg: string; readonly found: (line: Line) => void }[] = []
  if (child.stdout === null) throw new Error('the child has no stdout')
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Line
    lines.push(line)
    for (const { msg, found } of waiting) if (line['msg'] === msg) found(line)
  })
  return {
    lines,
    next: async (msg: string): Promise<Line> => {
      const seen = lines.find((line) => line['msg'] === msg)
      if (seen !== undefined) return seen
      return new Promise((found, reject) => {
        waiting.push({ msg, found })
        child.once('close', () => reject(new Error(`it ended before it said: ${msg}`)))
      })
    },
  }
}

test('a daemon refuses a database that was never migrated', async () => {
  await site.run(['keygen', site.env['RETENTIOND_ENTRY_KEY_FILE'] ?? ''])

  const env = { ...site.superuser, RETENTIOND_LISTEN: '127.0.0.1:0' }
  const { status, out, err } = await site.run(['daemon'], env)

  expect(status).toBe(78)
  expect(out).not.toMatch(/planned|ready/)
  expect(err).toContain('run: retentiond migrate')
})

test('a daemon shows its plan, says whether it is ready, and stops when it is told to', async () => {
  await site.prepare()
  const url = new URL(site.env['RETENTIOND_DATABASE_URL'] ?? '')
  await using proxy = await openProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(proxy.port)
  const env: Environment = {
    ...site.env,
    RETENTIOND_DATABASE_URL: url.href,
    RETENTIOND_LISTEN: '127.0.0.1:0',
  }
  // It may start before its database does.
  await proxy.cut()
  const child = start(['daemon'], env)
  const log = readLog(child)
  const ended = exitOf(child)
  const { port } = await log.next('listening')
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`)
    return { status: response.status, body: await response.json() }
  }

  await log.next('waiting for the database')
  const early = [await ask('/livez'), await ask('/readyz')]
  await proxy.mend()
  await log.next('ready')
  const healthy = [await ask('/livez'), await ask('/readyz')]
  await proxy.cut()
  const cutOff = [await ask('/livez'), await ask('/readyz')]
  await proxy.mend()
  const mended = await ask('/readyz')
  child.kill('SIGTERM')

  expect(await ended).toBe(0)
  expect(early.map(({ status }) => status)).toEqual([200, 503])
  expect(early[1]?.body).toMatchObject({ ready: false, database: false, journal: false })
  expect(healthy.map(({ status }) => status)).toEqual([200, 200])
  expect(cutOff.map(({ status }) => status)).toEqual([200, 503])
  expect(cutOff[1]?.body).toMatchObject({ ready: false, database: false, journal: true })
  expect(mended.status).toBe(200)
  expect(await log.next('planned')).toMatchObject({
    rule: 'visit',
    table: 'site.visit',
    action: 'purge',
    counts: { due: 10, running: 10 },
    refusal: { code: 'not_approved' },
  })
  expect(await log.next('next scheduled run')).toMatchObject({ rules: ['visit'] })
  expect(log.lines.at(-1)).toMatchObject({ msg: 'stopped' })
  const said = JSON.stringify(log.lines)
  expect(said).not.toContain(CANARY)
  expect(said).not.toContain(`:${url.password}@`)
  expect(await left()).toBe(20)
})

const daemonInside = async () => openDaemon(site.env)

test('a scheduled run does nothing that nobody approved, and acts once it is approved', async () => {
  await using daemon = await daemonInside()

  await daemon.ring('rule refused')
  const before = await left()
  const plan = `${site.folder}/plan.json`
  await site.run(['plan', '-o', plan])
  await site.run(['approve', plan])
  await daemon.ring('run ended')

  expect(before).toBe(20)
  expect(await left()).toBe(10)
  const refused = daemon.said.find(({ message }) => message === 'rule refused')
  expect(refused?.fields).toMatchObject({ rule: 'visit', code: 'not_approved' })
  expect(JSON.stringify(daemon.said)).not.toContain(CANARY)
})

test('another instance at work is no failure: the next schedule comes anyway', async () => {
  await site.sql(`
    update retentiond.lease set token = token + 1, holder = 'other', acquired_at = now(),
      expires_at = now() + interval '1 hour'`)
  await using daemon = await daemonInside()

  await daemon.ring('another instance is enforcing')
  const during = await daemon.readiness()
  await site.sql('update retentiond.lease set holder = null, expires_at = null')
  await daemon.ring('run ended')

  expect(during).toBe(200)
})

test('a table without a rule is said at the start and before each run, and the run goes on', async () => {
  await site.sql('create table site.later (id bigint primary key)')
  await site.govern(POLICY.replace('defaults:', 'coverage: { schemas: [site] }\ndefaults:'))
  await using daemon = await daemonInside()

  await daemon.ring('run ended')
  const told = await daemon.told()
  await site.govern(POLICY)

  const findings = daemon.said.filter(({ message }) => message === 'coverage finding')
  expect(findings.map(({ fields }) => fields['code'])).toEqual([
    'table_uncovered',
    'table_uncovered',
  ])
  expect(told).toMatchObject({ ready: true, covered: false })
})

test('a journal that is not sound stops every run to come, and readiness says so', async () => {
  await using daemon = await daemonInside()
  await site.sql(`
    insert into site.visit values (100, '2001-01-01', '${CANARY}');
    alter table retentiond.head disable trigger all;
    delete from retentiond.head`)

  await daemon.ring('run failed')
  const failed = daemon.said.find(({ message }) => message === 'run failed')
  await daemon.ring('not run: the journal is not sound; enforcement stays off')

  expect(failed?.fields).toMatchObject({ err: { code: 'JOURNAL_CORRUPT' } })
  expect(await daemon.readiness()).toBe(503)
  expect(await left()).toBe(11)
})
