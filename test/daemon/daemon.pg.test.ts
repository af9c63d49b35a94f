import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import type { LogFields } from '../../src/base/log.ts'
import { runDaemon, type DaemonOptions } from '../../src/daemon/daemon.ts'
import type { SetAlarm } from '../../src/daemon/schedule.ts'
import { connect } from '../../src/db/connect.ts'
import { readKeyFile } from '../../src/journal/key-file.ts'
import { valueOf } from '../../src/plan/prepare.ts'
import { loadPolicies } from '../../src/policy/load.ts'
import { exitOf, start, type Environment } from '../cli/program.ts'
import { openSite, type Site } from '../cli/site.ts'
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

const env = (name: string): string => site.env[`RETENTIOND_${name}`] ?? ''

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

/** A daemon inside this process, whose alarm the test rings. */
async function daemonInside(over: Partial<DaemonOptions> = {}, url = env('DATABASE_URL')) {
  const stopping = new AbortController()
  const connection = connect(url, { max: 3 })
  const said: { readonly fields: LogFields; readonly message: string }[] = []
  const heard = new EventTarget()
  const note = (fields: LogFields, message: string) => {
    said.push({ fields, message })
    heard.dispatchEvent(new Event(message))
  }
  const alarms: (() => void)[] = []
  const setAlarm: SetAlarm = (_schedule, wake) => {
    alarms.push(wake)
    return { next: null, stop: async () => {} }
  }
  const hear = async (message: string) =>
    new Promise((resolve) => {
      heard.addEventListener(message, resolve, { once: true })
    })
  const ready = hear('ready')
  const load = async () => valueOf(await loadPolicies(env('POLICIES')))
  const reloads: (() => void)[] = []
  const running = runDaemon({
    connections: 2,
    db: connection.db,
    ask: async () => {},
    set: await load(),
    reload: load,
    onReload: (reload) => reloads.push(reload),
    pseudonyms: null,
    signer: await readKeyFile(env('ENTRY_KEY_FILE')),
    clock: systemClock,
    log: { debug: () => {}, info: note, warn: note, error: note },
    listen: { host: '127.0.0.1', port: 0 },
    powerfulRole: 'refuse',
    setAlarm,
    signal: stopping.signal,
    ...over,
  })
  await Promise.race([ready, running])
  const port = said.find(({ message }) => message === 'ready')?.fields['port']
  return {
    said,
    hear,
    reload: async (message: string) => {
      const answer = hear(message)
      for (const each of reloads) each()
      await answer
    },
    /** Rings, and waits until the daemon says `message`. */
    ring: async (message: string) => {
      const answer = hear(message)
      for (const wake of alarms) wake()
      await answer
    },
    told: async () => (await fetch(`http://127.0.0.1:${String(port)}/readyz`)).json(),
    readiness: async () => (await fetch(`http://127.0.0.1:${String(port)}/readyz`)).status,
    [Symbol.asyncDispose]: async () => {
      stopping.abort()
      await running
      await connection[Symbol.asyncDispose]()
    },
  }
}

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

/** Due visits, as many as a test wants. */
const visit = async (from: number, to: number) =>
  site.sql(`
    insert into site.visit select n, '2001-01-01', '${CANARY}' from generate_series(${from}, ${to}) as n`)

/** Whatever a batch journals, does this first, until the returned function is called. */
async function atEachBatch(does: string): Promise<() => Promise<unknown>> {
  await site.sql(`
    create function site.meet() returns trigger language plpgsql as $$
    begin
      if position('"type":"batch"' in convert_from(new.body, 'UTF8')) > 0 then ${does}; end if;
      return new;
    end $$;
    grant usage on schema site to public;
    create trigger meet before insert on retentiond.entry
    for each row execute function site.meet()`)
  return async () => site.sql('drop function site.meet() cascade')
}

type Said = readonly { readonly fields: LogFields; readonly message: string }[]

const fieldsOf = (said: Said, words: string) =>
  said.flatMap(({ fields, message }) => (message === words ? [fields] : []))

test('of three daemons that wake up together one runs, and the others say who does and since when', async () => {
  await visit(200, 209)
  const undo = await atEachBatch('perform pg_sleep(0.4)')
  await using one = await daemonInside()
  await using two = await daemonInside()
  await using three = await daemonInside()
  const daemons = [one, two, three]

  await Promise.all(
    daemons.map(async ({ hear, ring }) => {
      const other = hear('another instance is enforcing')
      await Promise.race([ring('run ended'), other])
    }),
  )
  await undo()

  const said = daemons.flatMap((daemon) => daemon.said)
  expect(fieldsOf(said, 'run ended')).toMatchObject([{ outcome: 'done' }])
  const told = fieldsOf(said, 'another instance is enforcing')
  expect(told).toHaveLength(2)
  expect(JSON.stringify(told)).toMatch(/daemon on .+, process \d+ holds the lease since \d{4}-/)
  expect(await left()).toBe(10)
})

test('policies that are read again in the middle of a run are for the next one', async () => {
  await visit(300, 304)
  const undo = await atEachBatch('perform pg_sleep(0.4)')
  await using daemon = await daemonInside()

  const ended = daemon.ring('run ended')
  await daemon.hear('run started')
  // A longer period needs no approval.
  await site.govern(POLICY.replace('12 months', '100 years'))
  await daemon.reload('policies read again: used from the next run on')
  const during = fieldsOf(daemon.said, 'run ended').length
  await ended
  await undo()
  const acted = await left()
  await visit(300, 304)
  await daemon.ring('run ended')
  await site.govern('version: 1')
  await daemon.reload('policies not taken into use: those before stay')
  const runs = await site.run(['journal', 'list', '--output', 'json'])

  expect([during, acted, await left()]).toEqual([0, 10, 15])
  const [read] = fieldsOf(daemon.said, 'policies read again: used from the next run on')
  const started = [...runs.out.matchAll(/"policy_set":\s*"([^"]+)/g)].map(([, digest]) => digest)
  expect(started.slice(-2)).toEqual([read?.['before'], read?.['policies']])
  await site.govern(POLICY)
  await site.sql('delete from site.visit where id between 300 and 304')
})

test('a daemon whose server has no disk space left tries nothing more for a quarter of an hour', async () => {
  await visit(400, 404)
  const passed = { ms: 0 }
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + passed.ms }
  await using daemon = await daemonInside({ clock })
  const undo = await atEachBatch("raise exception using errcode = '53100'")
  const resting = 'not run for a while: the server had run out of something'

  await daemon.ring(resting)
  await undo()
  passed.ms = 14 * 60_000
  await daemon.ring(resting)
  const between = await left()
  passed.ms = 15 * 60_000 + 1000
  await daemon.ring('run ended')

  expect(fieldsOf(daemon.said, 'run ended')).toMatchObject([
    { outcome: 'failed' },
    { outcome: 'done' },
  ])
  expect(fieldsOf(daemon.said, resting)).toMatchObject([{ minutes: 15 }, { minutes: 1 }])
  expect([between, await left()]).toEqual([15, 10])
})

test('a run that finds no database is made up for as soon as there is one', async () => {
  await visit(500, 504)
  const url = new URL(env('DATABASE_URL'))
  await using proxy = await openProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(proxy.port)
  await using daemon = await daemonInside({}, url.href)

  await proxy.cut()
  await daemon.ring('run failed')
  await proxy.mend()
  await daemon.hear('run ended')

  expect(fieldsOf(daemon.said, 'run ended')).toMatchObject([{ outcome: 'done' }])
  expect(await left()).toBe(10)
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
