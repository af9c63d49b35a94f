import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Verdict } from '../../src/plan/census.ts'
import { openBed, type Bed } from '../support/bed.ts'

/** What a date says that no period can start at, by name. Today is 2026-06-15. */
const DATES: readonly (readonly [string, string, Verdict])[] = [
  ['a day whose year is over', '2025-06-14', 'due'],
  ['a day whose year ends today', '2025-06-15', 'running'],
  ['the first plausible day', '1990-01-01', 'due'],
  ['the day before the first plausible one', '1989-12-31', 'implausible'],
  ['a day in the future', '2031-01-01', 'running'],
  ['no day', '', 'open'],
  ['infinity', 'infinity', 'open'],
  ['a day declared to mean open, in the past', '2001-01-01', 'open'],
  ['a day declared to mean open, in the future', '9999-12-31', 'open'],
  ['minus infinity', '-infinity', 'implausible'],
  ['the first day of the year 1', '0001-01-01', 'implausible'],
  ['a day before Christ', '0044-03-15 BC', 'implausible'],
  ['the epoch', '1970-01-01', 'implausible'],
  ['a day declared to be invalid', '2002-02-02', 'implausible'],
]

/** The same for instants and local times, where the time of day counts too. */
const TIMES: readonly (readonly [string, string, Verdict])[] = [
  ...DATES.map(([name, day, verdict]) => [name, withNoon(day), verdict] as const),
  ['the last microsecond of its year', '2025-06-14 23:59:59.999999', 'due'],
  ['the first instant of a plausible day', '1990-01-01 00:00:00', 'due'],
  ['the last microsecond before it', '1989-12-31 23:59:59.999999', 'implausible'],
  ['a sentinel with the last time of its day', '2001-01-01 23:59:59.999999', 'open'],
  ['a sentinel at midnight', '2002-02-02 00:00:00', 'implausible'],
]

const TODAY = { kind: 'day', day: '2026-06-15' } as const

let bed: Bed

beforeAll(async () => {
  bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.day (id int primary key, at date);
    create table site.instant (id int primary key, at timestamptz);
    create table site.local (id int primary key, at timestamp);
    create table site.account (id int primary key, made date);
    create table site.visit (id serial primary key, account int references site.account, at date);
    create index on site.visit (account)`)
  const plain = (table: string) =>
    `  - { id: ${table}, title: T, table: site.${table}, start: at, keep: 1 year, then: purge }\n`
  await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
sentinels: { open: ["2001-01-01", "9999-12-31", infinity], invalid: ["2002-02-02"] }
defaults: { limits: { max_rows: 1000000, max_percent: 100 } }
rules:
${plain('day')}${plain('instant')}${plain('local')}
  - id: account
    title: Accounts
    table: site.account
    start: { latest: site.visit.at, by: { account: id }, none: { use: made } }
    keep: 1 year
    then: purge
    references: { site.visit: with_parent }
`)
})

afterAll(async () => {
  // The rows came and went by the hands of the application.
  await bed.watch()
  await bed[Symbol.asyncDispose]()
})

test.for(DATES)('a date: %s', async ([, day, verdict]) => {
  expect(await verdictsOf('day', [[day]])).toEqual({ [verdict]: 1 })
})

test.for(TIMES)('a local time: %s', async ([, time, verdict]) => {
  expect(await verdictsOf('local', [[time]])).toEqual({ [verdict]: 1 })
})

test.for(TIMES)('an instant: %s', async ([, time, verdict]) => {
  const zoned = /\d$/.test(time) ? `${time} Europe/Paris` : time.replace(' BC', ' Europe/Paris BC')

  expect(await verdictsOf('instant', [[zoned]])).toEqual({ [verdict]: 1 })
})

