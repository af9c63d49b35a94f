import { planDigest, type Plan, type PlannedRule } from '../../src/plan/plan.ts'

const DIGEST = 'd'.repeat(64)

/** A planned rule that differs from a plain one by `changes`. */
export function plannedRule(changes: Partial<PlannedRule> = {}): PlannedRule {
  return {
    rule: 'contract',
    phase: null,
    title: 'Contracts',
    source: null,
    digest: DIGEST,
    table: 'crm.contract',
    filtered: true,
    action: 'purge',
    mode: 'enforce',
    keep: '5 years',
    today: '2026-11-22',
    firstDayNotDue: '2021-11-22',
    counts: {
      due: 100,
      blocked: 0,
      held: 0,
      superseded: 0,
      kept: 0,
      deciding: 0,
      done: 0,
      running: 400,
      open: 0,
      implausible: 0,
      neverExpires: 0,
      outside: 0,
    },
    children: [],
    references: [],
    oldestDueMonths: 61,
    medianDueMonths: 61,
    newestDueMonths: 61,
    within: null,
    overdue: null,
    walk: {
      kind: 'heap',
      why: '20 % of the rows are due: each of 400 pages is visited once',
      drops: null,
    },
    limits: { maxRows: 50_000, maxPercent: 25, trip: 'either' },
    floors: [],
    archive: null,
    columns: [],
    remarks: [],
    approval: null,
    formerly: null,
    mostRows: 105,
    refusal: null,
    ...changes,
  }
}

/** A plan, with its digest, that differs from a plain one by `changes`. */
export function planWith(changes: Partial<Omit<Plan, 'digest'>> = {}): Plan {
  const plan = {
    enforceable: true,
    createdAt: '2026-11-22T10:00:00.000000Z',
    asOf: null,
    database: { name: 'crm', systemIdentifier: '7500000000000000001' },
    policyDigest: 'a'.repeat(64),
    catalogFingerprint: 'b'.repeat(64),
    tables: [{ table: 'crm.contract', fingerprint: 'c'.repeat(64) }],
    rules: [plannedRule()],
    remarks: [],
    ...changes,
  }
  return { ...plan, digest: planDigest(plan) }
}
