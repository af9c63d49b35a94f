import { expect } from 'vitest'
import type { RunResult } from '../../src/enforce/run.ts'
import { test, type Bed } from '../support/bed.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (id int primary key, seen_at timestamptz);
  create table site.page (id int primary key, visit_id int references site.visit);
  create index on site.page (visit_id);
  create table site.form (id int primary key, seen_at timestamptz);`

/** `visit`, with its pages, under the limits given; `form` under none that matters. */
function policy(limits: string): string {
  return `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, batch: { rows: 5 } }
rules:
  - id: visit
    table: site.visit
    start: seen_at
    keep: 12 months
    then: purge
    references: { site.page: with_parent }
    limits: { ${limits} }
    batch: { rows: 500 }
  - id: form
    table: site.form
    start: seen_at
    keep: 12 months
    then: purge
    limits: { max_rows: 1000, max_percent: 100 }
`
}

/** Inserts rows whose period has ended, or runs on. */
async function insert(bed: Bed, table: string, { due = 0, kept = 0 }): Promise<void> {
  for (const [rows, age] of [
    [due, '2 years'],
    [kept, '1 day'],
  ] as const) {
    await bed.run(`
      insert into site.${table}
      select (select coalesce(max(id), 0) from site.${table}) + n, now() - interval '${age}'
      from generate_series(1, ${rows}) as n`)
  }
}

async function left(bed: Bed, table: string): Promise<number> {
  return (await bed.rows(`select from site.${table}`)).length
}

const rowsOf = (result: RunResult) => result.rules.map(({ rule, rows }) => [rule, rows])

test('a rule with one row more than its limit does not act at all', async ({ bed }) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 1001 })
  await bed.govern(policy('max_rows: 1000, max_percent: 100'))

  const result = await bed.enforce()

  expect(result).toMatchObject({
    outcome: 'refused',
    exit: 3,
    rules: [],
    refused: [
      {
        rule: 'visit',
        code: 'over_max_rows',
        message: '1001 rows would go, children counted; the limit is 1000 (limits.max_rows)',
      },
    ],
  })
  expect(await left(bed, 'visit')).toBe(1001)
})

test('a rule with as many rows as its limit acts on all of them', async ({ bed }) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 1000, kept: 3 })
  await bed.govern(policy('max_rows: 1000, max_percent: 100'))

  const result = await bed.enforce()

  expect(result).toMatchObject({ outcome: 'done', refused: [] })
  expect(await left(bed, 'visit')).toBe(3)
})

test('rows that go along count against the limit', async ({ bed }) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 600 })
  await bed.run('insert into site.page select n, 1 + n % 600 from generate_series(1, 401) as n')
  await bed.govern(policy('max_rows: 1000, max_percent: 100'))
  const over = await bed.enforce()
  await bed.run('delete from site.page where id = 1')

  const within = await bed.enforce()

  expect(over).toMatchObject({
    outcome: 'refused',
    rules: [],
    refused: [{ code: 'over_max_rows' }],
  })
  expect(within).toMatchObject({ outcome: 'done', rules: [{ rows: 600, childRows: 400 }] })
})

test('a rule that would empty more of its table than its percentage does not act', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 11, kept: 89 })
  await bed.govern(policy('max_rows: 1000, max_percent: 10'))
  const over = await bed.enforce()
  await insert(bed, 'visit', { kept: 10 })

  const within = await bed.enforce()

  expect(over).toMatchObject({
    outcome: 'refused',
    rules: [],
    refused: [
      {
        code: 'over_max_percent',
        message: '11 of 100 rows are due (11.0 %); the limit is 10 % (limits.max_percent)',
      },
    ],
  })
  expect(within).toMatchObject({ outcome: 'done', rules: [{ rows: 11 }] })
  expect(await left(bed, 'visit')).toBe(99)
})

test('a rule over its limit does not keep the others from acting', async ({ bed }) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 11 })
  await insert(bed, 'form', { due: 7, kept: 2 })
  await bed.govern(policy('max_rows: 10, max_percent: 100'))

  const result = await bed.enforce()

  expect(result).toMatchObject({ outcome: 'refused', exit: 3, refused: [{ rule: 'visit' }] })
  expect(rowsOf(result)).toEqual([['form', 7]])
  expect(await left(bed, 'form')).toBe(2)
})

/** Runs, and lets the application insert due forms when the first batch of forms begins. */
async function enforceWhileFormsCome(bed: Bed, forms: number): Promise<RunResult> {
  let batches = 0
  const plan = await bed.plan()
  const first = plan.rules[0]?.rule === 'form' ? 1 : 2
  return bed.enforce({
    plan,
    onStep: async (step) => {
      if (step !== 'begun') return
      batches += 1
      if (batches !== first) return
      await insert(bed, 'form', { due: forms })
      bed.forget('site.form', -forms)
    },
  })
}

test('rows that come up during a run go with the others up to 5 % more than planned', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await insert(bed, 'form', { due: 20 })
  await bed.govern(policy('max_rows: 1000, max_percent: 100'))

  const result = await enforceWhileFormsCome(bed, 1)

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rule: 'form', rows: 21 }] })
})

test('the batch that would exceed the plan by more than 5 % is rolled back, and the other rules go on', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await insert(bed, 'form', { due: 20 })
  await insert(bed, 'visit', { due: 4 })
  await bed.govern(policy('max_rows: 1000, max_percent: 100'))

  const result = await enforceWhileFormsCome(bed, 2)

  expect(result).toMatchObject({ outcome: 'refused', exit: 3 })
  expect(new Map(rowsOf(result) as [string, number][])).toEqual(
    new Map([
      ['form', 20],
      ['visit', 4],
    ]),
  )
  expect(result.rules.find(({ rule }) => rule === 'form')?.error).toMatchObject({
    code: 'LIMIT_REACHED',
  })
  expect(await left(bed, 'form')).toBe(2)
  expect(await left(bed, 'visit')).toBe(0)
})

test('children that come up during a run count against the plan too', async ({ bed }) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 20 })
  await bed.govern(policy('max_rows: 1000, max_percent: 100'))
  let batches = 0

  const result = await bed.enforce({
    onStep: async (step) => {
      if (step !== 'begun') return
      batches += 1
      if (batches !== 1) return
      await bed.run('insert into site.page select n, 1 from generate_series(1, 2) as n')
      bed.forget('site.page', -2)
    },
  })

  expect(result).toMatchObject({
    outcome: 'refused',
    rules: [{ rule: 'visit', rows: 0, error: { code: 'LIMIT_REACHED' } }],
  })
  expect(await left(bed, 'visit')).toBe(20)
})

const FLOORS = `
floors:
  - { table: site.visit, keep_at_least: 3 }
  - { table: site.page, keep_at_least: 2 }
