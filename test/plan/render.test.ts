import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { renderPlan } from '../../src/plan/render.ts'
import { plannedRule, planWith } from './plans.ts'

const NOTHING = plannedRule().counts

test('a plan reads like this', () => {
  const plan = planWith({
    rules: [
      plannedRule({
        children: [
          { table: 'crm.note', action: 'purge', rows: 1234 },
          { table: 'crm.file', action: 'purge', rows: 0 },
        ],
        counts: { ...NOTHING, due: 1_200, blocked: 30, deciding: 2, running: 40_000, open: 7 },
      }),
      plannedRule({
        rule: 'customer',
        title: 'Customers without a contract',
        table: 'crm.customer',
        filtered: false,
        action: 'anonymise',
        keep: '10 years',
        firstDayNotDue: '2016-11-22',
        counts: {
          ...NOTHING,
          due: 2_000_000,
          implausible: 3,
          neverExpires: 4,
          done: 5,
          outside: 6,
        },
        oldestDueMonths: 120,
        medianDueMonths: 119,
        newestDueMonths: 12,
        remarks: [
          { code: 'start_nullable', message: 'at may be null', remedy: 'set not null' },
          { code: 'table_unlogged', message: 'crm.customer is unlogged', remedy: null },
        ],
        columns: [
          { column: 'id', becomes: 'structural' },
          { column: 'full_name', becomes: 'constant' },
          { column: 'email', becomes: 'template' },
          { column: 'phone', becomes: 'nothing' },
          { column: 'company', becomes: 'keep' },
        ],
        refusal: {
          code: 'over_max_rows',
          message: '2000000 rows would go, children counted; the limit is 50000 (limits.max_rows)',
        },
      }),
      plannedRule({
        rule: 'site',
        mode: 'report',
        table: 'site.connection',
        counts: { ...NOTHING, due: 0, running: 0 },
        oldestDueMonths: null,
      }),
    ],
  })
  expect(renderPlan(plan)).toMatchInlineSnapshot(`
    "Plan of 2026-11-22 10:00 UTC for database crm
    policies aaaaaaaaaaaa  catalog bbbbbbbbbbbb  plan fdc8a97f63c5

    RULE      TABLE            ACTION     KEEP            DUE  ALONG  SPARED    KEPT  NEVER
    contract  crm.contract     purge      5 years       1 200  1 234      32  40 007      0
    customer  crm.customer     anonymise  10 years  2 000 000      0       0     400      7
    site      site.connection  purge*     5 years           0      0       0       0      0
    * of mode report: counted, never acted on

    contract: Contracts
      crm.contract: purge 5 years after the period started; today 2026-11-22, so due if it started
        before 2021-11-22
      1 200 due, the oldest started 5 years 1 month ago
      1 234 of crm.note go along
      found by a sweep of the heap: 20 % of the rows are due: each of 400 pages is visited once
      30 due but spared: rows that stay still refer to them, or would have to go with them
      2 due but spared: they still decide about other records
      40 000 kept: their period runs
      7 kept: still open

    customer: Customers without a contract
      crm.customer, every row: anonymise 10 years after the period started; today 2026-11-22, so due if
        it started before 2016-11-22
      2 000 000 due, the oldest started 10 years ago, the median 9 years 11 months, the newest 1 year
      found by a sweep of the heap: 20 % of the rows are due: each of 400 pages is visited once
      400 kept: their period runs
      4 never expire: no related row says when their period starts
      3 never expire: their period start is not plausible
      5 anonymised before
      6 of the table are not of this record class
      columns: nothing: phone; constant: full_name; template: email; kept: company; left as keys and
        links: id
      note: at may be null
        set not null
      note: crm.customer is unlogged
      REFUSED: 2000000 rows would go, children counted; the limit is 50000 (limits.max_rows)

    site: Contracts
      site.connection: purge 5 years after the period started; today 2026-11-22, so due if it started
        before 2021-11-22
      nothing is due
      mode report: counted, never acted on

    2 434 rows under 1 rule would be acted on, children counted.
    1 refused.
    "
  `)
})

test('a plan as of another day says that nobody carries it out', () => {
  const [first] = renderPlan(planWith({ enforceable: false, asOf: '2030-01-01' })).split('\n')
  expect(first).toBe(
    'Plan as of 2030-01-01 for database crm, made 2026-11-22 10:00 UTC: to look at, never to carry out',
  )
})

