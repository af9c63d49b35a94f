import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { RefusedError } from '../../src/base/errors.ts'
import type { Plan, PlannedRule } from '../../src/plan/plan.ts'
import { approvedPart, refuseStale } from '../../src/plan/stale.ts'
import { plannedRule, planWith } from './plans.ts'

const SOON = '2026-11-22T10:05:00.000000Z'
const APPROVED = planWith()

/** What stands in the way of carrying `approved` out, or null. */
function staleness(approved: Plan, plan: Plan, at = SOON): string | null {
  try {
    refuseStale(approved, { at, plan })
    return null
  } catch (error) {
    if (error instanceof RefusedError) return error.message
    throw error
  }
}

function rows(due: number, children: PlannedRule['children'] = []): Plan {
  const { counts } = plannedRule()
  return planWith({ rules: [plannedRule({ counts: { ...counts, due }, children })] })
}

test('a plan fits the world it was made in', () => {
  expect(staleness(APPROVED, APPROVED)).toBeNull()
})

test('a plan as of another day is never carried out', () => {
  const plan = planWith({ enforceable: false, asOf: '2030-01-01' })
  expect(staleness(plan, plan)).toBe('a plan as of 2030-01-01 cannot be carried out')
})

test.for([
  ['2026-11-22T10:00:00.000000Z', null],
  ['2026-11-23T10:00:00.000000Z', null],
  ['2026-11-23T10:00:01.000000Z', 'the plan is stale: it is 24 hours old, and holds for 24'],
  ['2026-11-25T09:59:59.000000Z', 'the plan is stale: it is 71 hours old, and holds for 24'],
  ['2026-11-22T09:59:30.000000Z', null],
  ['2026-11-22T09:58:00.000000Z', 'the plan is stale: it was made in the future of this database'],
] as const)('a plan of 10:00 holds for a day: at %s', ([at, said]) => {
  expect(staleness(APPROVED, APPROVED, at)).toBe(said)
})

test.for([
  { name: 'crm_copy', systemIdentifier: '7500000000000000001' },
  { name: 'crm', systemIdentifier: '7500000000000000002' },
])('a plan is for the database it was made on, not for %o', (database) => {
  expect(staleness(APPROVED, planWith({ database }))).toBe(
    'the plan is stale: it was made on another database (crm)',
  )
})

test('a changed rule is named', () => {
  const two = [plannedRule(), plannedRule({ rule: 'invoice' })]
  const now = planWith({
    policyDigest: 'e'.repeat(64),
    rules: [plannedRule(), plannedRule({ rule: 'invoice', digest: 'e'.repeat(64) })],
  })
  expect(staleness(planWith({ rules: two }), now)).toBe('the plan is stale: rules changed: invoice')
})

test('a rule that is gone or new makes the plan stale', () => {
  const two = planWith({ rules: [plannedRule(), plannedRule({ rule: 'invoice' })] })
  const policyDigest = 'e'.repeat(64)
  expect(staleness(two, planWith({ policyDigest }))).toBe(
    'the plan is stale: rules changed: invoice',
  )
  expect(staleness(APPROVED, { ...two, policyDigest })).toBe(
    'the plan is stale: the policies changed',
  )
})

test('a changed table is named', () => {
  const catalogFingerprint = 'e'.repeat(64)
  const other = [{ table: 'crm.contract', fingerprint: 'e'.repeat(64) }]
  expect(staleness(APPROVED, planWith({ catalogFingerprint, tables: other }))).toBe(
    'the plan is stale: tables changed: crm.contract',
  )
  const more = [...APPROVED.tables, { table: 'crm.note', fingerprint: 'e'.repeat(64) }]
  expect(staleness(APPROVED, planWith({ catalogFingerprint, tables: more }))).toBe(
    'the plan is stale: the tables changed',
  )
})

test('one in twenty more due rows still fit, and not one more', () => {
  expect(staleness(rows(100), rows(105))).toBeNull()
  expect(staleness(rows(100), rows(106))).toBe(
    'the plan is stale: crm.contract has 106 rows due, the plan saw 100',
  )
  expect(staleness(rows(0), rows(1))).toBe(
    'the plan is stale: crm.contract has 1 rows due, the plan saw 0',
  )
})

test('no more than a twentieth, rounded up, is let through', () => {
  fc.assert(
    fc.property(fc.nat({ max: 1_000_000 }), fc.nat({ max: 1_100_000 }), (seen, now) => {
      const most = seen + Math.floor((seen + 19) / 20)
      expect(staleness(rows(seen), rows(now)) === null).toBe(now <= most)
    }),
  )
})

test('fewer due rows never make a plan stale', () => {
  expect(staleness(rows(100), rows(0))).toBeNull()
})

test('rows that go along are counted by table', () => {
  const before = rows(100, [{ table: 'crm.note', action: 'purge', rows: 20 }])
  expect(
    staleness(before, rows(100, [{ table: 'crm.note', action: 'purge', rows: 21 }])),
  ).toBeNull()
  expect(staleness(before, rows(100, [{ table: 'crm.note', action: 'purge', rows: 22 }]))).toBe(
    'the plan is stale: crm.note has 22 rows due, the plan saw 20',
  )
  expect(staleness(rows(100), rows(100, [{ table: 'crm.note', action: 'purge', rows: 1 }]))).toBe(
    'the plan is stale: crm.note has 1 rows due, the plan saw 0',
  )
})

test('everything that moved is said at once', () => {
  const now = planWith({
    database: { name: 'other', systemIdentifier: '1' },
    policyDigest: 'e'.repeat(64),
    catalogFingerprint: 'e'.repeat(64),
    rules: rows(200).rules,
  })
  expect(staleness(APPROVED, now, '2026-11-24T10:00:00.000000Z')).toBe(
    'the plan is stale: it is 48 hours old, and holds for 24; it was made on another database (crm); the policies changed; the tables changed; crm.contract has 200 rows due, the plan saw 100',
  )
})

test('a rule that the approved plan refused stays refused', () => {
  const refusal = { code: 'over_max_rows', message: 'too many' } as const
  const approved = planWith({ rules: [plannedRule({ refusal }), plannedRule({ rule: 'invoice' })] })
  const now = planWith({
    rules: [
      plannedRule(),
      plannedRule({ rule: 'invoice', refusal: { code: 'over_max_percent', message: 'now' } }),
    ],
  })
  expect(approvedPart(approved, now).rules.map((rule) => rule.refusal)).toEqual([
    refusal,
    { code: 'over_max_percent', message: 'now' },
  ])
})