rules:`

const withFloors = () => policy('max_rows: 1000, max_percent: 100').replace('\nrules:', FLOORS)

test('a rule that would leave fewer rows of its table than the floor does not act', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 900, kept: 2 })
  await bed.run('insert into site.page values (1, null), (2, null)')
  await bed.govern(withFloors())
  const below = await bed.enforce()
  await insert(bed, 'visit', { kept: 1 })

  const above = await bed.enforce()

  expect(below).toMatchObject({
    outcome: 'refused',
    rules: [],
    refused: [
      {
        code: 'below_floor',
        message: '2 rows of site.visit would be left; the floor is 3 (floors.keep_at_least)',
      },
    ],
  })
  expect(above).toMatchObject({ outcome: 'done', rules: [{ rows: 900 }] })
})

test('rows that go along do not bring their table below its floor', async ({ bed }) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 5, kept: 5 })
  await bed.run('insert into site.page select n, n from generate_series(1, 6) as n')
  await bed.govern(withFloors())

  const result = await bed.enforce()

  expect(result).toMatchObject({
    outcome: 'refused',
    refused: [
      {
        code: 'below_floor',
        message: '1 rows of site.page would be left; the floor is 2 (floors.keep_at_least)',
      },
    ],
  })
  expect(await left(bed, 'visit')).toBe(10)
})

test('a batch after which too few rows would be left is rolled back', async ({ bed }) => {
  await bed.run(SCHEMA)
  await insert(bed, 'visit', { due: 5, kept: 4 })
  await bed.run('insert into site.page values (1, null), (2, null)')
  await bed.govern(withFloors())
  const plan = await bed.plan()
  await bed.run('delete from site.visit where id in (8, 9)')
  bed.forget('site.visit', 2)

  const result = await bed.enforce({ plan })

  expect(result).toMatchObject({ outcome: 'refused', rules: [{ rule: 'visit', rows: 0 }] })
  expect(result.rules[0]?.error?.message).toBe(
    'rule visit: fewer than 3 rows of site.visit would be left, which is its floor',
  )
  expect(await left(bed, 'visit')).toBe(7)
})
