import { DateTime } from 'luxon'
import { isStructural } from '../catalog/fit-masks.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { printTable } from '../base/names.ts'
import { printPeriod } from '../policy/period.ts'
import type { Archived } from './archived.ts'
import type { Strategy } from '../policy/strategy.ts'
import { planDigest, type Plan, type PlannedRule, type PlannedWalk, type Remark } from './plan.ts'
import { mostRows, refusalOf, type Judged } from './refuse.ts'

export type Counted = Judged & {
  /** Rows due under the period that was approved; null if the rule keeps no less than that. */
  readonly formerlyDue: number | null
  readonly walk: PlannedWalk
  readonly remarks: readonly Remark[]
  /** What stands in the archive of a rule that blocks; null for any other. */
  readonly archived: Archived | null
}

export type PlanFacts = Pick<
  Plan,
  'createdAt' | 'asOf' | 'database' | 'policyDigest' | 'catalogFingerprint' | 'tables' | 'remarks'
>

/** Puts planned rules together. Reads nothing, changes nothing. */
export function buildPlan(facts: PlanFacts, rules: readonly PlannedRule[]): Plan {
  const plan = {
    enforceable: facts.asOf === null,
    ...facts,
    rules,
  }
  return { ...plan, digest: planDigest(plan) }
}

/** Decides what a run would do under one rule. Reads nothing, changes nothing. */
export function planRule(counted: Counted): PlannedRule {
  const { fitted, boundary, census, remarks } = counted
  const { rule } = fitted
  return {
    rule: rule.id,
    phase: rule.phase,
    title: rule.title,
    source: rule.register?.source ?? null,
    digest: rule.digest,
    table: printTable(rule.table),
    filtered: rule.where !== null,
    action: rule.action.kind,
    mode: rule.mode,
    keep: printPeriod(rule.keep),
    today: boundary.today,
    firstDayNotDue: boundary.firstDayNotDue,
    counts: census.counts,
    children: census.children,
    references: census.references,
    oldestDueMonths: ageInMonths(census.dueDays?.oldest, boundary.today),
    medianDueMonths: ageInMonths(census.dueDays?.median, boundary.today),
    newestDueMonths: ageInMonths(census.dueDays?.newest, boundary.today),
    within: rule.within === null ? null : printPeriod(rule.within),
    overdue: census.overdue,
    walk: counted.walk,
    limits: rule.limits,
    floors: census.floors,
    archive: archiveOf(counted),
    columns: columnsOf(fitted),
    remarks,
    approval: approvalOf(counted),
    formerly: formerlyOf(counted),
    mostRows: mostRows(counted),
    refusal: refusalOf(counted),
  }
}

function archiveOf({ fitted, archived }: Counted): PlannedRule['archive'] {
  const [move] = fitted.archive?.moves ?? []
  return move === undefined || archived === null
    ? null
    : { table: printTable(move.to), ...archived }
}

function approvalOf({ fitted: { rule }, permission }: Counted): PlannedRule['approval'] {
  if (permission === null || rule.mode === 'report') return null
  const { state, approval, endsSoon } = permission
  return { state, expiresAt: approval?.expiresAt ?? null, endsSoon }
}

function formerlyOf({ permission, formerlyDue }: Counted): PlannedRule['formerly'] {
  const keep = permission?.approval?.keep
  return keep === undefined || formerlyDue === null
    ? null
    : { keep: printPeriod(keep), due: formerlyDue }
}

function ageInMonths(startDay: string | undefined, today: string): number | null {
  if (startDay === undefined) return null
  const start = DateTime.fromISO(startDay, { zone: 'UTC' })
  const { months } = DateTime.fromISO(today, { zone: 'UTC' }).diff(start, 'months')
  return Math.floor(months)
}

function columnsOf({ rule, table }: FittedRule): PlannedRule['columns'] {
  if (rule.action.kind !== 'anonymise') return []
  const masks = new Map(
    rule.action.masks.map(({ column, strategy }) => [column, becomes(strategy)]),
  )
  return table.columns.map((column) => ({
    column: column.name,
    becomes: masks.get(column.name) ?? (isStructural(column, table) ? 'structural' : 'keep'),
  }))
}

/** What lies under a key is not anonymous: whoever has the key finds the person again. */
function becomes({ kind }: Strategy): string {
  return kind === 'pseudonym' ? 'pseudonymised' : kind
}
