import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { startPostgres, type PostgresServer } from '../../deploy/embedded/postgres.ts'
import { startStandby } from '../support/standby.ts'
import { runInside, type Environment } from './program.ts'

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

/** A primary with one due visit, and the program prepared on it. */
let server: PostgresServer
let standby: PostgresServer
let folder: string

const as = (url: string): Environment => ({
  RETENTIOND_DATABASE_URL: url,
  RETENTIOND_POLICIES: join(folder, 'policies'),
  RETENTIOND_ENTRY_KEY_FILE: join(folder, 'entry.key'),
})

async function sqlOn<T extends object>(
  on: PostgresServer,
  statements: string,
): Promise<readonly T[]> {
  const client = new Client({ connectionString: on.url() })
  await client.connect()
  const { rows } = await client.query<T>(statements)
  await client.end()
  return rows
}

beforeAll(async () => {
  const major = inject('major')
  server = await startPostgres({ major })
  folder = await mkdtemp(join(tmpdir(), 'retentiond-standby-'))
  await mkdir(join(folder, 'policies'))
  await writeFile(join(folder, 'policies', 'site.yaml'), POLICY)
  const plan = join(folder, 'plan.json')
  const primary = as(server.url('postgres', 'retentiond', 'test'))
  const superuser = as(server.url())
  await sqlOn(
    server,
    `create schema site;
    create table site.visit (id bigint primary key, seen_at date);
    insert into site.visit values (1, '2001-01-01'), (2, current_date)`,
  )
  await runInside(['keygen', join(folder, 'entry.key')], primary)
  await sqlOn(server, (await runInside(['grants'], superuser)).out)
  await sqlOn(server, `alter role retentiond password 'test'`)
  await runInside(['migrate'], superuser)
  await runInside(['plan', '-o', plan], primary)
  await runInside(['approve', plan], primary)
  standby = await startStandby(server, { major })
})

afterAll(async () => {
  await standby[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

test('on a standby what reads works, and what destroys is refused', async () => {
  const env = as(standby.url('postgres', 'retentiond', 'test'))
  const reading = [
    await runInside(['plan'], env),
    await runInside(['validate', '--database'], env),
    await runInside(['explain', 'site.visit', '1'], env),
    await runInside(['journal', 'list'], env),
  ]
  const acting = [
    await runInside(['enforce'], env),
    await runInside(['enforce', '--plan', join(folder, 'plan.json')], env),
  ]

  expect(reading.map(({ status, err }) => ({ status, err }))).toEqual(
    reading.map(() => ({ status: 0, err: '' })),
  )
  expect(reading[0]?.out).toContain('1 rows under 1 rule would be acted on')
  for (const { status, out, err } of acting) {
    expect({ status, out }).toEqual({ status: 3, out: '' })
    expect(err).toContain('this server is a standby')
  }
})

test('a failover that lost the last batches destroys nothing, and goes on in a new timeline once they are back', async () => {
  const url = new URL(server.url('postgres', 'retentiond', 'test'))
  const both = url.href.replace(url.host, `127.0.0.1:${standby.port},${url.host}`)
  await writeFile(
    join(folder, 'anchors.yaml'),
    'sinks:\n  - { name: kept, kind: file, folder: kept }\n',
  )
  await runInside(['keygen', join(folder, 'checkpoint.key')], {})
  const env = {
    ...as(both),
    RETENTIOND_CHECKPOINT_KEY_FILE: join(folder, 'checkpoint.key'),
    RETENTIOND_ANCHORS_FILE: join(folder, 'anchors.yaml'),
  }
  const visits = async () => (await sqlOn(standby, 'select from site.visit')).length
  const enforce = async () => runInside(['enforce'], env)

  await sqlOn(standby, `alter system set primary_conninfo = ''`)
  await sqlOn(standby, 'select pg_reload_conf()')
  while ((await sqlOn(standby, 'select from pg_stat_wal_receiver')).length > 0);
  const before = await enforce()
  process.kill(server.pid, 'SIGQUIT')
  await sqlOn(standby, 'select pg_promote(true, 60)')
  const lost = [await enforce(), await visits()] as const
  const recovered = await runInside(['journal', 'recover', '--from', join(folder, 'kept')], env)
  const after = [await enforce(), await visits()] as const

  expect(before).toMatchObject({
    status: 0,
    out: expect.stringContaining('visit: 1 row') as string,
  })
  expect(lost).toMatchObject([{ status: 5, out: '' }, 2])
  expect(lost[0].err).toMatch(
    /sink kept remembers 7: .*on timeline 00000002 after 00000001: .*a failover/,
  )
  expect(recovered).toMatchObject({ status: 0, err: '' })
  expect(after).toMatchObject([{ status: 0 }, 1])
  const timelines = await sqlOn(
    standby,
    `select distinct convert_from(body, 'UTF8')::jsonb -> 'db' ->> 'tli' as tli
    from retentiond.entry order by 1`,
  )
  expect(timelines).toEqual([{ tli: '00000001' }, { tli: '00000002' }])
})
