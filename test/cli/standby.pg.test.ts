import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, inject, test } from 'vitest'
import { startPostgres } from '../../deploy/embedded/postgres.ts'
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

test('on a standby what reads works, and what destroys is refused', async () => {
  const major = inject('major')
  await using server = await startPostgres({ major })
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-standby-'))
  await mkdir(join(folder, 'policies'))
  await writeFile(join(folder, 'policies', 'site.yaml'), POLICY)
  const plan = join(folder, 'plan.json')
  const as = (url: string): Environment => ({
    RETENTIOND_DATABASE_URL: url,
    RETENTIOND_POLICIES: join(folder, 'policies'),
    RETENTIOND_ENTRY_KEY_FILE: join(folder, 'entry.key'),
  })
  const superuser = as(server.url())
  const primary = as(server.url('postgres', 'retentiond', 'test'))
  const sql = async (statements: string) => {
    const client = new Client({ connectionString: server.url() })
    await client.connect()
    await client.query(statements)
    await client.end()
  }
  await sql(`
    create schema site;
    create table site.visit (id bigint primary key, seen_at date);
    insert into site.visit values (1, '2001-01-01'), (2, current_date)`)
  await runInside(['keygen', join(folder, 'entry.key')], primary)
  await sql((await runInside(['grants'], superuser)).out)
  await sql(`alter role retentiond password 'test'`)
  await runInside(['migrate'], superuser)
  await runInside(['plan', '-o', plan], primary)
  await runInside(['approve', plan], primary)

  await using standby = await startStandby(server, { major })
  const env = as(standby.url('postgres', 'retentiond', 'test'))
  const reading = [
    await runInside(['plan'], env),
    await runInside(['validate', '--database'], env),
    await runInside(['explain', 'site.visit', '1'], env),
    await runInside(['journal', 'list'], env),
  ]
  const acting = [
    await runInside(['enforce'], env),
    await runInside(['enforce', '--plan', plan], env),
  ]
  await rm(folder, { recursive: true })

  expect(reading.map(({ status, err }) => ({ status, err }))).toEqual(
    reading.map(() => ({ status: 0, err: '' })),
  )
  expect(reading[0]?.out).toContain('1 rows under 1 rule would be acted on')
  for (const { status, out, err } of acting) {
    expect({ status, out }).toEqual({ status: 3, out: '' })
    expect(err).toContain('this server is a standby')
  }
})
