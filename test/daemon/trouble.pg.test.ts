/** Daemons in trouble: faults.md C2, C6, C12, L1, L10 and R1, on a server that may be crashed. */
import { execFileSync } from 'node:child_process'
import { constants } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import type { LogFields } from '../../src/base/log.ts'
import { freePort } from '../../deploy/embedded/postgres.ts'
import { exitOf, start } from '../cli/program.ts'
import { openSite, type Site } from '../cli/site.ts'
import { openCrashingServer, type CrashingServer } from '../support/crashing-server.ts'
import { openDaemon } from './inside.ts'
import { openProxy } from './proxy.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (
    id bigint generated always as identity primary key, seen_at timestamptz
  );
  insert into site.visit (seen_at) select now() from generate_series(1, 10);
  insert into site.visit (seen_at) select '2001-01-01' from generate_series(1, 20)`

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults:
  mode: enforce
  schedule: '0 3 * * *'
  limits: { max_rows: 1000, max_percent: 100 }
  batch: { rows: 5 }
  pace: { share: 100 }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

let server: CrashingServer
let site: Site
/** Visits that were due at some time. */
let due = 20

beforeAll(async () => {
  server = await openCrashingServer(inject('major'))
  site = await openSite(SCHEMA, server.url())
  await site.govern(POLICY)
  await site.prepare()
  const plan = join(site.folder, 'plan.json')
  await site.run(['plan', '-o', plan])
  await site.run(['approve', plan])
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(site.folder, { recursive: true })
})

beforeEach(async () => {
  await site.govern(POLICY)
  await sql('drop table if exists site.gate; drop function if exists site.meet() cascade')
})

const sql = async <T extends object>(statements: string) =>
  server.sql<T>(site.database.name, statements)

/** Visits that are there. */
const left = async () =>
  (await sql<{ rows: number }>('select count(*)::int as rows from site.visit'))[0]?.rows

/** Due visits, as many as a test wants. */
async function visit(rows: number): Promise<void> {
  due += rows
  await sql(`insert into site.visit (seen_at) select '2001-01-01' from generate_series(1, ${rows})`)
}

/** Whatever a batch journals, does this first, until the returned function is called. */
async function atEachBatch(does: string): Promise<() => Promise<unknown>> {
  await sql(`
    create function site.meet() returns trigger language plpgsql as $$
    begin
      if position('"type":"batch"' in convert_from(new.body, 'UTF8')) > 0 then ${does}; end if;
      return new;
    end $$;
    grant usage on schema site to public;
    create trigger meet before insert on retentiond.entry
    for each row execute function site.meet()`)
  return async () => sql('drop function if exists site.meet() cascade')
}

/** A batch that is journalled waits until the returned function is called. */
async function holdBatches(): Promise<() => Promise<unknown>> {
  await sql('create table site.gate ()')
  const undo = await atEachBatch(
    `while exists (select from pg_catalog.pg_class where relname = 'gate') loop
      perform pg_sleep(0.01);
    end loop`,
  )
  return async () => {
    await sql('drop table if exists site.gate')
    return undo()
  }
}

type Said = readonly { readonly fields: LogFields; readonly message: string }[]

const fieldsOf = (said: Said, words: string) =>
  said.flatMap(({ fields, message }) => (message === words ? [fields] : []))

test('of three daemons that wake up together one runs, and the others say who does and since when', async () => {
  await visit(10)
  const release = await holdBatches()
  await using one = await openDaemon(site.env)
  await using two = await openDaemon(site.env)
  await using three = await openDaemon(site.env)
  const daemons = [one, two, three]

  let others = 0
  await Promise.all(
    daemons.map(async ({ hear, ring }) => {
      const told = async () => {
        await hear('another instance is enforcing')
        others += 1
        if (others === 2) await release()
      }
      await Promise.race([ring('run ended'), told()])
    }),
  )

  const said = daemons.flatMap((daemon) => daemon.said)
  expect(fieldsOf(said, 'run ended')).toMatchObject([{ outcome: 'done' }])
  const told = fieldsOf(said, 'another instance is enforcing')
  expect(told).toHaveLength(2)
  expect(JSON.stringify(told)).toMatch(/daemon on .+, process \d+ holds the lease since \d{4}-/)
  expect(await left()).toBe(10)
})

test('policies that are read again in the middle of a run are for the next one', async () => {
  await visit(5)
  const release = await holdBatches()
  await using daemon = await openDaemon(site.env)

  const ended = daemon.ring('run ended')
  await daemon.hear('run started')
  // A longer period needs no approval.
  await site.govern(POLICY.replace('12 months', '100 years'))
  await daemon.reload('policies read again: used from the next run on')
  const during = fieldsOf(daemon.said, 'run ended').length
  await release()
  await ended
  const acted = await left()
  await visit(5)
  await daemon.ring('run ended')
  await site.govern('version: 1')
  await daemon.reload('policies not taken into use: those before stay')
  const runs = await site.run(['journal', 'list', '--output', 'json'])

  expect([during, acted, await left()]).toEqual([0, 10, 15])
  const [read] = fieldsOf(daemon.said, 'policies read again: used from the next run on')
  const started = [...runs.out.matchAll(/"policy_set":\s*"([^"]+)/g)].map(([, digest]) => digest)
  expect(started.slice(-2)).toEqual([read?.['before'], read?.['policies']])
})

test('a daemon whose server has no disk space left tries nothing more for a quarter of an hour', async () => {
  await visit(5)
  const passed = { ms: 0 }
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + passed.ms }
  await using daemon = await openDaemon(site.env, { clock })
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
  expect([between, await left()]).toEqual([20, 10])
})

test('a run that finds no database is made up for as soon as there is one', async () => {
  await visit(5)
  const url = new URL(site.env['RETENTIOND_DATABASE_URL'] ?? '')
  await using proxy = await openProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(proxy.port)
  await using daemon = await openDaemon({ ...site.env, RETENTIOND_DATABASE_URL: url.href })

  await proxy.cut()
  await daemon.ring('run failed')
  await proxy.mend()
  await daemon.hear('run ended')

  expect(fieldsOf(daemon.said, 'run ended')).toMatchObject([{ outcome: 'done' }])
  expect(await left()).toBe(10)
})

/** Visits that the journal says are gone. */
async function journalled(): Promise<number | undefined> {
  const [row] = await sql<{ rows: number }>(`
    select coalesce(sum((convert_from(body, 'UTF8')::jsonb ->> 'rows')::int), 0)::int as rows
    from retentiond.entry where convert_from(body, 'UTF8')::jsonb ->> 'type' = 'batch'`)
  return row?.rows
}

const daemonRole = () => new URL(site.env['RETENTIOND_DATABASE_URL'] ?? '').username

const CRASHES: readonly (readonly [string, () => Promise<void>])[] = [
  ['a session that is killed', async () => server.killSession(site.database.name, daemonRole())],
  ['a server that is killed', async () => server.kill()],
  ['a server that is restarted', async () => server.restart()],
]

test.for(CRASHES)(
  'a daemon outlives %s in the middle of a batch, waits, and goes on with the run',
  async ([, crash]) => {
    await visit(20)
    const release = await holdBatches()
    await using daemon = await openDaemon(site.env)

    const ended = daemon.ring('run ended')
    const inBatch = `select from pg_stat_activity where usename = '${daemonRole()}' and wait_event = 'PgSleep'`
    while ((await sql(inBatch)).length === 0);
    await crash()
    await outlived(release)
    await ended

    expect(fieldsOf(daemon.said, 'run ended')).toMatchObject([{ outcome: 'done' }])
    expect(fieldsOf(daemon.said, 'the database went away, tried again').length).toBeGreaterThan(0)
    expect(await left()).toBe(10)
    expect(await journalled()).toBe(due)
    expect(await daemon.readiness()).toBe(200)
  },
)

/** Until a server has recovered it takes no connection. */
async function outlived(release: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await release()
      return
    } catch {
      // It still recovers.
    }
  }
}

/** A pipe that is full to the brim, which nobody reads. */
async function fullPipe(): Promise<FileHandle> {
  const path = join(site.folder, 'log')
  execFileSync('mkfifo', [path])
  const pipe = await open(path, constants.O_RDWR | constants.O_NONBLOCK)
  const isFull = async () =>
    pipe.write(Buffer.alloc(65_536)).then(
      () => false,
      () => true,
    )
  while (!(await isFull()));
  return pipe
}

test('a daemon whose log nobody reads is well, acts, and stops when it is told to', async () => {
  await using pipe = await fullPipe()
  const listen = `127.0.0.1:${await freePort()}`
  const env = { ...site.env, RETENTIOND_LISTEN: listen, RETENTIOND_LOG_LEVEL: 'debug' }
  const child = start(['daemon'], env, ['ignore', pipe.fd, 'ignore'])
  const status = async (path: string) =>
    fetch(`http://${listen}${path}`).then(
      (response) => response.status,
      () => null,
    )

  while ((await status('/readyz')) !== 200);
  const live = await status('/livez')
  child.kill('SIGTERM')

  expect(await exitOf(child)).toBe(0)
  expect(live).toBe(200)
})

test('a run whose output nobody takes ends as it would otherwise', async () => {
  await visit(20)
  const child = start(['enforce'], site.env)
  child.stdout?.destroy()
  child.stderr?.destroy()

  expect(await exitOf(child)).toBe(0)
  expect(await left()).toBe(10)
  expect(await journalled()).toBe(due)
})
