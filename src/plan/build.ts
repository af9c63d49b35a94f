import { DateTime } from 'luxon'
import { isStructural } from '../catalog/fit-masks.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { printTable } from '../base/names.ts'
import { printPeriod } from '../policy/period.ts'
import type { Strategy } from '../policy/strategy.ts'
import type { Boundary } from './boundary.ts'
import type { Census } from './census.ts'
import {
  planDigest,
  rowsPlanned,
  type Plan,
  type PlannedRule,
  type Refusal,
  type Remark,
} from './plan.ts'

export type Counted = {
  readonly fitted: FittedRule
  readonly boundary: Boundary
  readonly census: Census
  /** A person approved this version of the rule. */
  readonly approved: boolean
  readonly remarks: readonly Remark[]
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
export function planRule({ fitted, boundary, census, approved, remarks }: Counted): PlannedRule {
  const { rule } = fitted
  return {
    rule: rule.id,
    title: rule.title,
    source: rule.register?.source ?? null,
    digest: rule.digest,
    table: printTable(rule.table),
    action: rule.action.kind,
    mode: rule.mode,
    keep: printPeriod(rule.keep),
    today: boundary.today,
    firstDayNotDue: boundary.firstDayNotDue,
    counts: census.counts,
    children: census.children,
    oldestDueMonths: ageInMonths(census.dueDays?.oldest, boundary.today),
    medianDueMonths: ageInMonths(census.dueDays?.median, boundary.today),
    newestDueMonths: ageInMonths(census.dueDays?.newest, boundary.today),
    limits: rule.limits,
    columns: columnsOf(fitted),
    remarks,
    refusal: refusalOf(fitted, census) ?? (approved ? null : unapproved(fitted)),
  }
}

/** Limits refuse the whole rule; they never trim it. */
function refusalOf({ rule }: FittedRule, census: Census): Refusal | null {
  const { counts } = census
  if (rule.start.kind === 'event' && rule.start.none === 'error' && counts.neverExpires > 0) {
    return {
      code: 'records_without_event',
      message: `${counts.neverExpires} records have no related row, and the rule says that is an error`,
    }
  }
  const acted = rowsPlanned(census)
  if (acted > rule.limits.maxRows) {
    return {
      code: 'over_max_rows',
      message: `${acted} rows would go, children counted; the limit is ${rule.limits.maxRows} (limits.max_rows)`,
    }
  }
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const percent = total === 0 ? 0 : (100 * counts.due) / total
  if (percent > rule.limits.maxPercent) {
    return {
      code: 'over_max_percent',
      message: `${counts.due} of ${total} rows are due (${percent.toFixed(1)} %); the limit is ${rule.limits.maxPercent} % (limits.max_percent)`,
    }
  }
  return null
}

function unapproved({ rule }: FittedRule): Refusal {
  return {
    code: 'not_approved',
    message: `nobody approved rule ${rule.id} in this version: read a plan and approve it`,
  }
}

function ageInMonths(startDay: string | undefined, today: string): number | null {
  if (startDay === undefined) return null
  const start = DateTime.fromISO(startDay, { zone: 'UTC' })
  const { months } = DateTime.fromISO(today, { zone: 'UTC' }).diff(start, 'months')
  return Math.floor(months)
}

function columnsOf({ rule, table }: FittedRule): PlannedRule['columns'] {
  if (rule.action.kind === 'purge') return []
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
