/** What follows a run: statistics without the values that went, and what may still be recovered. */
import { expect } from 'vitest'
import { test, type Bed } from '../support/bed.ts'
import { openSession } from '../support/faults.ts'

const policy = (after: string): string => `
version: 1
policy: site
owner: DPO
timezone: UTC
backups: 35 days
defaults:
  mode: enforce
  limits: { max_rows: 100000, max_percent: 100 }
  pace: { share: 100 }
  after: ${after}
rules:
  - id: visitor
    table: site.visitor
    start: seen_at
    keep: 12 months
    then: purge
    references: { site.page: with_parent }
`

const DUE = "now() - interval '2 years'"

async function openSite(bed: Bed, after = '{}'): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visitor (id int primary key, seen_at timestamptz, email text);
    create table site.page (id int primary key, visitor_id int references site.visitor, path text);
    create index on site.page (visitor_id);
    create view site.seen as select id, email from site.visitor;
    create materialized view site.everyone as select email from site.seen;
    insert into site.visitor select n, ${DUE}, 'gone@example.org' from generate_series(1, 50) as n;
    insert into site.visitor select n, now(), 'stays@example.org' from generate_series(51, 60) as n;
    insert into site.page select n, n, '/' from generate_series(1, 50) as n;
    analyze site.visitor, site.page`)
  await bed.govern(policy(after))
}

async function statistics(bed: Bed): Promise<string> {
  const [row] = await bed.rows<{ known: string }>(`
    select coalesce(string_agg(concat(most_common_vals, histogram_bounds), ' '), '') as known
    from pg_stats where schemaname = 'site' and attname in ('email', 'path')`)
  return row?.known ?? ''
}

async function serverVersion(bed: Bed): Promise<number> {
  const [row] = await bed.rows<{ version: number }>(
    "select current_setting('server_version_num')::int as version",
  )
  return row?.version ?? 0
}

test('after a run statistics hold no value that went, and the report says what else may be recovered', async ({
  bed,
}) => {
  await openSite(bed)
  const version = await serverVersion(bed)
  const before = await statistics(bed)

  const { outcome, after } = await bed.enforce()

  const may = version >= 170_000
  expect([outcome, before.includes('gone@')]).toEqual(['done', true])
  expect(after.tended).toEqual(
    ['site.page', 'site.visitor'].map((table) => ({
      table,
      analyzed: may,
      cleared: version >= 180_000,
      vacuumed: false,
      why: may ? null : `before PostgreSQL 17 only its owner may; have it run: analyze ${table};`,
    })),
  )
  expect((await statistics(bed)).includes('gone@')).toBe(!may)
  const [{ day } = { day: '' }] = await bed.rows<{ day: string }>(
    "select ((now() at time zone 'UTC')::date + 35)::text as day",
  )
  expect(after.residue?.map(({ kind, of }) => `${kind} ${of ?? ''}`.trim())).toEqual(
    expect.arrayContaining([
      'dead_rows site.visitor',
      'materialised_view site.everyone',
      'log',
      'backups',
    ]),
  )
  expect(after.residue?.find(({ kind }) => kind === 'backups')?.until).toBe(day)
})

async function insertDue(bed: Bed): Promise<void> {
  await bed.run(`insert into site.visitor values (1000, ${DUE}, 'gone@example.org')`)
}

test('a table that the role may not analyze, or that is locked, is left, and the report says why', async ({
  bed,
}) => {
  await openSite(bed)
  const lacking = (await serverVersion(bed)) < 170_000
  if (!lacking) await bed.run(`revoke maintain on site.visitor from ${bed.roles.daemon}`)
  await bed.run('truncate site.page')
  await bed.watch()

  const refused = await bed.enforce()
  // Whoever may not be told to analyze gets the right another way: it is the owner of the database.
  const [{ owner } = { owner: '' }] = await bed.rows<{ owner: string }>(
    'select datdba::regrole::text as owner from pg_database where datname = current_database()',
  )
  await bed.run(`alter database ${bed.database.name} owner to ${bed.roles.daemon}`)
  await insertDue(bed)
  const { superuserUrl, superuser } = bed.database
  await using session = await openSession(superuserUrl, superuser)
  await session.send('begin')
  await session.send('lock table site.visitor in share update exclusive mode')
  const locked = await bed.enforce()
  await session.send('rollback')
  await insertDue(bed)
  const done = await bed.enforce()
  await bed.run(`alter database ${bed.database.name} owner to ${owner}`)

  const why = [refused, locked, done].map(({ outcome, after }) => [outcome, after.tended[0]?.why])
  expect(why).toEqual([
    [
      'done',
      lacking
        ? 'before PostgreSQL 17 only its owner may; have it run: analyze site.visitor;'
        : `the role may not: grant maintain on table site.visitor to ${bed.roles.daemon};`,
    ],
    ['done', 'another session had locked it, or a part of it'],
    ['done', null],
  ])
  expect((await statistics(bed)).includes('gone@')).toBe(false)
})

test('a table that was emptied keeps its statistics through ANALYZE, and they are cleared or told of', async ({
  bed,
}) => {
  await openSite(bed, '{ vacuum: true }')
  await bed.run("update site.visitor set seen_at = '2001-01-01'")
  const version = await serverVersion(bed)

  const { after } = await bed.enforce()

  const visitor = after.tended.find(({ table }) => table === 'site.visitor')
  const told = after.residue?.some(({ kind, of }) => kind === 'statistics' && of === 'site.visitor')
  expect(visitor).toMatchObject({ analyzed: version >= 170_000, vacuumed: version >= 170_000 })
  expect((await statistics(bed)).includes('gone@')).toBe(version < 180_000)
  expect(told).toBe(version < 180_000)
})