test.for([
  ['2001-01-01 00:00:00 UTC', 'open'],
  ['2001-01-01 23:59:59 UTC', 'open'],
  ['2000-12-31 23:30:00 UTC', 'open'],
  ['2001-01-02 00:00:00 UTC', 'due'],
  ['2000-12-31 22:59:59 UTC', 'due'],
] as const)(
  'a sentinel instant is one by its day in the zone or in UTC: %s',
  async ([at, verdict]) => {
    expect(await verdictsOf('instant', [[at]])).toEqual({ [verdict]: 1 })
  },
)

test.for(['294276-12-31 23:59:59.999999 UTC', '4713-11-24 00:00:00 UTC BC'])(
  'an instant at the end of what PostgreSQL can hold spoils no census: %s',
  async (at) => {
    const verdict = at.endsWith('BC') ? 'implausible' : 'running'

    expect(await verdictsOf('instant', [[at]])).toEqual({ [verdict]: 1 })
  },
)

/** One date after another as the only event, beside an old one, and as the fallback without events. */
test.for(DATES)('the only related row has a date: %s', async ([, day, verdict]) => {
  expect(await accountWith([day])).toEqual({ [verdict]: 1 })
})

test.for(DATES)('a closed related row and one with a date: %s', async ([, day, verdict]) => {
  expect(await accountWith(['2010-01-01', day])).toEqual({ [verdict]: 1 })
})

test.for(DATES)('without a related row the other date counts: %s', async ([, day, verdict]) => {
  const expected = day === '' || verdict === 'open' ? 'neverExpires' : verdict

  expect(await verdictsOf('account', [[day]])).toEqual({ [expected]: 1 })
})

test('an implausible related row is not outvoted by closed, running or open ones', async () => {
  expect(await accountWith(['2010-01-01', '1970-01-01'])).toEqual({ implausible: 1 })
  expect(await accountWith(['2026-06-01', '1970-01-01'])).toEqual({ implausible: 1 })
  expect(await accountWith(['', '1970-01-01'])).toEqual({ implausible: 1 })
})

test('an open related row is not outvoted by closed ones, however many', async () => {
  expect(await accountWith([...Array<string>(50).fill('2010-01-01'), ''])).toEqual({ open: 1 })
})

test('the latest of many related rows decides', async () => {
  expect(await accountWith(['2010-01-01', '2025-06-14'])).toEqual({ due: 1 })
  expect(await accountWith(['2010-01-01', '2025-06-15'])).toEqual({ running: 1 })
})

test('the fallback does not count beside a related row', async () => {
  expect(await accountWith(['2026-06-01'], '2010-01-01')).toEqual({ running: 1 })
  expect(await accountWith(['2010-01-01'], '2026-06-01')).toEqual({ due: 1 })
  expect(await accountWith(['2010-01-01'], '')).toEqual({ due: 1 })
})

async function accountWith(events: readonly string[], made = '2012-01-01') {
  await bed.run('truncate site.visit, site.account')
  await bed.run("insert into site.account values (1, nullif($1, '')::date)", [made])
  await bed.run(
    "insert into site.visit (account, at) select 1, nullif(event, '')::date from unnest($1::text[]) as event",
    [events],
  )
  return counted('account')
}

/** The verdicts on rows with the given dates, without those that no row has. */
async function verdictsOf(table: string, dates: readonly (readonly [string])[]) {
  await bed.run('truncate site.day, site.instant, site.local, site.visit, site.account')
  const type = { day: 'date', instant: 'timestamptz', local: 'timestamp', account: 'date' }[table]
  await bed.run(
    `insert into site.${table}
     select position, nullif(value, '')::${type ?? ''}
     from unnest($1::text[]) with ordinality as given (value, position)`,
    [dates.map(([date]) => date)],
  )
  return counted(table)
}

async function counted(rule: string) {
  const plan = await bed.plan(TODAY)
  const counts = plan.rules.find((candidate) => candidate.rule === rule)?.counts
  return Object.fromEntries(Object.entries(counts ?? {}).filter(([, count]) => count > 0))
}

function withNoon(day: string): string {
  return /^\d/.test(day) ? day.replace(/^(\S+)/, '$1 12:00:00') : day
}
