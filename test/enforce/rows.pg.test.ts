import { expect } from 'vitest'
import { test, type Bed } from '../support/bed.ts'

/** Accounts to anonymise and visits to purge, 20 of each, all due. */
const SCHEMA = `
  create schema site;
  create table site.account (id int primary key, closed_on date, full_name text, points numeric);
  insert into site.account
  select n, now() - interval '11 years', 'Name ' || n, n from generate_series(1, 20) as n;
  create table site.visit (id int primary key, seen_at timestamptz, unique (id, seen_at));
  insert into site.visit select n, now() - interval '2 years' from generate_series(1, 20) as n;`

const ACCOUNTS = `
  - id: account
    table: site.account
    start: closed_on
    keep: 10 years
    then:
      anonymise:
        closed_on: { keep: it says when }
        full_name: { constant: Anonymised }
        points: nothing
`

const VISITS = `
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

function policy(...rules: readonly string[]): string {
  return `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 8 } }
rules:
${rules.join('')}`
}

async function named(bed: Bed): Promise<readonly number[]> {
  const rows = await bed.rows<{ id: number }>(
    "select id from site.account where full_name <> 'Anonymised' order by id",
  )
  return rows.map(({ id }) => id)
}

/** Ids that a constraint keeps as they are, in places where halving may go wrong. */
const PLACES: readonly (readonly number[])[] = [
  [1],
  [8],
  [9],
  [20],
  [3, 4],
  [1, 8, 20],
  [5, 6, 7, 8],
  Array.from({ length: 20 }, (_, index) => index + 1),
]

test.for(PLACES.map((stuck) => ({ name: stuck.join(', '), stuck })))(
  'rows that a constraint refuses to change are spared alone, and the others go: $name',
  async ({ stuck }, { bed }) => {
    await bed.run(SCHEMA)
    await bed.run(`
      alter table site.account add constraint stuck
      check (id not in (${stuck.join(', ')}) or full_name <> 'Anonymised') not valid`)
    await bed.govern(policy(ACCOUNTS, VISITS))

    const result = await bed.enforce()

    expect(result).toMatchObject({ outcome: 'partial', exit: 4, error: null })
    expect(result.rules).toEqual([
      expect.objectContaining({
        rule: 'account',
        rows: 20 - stuck.length,
        refusedRows: stuck.length,
        left: stuck.length,
        error: null,
      }),
      expect.objectContaining({ rule: 'visit', rows: 20, left: 0 }),
    ])
    expect(await named(bed)).toEqual(stuck)
  },
)
