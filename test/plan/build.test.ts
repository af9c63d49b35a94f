import { expect, test } from 'vitest'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import type { Boundary } from '../../src/plan/boundary.ts'
import { buildPlan, planRule } from '../../src/plan/build.ts'
import type { Census } from '../../src/plan/census.ts'
import type { Permission } from '../../src/plan/refuse.ts'
import { willAct, type PlannedRule } from '../../src/plan/plan.ts'
import { ruleWith } from '../policy/documents.ts'
import { plannedRule, planWith } from './plans.ts'

const BOUNDARY: Boundary = {
  today: '2026-11-22',
  firstDayNotDue: '2025-11-22',
  firstDayNotOverdue: null,
  date: { from: '1990-01-01', before: '2025-11-22' },
  instant: { from: '1990-01-01 00:00:00+00', before: '2025-11-22 00:00:00+00' },
  local: new Map(),
  others: new Map(),
}

type Counts = Partial<Census['counts']>

function planned(
  yaml: string,
  counts: Counts,
  more: Partial<Census> = {},
  permission: Permission | null = null,
): PlannedRule {
  const rule = ruleWith(yaml)
  const fitted = { rule, table: { columns: [], keys: [], outbound: [], inbound: [] } }
  const census: Census = {
    counts: { ...zero(), ...counts },
    children: [],
    references: [],
    floors: [],
    dueDays: null,
    overdue: null,
    ...more,
  }
  return planRule({
    fitted: fitted as unknown as FittedRule,
    boundary: BOUNDARY,
    census,
    permission,
    formerlyDue: null,
    walk: plannedRule().walk,
    remarks: [],
    archived: null,
  })
}

function zero(): Census['counts'] {
  return { ...plannedRule().counts, due: 0, running: 0 }
}

const LIMITS = '    limits: { max_rows: 100, max_percent: 10 }\n'

test.for([
  [{ due: 100, running: 900 }, 0, null],
  [{ due: 101, running: 9000 }, 0, 'over_max_rows'],
  [{ due: 60, running: 9000 }, 40, null],
  [{ due: 60, running: 9000 }, 41, 'over_max_rows'],
  [{ due: 10, running: 90 }, 0, null],
  [{ due: 11, running: 89 }, 0, 'over_max_percent'],
  [{ due: 1 }, 0, 'over_max_percent'],
  [{}, 0, null],
  [{ due: 10, outside: 90 }, 0, null],
] as const)('a limit refuses the whole rule: %o and %i children', ([counts, children, code]) => {
  const rule = planned(LIMITS, counts, {
    children: [{ table: 'crm.note', action: 'purge', rows: children }],
  })
  expect(rule.refusal?.code ?? null).toBe(code)
  expect(rule.counts.due).toBe('due' in counts ? counts.due : 0)
})

test('a limit says the count, the limit and the key that sets it', () => {
  expect(planned(LIMITS, { due: 101, running: 9000 }).refusal?.message).toBe(
    '101 rows would go, children counted; the limit is 100 (limits.max_rows)',
  )
  expect(planned(LIMITS, { due: 11, running: 89 }).refusal?.message).toBe(
    '11 of 100 rows are due (11.0 %); the limit is 10 % (limits.max_percent)',
  )
})

const BOTH = '    limits: { max_rows: 100, max_percent: 10, trip: both }\n'

test.for([
  [{ due: 101, running: 9000 }, null, 107],
  [{ due: 50, running: 50 }, null, 53],
  [{ due: 99, running: 0 }, null, 100],
  [{ due: 101, running: 800 }, 'over_max_rows', 107],
] as const)('limits that trip together refuse only past both: %o', ([counts, code, most]) => {
  const rule = planned(BOTH, counts)
  expect(rule.refusal?.code ?? null).toBe(code)
  expect(rule.mostRows).toBe(most)
})

test('a refusal by both limits says both', () => {
  expect(planned(BOTH, { due: 101, running: 800 }).refusal?.message).toBe(
    '101 rows would go, children counted; the limit is 100 (limits.max_rows); 101 of 901 rows are due (11.2 %); the limit is 10 % (limits.max_percent)',
  )
})

const floor = (left: number) => ({
  floors: [
    { table: 'crm.note', keepAtLeast: 1, left: 500 },
    { table: 'site.connection', keepAtLeast: 1000, left },
  ],
})

test.for([
  [999, 'below_floor', 20],
  [1000, null, 20],
  [1001, null, 21],
  [2000, null, 21],
] as const)('a floor with %i rows left bounds what a run may take', ([left, code, most]) => {
  const rule = planned('', { due: 20, running: 1980 }, floor(left))
  expect(rule.refusal?.code ?? null).toBe(code)
  expect(rule.mostRows).toBe(most)
})

test('no approval lifts a floor', () => {
  const lifting: Permission = {
    state: 'given',
    approval: null,
    endsSoon: false,
    lifted: 1000,
    latest: [],
    required: true,
  }

  expect(planned(LIMITS, { due: 200 }, {}, lifting).refusal).toBeNull()
  expect(planned(LIMITS, { due: 200 }, floor(10), lifting).refusal).toEqual({
    code: 'below_floor',
    message: '10 rows of site.connection would be left; the floor is 1000 (floors.keep_at_least)',
  })
})

test('a rule that nobody approved is refused, and a limit is said first', () => {
  const unapproved: Permission = {
    state: 'new',
    approval: null,
    endsSoon: false,
    lifted: null,
    latest: [],
    required: true,
  }
  const [first, other] = [
    planned(LIMITS, { due: 1, running: 99 }, {}, unapproved),
    planned(LIMITS, { due: 101, running: 9000 }, {}, unapproved),
  ]

  expect(first.refusal?.code).toBe('not_approved')
  expect(other.refusal?.code).toBe('over_max_rows')
})

test.for([
  ['2025-11-21', 12],
  ['2025-11-22', 12],
  ['2025-11-23', 11],
  ['2024-02-29', 32],
  ['2026-11-22', 0],
  [null, null],
] as const)(
  'of the longest due record, which started on %s, only the age is told',
  ([oldestDue, months]) => {
    const dueDays =
      oldestDue === null ? null : { oldest: oldestDue, median: oldestDue, newest: oldestDue }
    const rule = planned('', { due: 1 }, { dueDays })
    expect(rule.oldestDueMonths).toBe(months)
    expect(rule.medianDueMonths).toBe(months)
    expect(rule.newestDueMonths).toBe(months)
    expect(JSON.stringify(rule)).not.toContain('2024-02-29')
  },
)

test('a rule acts if it enforces, is not refused and has rows to act on', () => {
  expect(willAct(plannedRule())).toBe(true)
  expect(willAct(plannedRule({ mode: 'report' }))).toBe(false)
  expect(willAct(plannedRule({ counts: zero() }))).toBe(false)
  expect(willAct(plannedRule({ refusal: { code: 'not_approved', message: 'no' } }))).toBe(false)
})

test('only a plan of now can be enforced', () => {
  const { digest: _digest, rules, enforceable: _enforceable, ...facts } = planWith()
  expect(buildPlan(facts, rules).enforceable).toBe(true)
  expect(buildPlan({ ...facts, asOf: '2026-11-22' }, rules).enforceable).toBe(false)
  expect(buildPlan(facts, rules)).toEqual(planWith())
})