test.for([
  [0, '0 months'],
  [1, '1 month'],
  [11, '11 months'],
  [12, '1 year'],
  [13, '1 year 1 month'],
  [25, '2 years 1 month'],
] as const)('an age of %i months is said as %s', ([oldestDueMonths, said]) => {
  expect(renderPlan(planWith({ rules: [plannedRule({ oldestDueMonths })] }))).toContain(
    `the oldest started ${said} ago`,
  )
})

const LONG = plannedRule({
  rule: 'r'.repeat(63),
  title: 'A title that goes on and on, '.repeat(8),
  table: `${'s'.repeat(63)}.${'t'.repeat(63)}`,
  action: 'anonymise',
  counts: { ...NOTHING, due: 123_456_789, running: 987_654_321 },
  children: [{ table: `${'s'.repeat(63)}.${'c'.repeat(63)}`, action: 'purge', rows: 42_424_242 }],
  columns: Array.from({ length: 40 }, (_, at) => ({
    column: `${'c'.repeat(60)}${at}`,
    becomes: 'nothing',
  })),
  refusal: { code: 'over_max_rows', message: 'x'.repeat(300) },
})

test('a plan fits a terminal of 100 columns, however long its names are', () => {
  const database = { name: 'd'.repeat(63), systemIdentifier: '1' }
  const asOf = { enforceable: false, asOf: '2030-01-01' }
  const plan = planWith({ ...asOf, database, rules: [LONG, plannedRule()] })
  const lines = renderPlan(plan).split('\n')
  expect(lines.filter((line) => line.length > 100)).toEqual([])
})

test('long names take no number out of the table', () => {
  const row = renderPlan(planWith({ rules: [LONG, plannedRule()] })).split('\n')[4]
  expect(row).toContain('123 456 789  42 424 242')
  expect(row).toMatch(/987 654 321 +0$/)
})

test('any plan fits, and ends with one line break', () => {
  const word = fc.string({ unit: 'binary', minLength: 80, maxLength: 140 })
  fc.assert(
    fc.property(word, word, word, fc.nat(), (rule, title, table, due) => {
      const text = renderPlan(
        planWith({ rules: [plannedRule({ rule, title, table, counts: { ...NOTHING, due } })] }),
      )
      expect(text.split('\n').filter((line) => line.length > 100)).toEqual([])
      expect(text).toMatch(/[^\n]\n$/)
    }),
  )
})

test('a name that would act on the terminal is written with escapes', () => {
  const columns = [{ column: 'a\u001b[2Jb\u202e', becomes: 'structural' }]
  const text = renderPlan(planWith({ rules: [plannedRule({ action: 'anonymise', columns })] }))
  expect(text).toContain('links: a\\u{1b}[2Jb\\u{202e}')
})

test('only rules that act are counted in the closing line', () => {
  const refusal = { code: 'not_approved', message: 'nobody approved it' } as const
  const closing = (rules: readonly ReturnType<typeof plannedRule>[]) =>
    renderPlan(planWith({ rules })).trimEnd().split('\n\n').at(-1)
  expect(closing([plannedRule({ mode: 'report' })])).toBe('Nothing is due.')
  expect(closing([plannedRule(), plannedRule({ refusal })])).toBe(
    '100 rows under 1 rule would be acted on, children counted.\n1 refused.',
  )
  expect(closing([plannedRule(), plannedRule()])).toBe(
    '200 rows under 2 rules would be acted on, children counted.',
  )
})

test('a plan says of a rule without a filter that it speaks of every row', () => {
  const [all, some] = [false, true].map((filtered) =>
    renderPlan(planWith({ rules: [plannedRule({ filtered })] })),
  )

  expect(all).toContain('crm.contract, every row: purge')
  expect(some).not.toContain('every row')
})

test('a plan says how much it leaves of a table that has a floor', () => {
  const floors = [{ table: 'crm.contract', keepAtLeast: 1000, left: 40_007 }]

  expect(renderPlan(planWith({ rules: [plannedRule({ floors })] }))).toContain(
    '\n  leaves 40 007 rows of crm.contract; the floor is 1 000\n',
  )
})
