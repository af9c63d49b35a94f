import { expect, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { makePlan } from '../../src/plan/make.ts'
import { prepare } from '../../src/plan/prepare.ts'
import { openBed, type Bed } from '../support/bed.ts'

const POLICY = `
version: 1
policy: site
title: Site
owner: DPO
timezone: America/Havana
sentinels: { open: ["2001-01-01"], invalid: ["2002-02-02"] }
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 } }
rules:
  - { id: day, title: Days, table: site.day, start: at, keep: 1 year, then: purge }
  - { id: instant, title: Instants, table: site.instant, start: at, keep: 1 year, then: purge }
  - id: local
    title: Local times
    table: site.local
    start: { column: at, timezone: America/St_Johns }
    keep: 1 year
    then: purge
`

/** What a session may be set to from outside: nothing of it may reach what a record's date means. */
const SETTINGS = [
  "TimeZone = 'Pacific/Kiritimati'",
  "TimeZone = 'Etc/GMT+12'",
  "DateStyle = 'SQL, DMY'",
  "DateStyle = 'German'",
  "DateStyle = 'Postgres, MDY'",
  "IntervalStyle = 'sql_standard'",
  'search_path = trap',
  "timezone_abbreviations = 'Australia'",
  'extra_float_digits = -15',
]

const TABLES = `
  create schema site;
  create type site.mood as enum ('fair');
  create table site.day (id int primary key, at date, mood site.mood);
  create table site.instant (id int primary key, at timestamptz, mood site.mood);
  create table site.local (id int primary key, at timestamp, mood site.mood);
  -- What a search path would find first.
  create schema trap;
  create function trap.now() returns timestamptz language sql as $$ select 'epoch'::timestamptz $$;
  create function trap.less(date, date) returns boolean language sql as $$ select true $$;
  create operator trap.< (leftarg = date, rightarg = date, procedure = trap.less);
  grant usage on schema trap to public;`

/** Rows about the end of their year, by the hour; and days that mean something else, unclear to some. */
const ROWS = `
  truncate site.day, site.instant, site.local;
  insert into site.instant
    select n, today - interval '1 year' + (n - 72) * interval '1 hour'
    from generate_series(1, 144) as n
    cross join (select date_trunc('day', now(), 'America/Havana') as today) as clock;
  insert into site.instant values
    (1001, '2001-01-01T12:00:00Z'), (1002, '2002-02-02T12:00:00Z'), (1003, '2003-04-05T12:00:00Z'),
    (1004, 'infinity'), (1005, '-infinity'), (1006, '1970-01-01T00:00:00Z'), (1007, null);
  insert into site.day select id, (at at time zone 'America/Havana')::date from site.instant;
  insert into site.local select id, at at time zone 'America/St_Johns' from site.instant`

const LEFT = `
  select 'day' as of, id from site.day union all
  select 'instant', id from site.instant union all
  select 'local', id from site.local
  order by of, id`

/** Plans and enforces with a fresh session of the daemon's role, and says what is left. */
async function outcomeIn(bed: Bed) {
  const { set } = await bed.govern(POLICY)
  await bed.run(ROWS)
  await using connection = connect(bed.database.urlOf(bed.roles.daemon))
  const { db } = connection
  const prepared = await prepare(db, set)
  const plan = await makePlan(db, {
    ...prepared,
    policyDigest: set.digest,
    stand: { kind: 'now' },
    approved: null,
  })
  const { outcome } = await bed.enforce({ db, ...prepared, plan, approval: plan.digest })
  return { rules: plan.rules, outcome, left: await bed.rows(LEFT) }
}

test('no setting of a role changes which rows are due, and which of them go', async () => {
  await using bed = await openBed()
  await bed.run(TABLES)
  const expected = await outcomeIn(bed)

  for (const setting of SETTINGS) {
    await bed.run(`alter role ${bed.roles.daemon} set ${setting}`)
    expect({ setting, ...(await outcomeIn(bed)) }).toEqual({ setting, ...expected })
    await bed.run(`alter role ${bed.roles.daemon} reset all`)
  }
  expect(expected.rules.map(({ counts }) => counts.due)).not.toContain(0)
  expect(expected.outcome).toBe('done')
})

test('the time zone of the process changes nothing', async () => {
  await using bed = await openBed()
  await bed.run(TABLES)
  const expected = await outcomeIn(bed)
  const { TZ } = process.env

  try {
    for (const zone of ['Pacific/Kiritimati', 'Etc/GMT+12']) {
      process.env['TZ'] = zone
      expect({ zone, ...(await outcomeIn(bed)) }).toEqual({ zone, ...expected })
    }
  } finally {
    if (TZ === undefined) delete process.env['TZ']
    else process.env['TZ'] = TZ
  }
})
