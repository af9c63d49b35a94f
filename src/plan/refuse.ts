/** Why a plan refuses a rule, first reason first. A limit refuses the whole rule; it never trims. */
import { printTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { printMissing, type MissingHold } from '../hold/missing.ts'
import { WHY_NOT_APPROVED, type Approval, type ApprovalState } from './approval.ts'
import type { Boundary } from './boundary.ts'
import type { Census } from './census.ts'
import { GROWTH, rowsPlanned, type Refusal } from './plan.ts'

/** How the approval of a rule stands, and what its runs did before. Null: nobody asked the journal. */
export type Permission = {
  readonly state: ApprovalState
  readonly approval: Approval | null
  readonly endsSoon: boolean
  /** Rows that may still go although a limit is tripped; null if the approval lifts no limit. */
  readonly lifted: number | null
  readonly latest: readonly number[]
  readonly required: boolean
  /** A hold that the journal knows, that the database does not, and that may have kept a record of the rule. */
  readonly missing?: MissingHold | null
}

export type Judged = {
  readonly fitted: FittedRule
  readonly boundary: Boundary
  readonly census: Census
  readonly permission: Permission | null
  /** Why its rows could not be counted; left out if they were. */
  readonly unreadable?: Refusal
}

/** Runs without which there is no history to hold a plan against. */
const RUNS_OF_A_HISTORY = 3

/** A rule may meet three times the rows of its largest run, and a thousand: more is unlike it. */
const TIMES_THE_LARGEST = 3
const ABOVE_THE_LARGEST = 1000

/** What refuses the rule, or null. */
export function refusalOf(judged: Judged): Refusal | null {
  const limit = tripped(judged)
  return (
    withoutHold(judged) ??
    judged.unreadable ??
    withoutEvent(judged) ??
    belowFloor(judged) ??
    (limit !== null && !isLifted(judged) ? limit : null) ??
    unapproved(judged) ??
    beyondApproval(judged)
  )
}

/** Rows that a run may act on, children counted, whatever comes up meanwhile. */
export function mostRows(judged: Judged): number {
  const rows = rowsPlanned(judged.census)
  // What comes up meanwhile may be of any of the tables, so that the lowest room is that of all.
  const room = judged.census.floors.map(({ keepAtLeast, left }) => left - keepAtLeast)
  const planned = Math.max(rows, Math.min(Math.ceil(rows * GROWTH), rows + Math.min(...room)))
  const { maxRows, trip } = judged.fitted.rule.limits
  if (isLifted(judged)) return Math.min(planned, liftedRows(judged))
  // Passed already, and by itself it refuses nothing.
  return trip === 'both' && rows > maxRows ? planned : Math.min(planned, maxRows)
}

/** What a person ordered to keep is kept until a person says that it is over. */
function withoutHold({ permission }: Judged): Refusal | null {
  const missing = permission?.missing ?? null
  if (missing === null) return null
  return {
    code: 'hold_missing',
    message: `${printMissing(missing)} was placed, and is not in the database: place it again, then lift ${missing.hold} with --missing`,
  }
}

/** No approval lifts it: it is of the table, and not of one run. */
function belowFloor({ census: { floors } }: Judged): Refusal | null {
  const low = floors.find(({ keepAtLeast, left }) => left < keepAtLeast)
  if (low === undefined) return null
  return {
    code: 'below_floor',
    message: `${low.left} rows of ${low.table} would be left; the floor is ${low.keepAtLeast} (floors.keep_at_least)`,
  }
}

function withoutEvent({ fitted: { rule }, census: { counts } }: Judged): Refusal | null {
  if (rule.start.kind !== 'event' || rule.start.none !== 'error' || counts.neverExpires === 0) {
    return null
  }
  return {
    code: 'records_without_event',
    message: `${counts.neverExpires} records have no related row, and the rule says that is an error`,
  }
}

function tripped(judged: Judged): Refusal | null {
  return overLimits(judged) ?? unlikeBefore(judged)
}

function overLimits(judged: Judged): Refusal | null {
  const rows = overMaxRows(judged)
  const percent = overMaxPercent(judged)
  if (judged.fitted.rule.limits.trip === 'either') return rows ?? percent
  if (rows === null || percent === null) return null
  return { code: rows.code, message: `${rows.message}; ${percent.message}` }
}

function liftedRows({ permission }: Judged): number {
  return permission?.state === 'given' ? (permission.lifted ?? 0) : 0
}

function isLifted(judged: Judged): boolean {
  return tripped(judged) !== null && rowsPlanned(judged.census) <= liftedRows(judged)
}

function overMaxRows({ fitted: { rule }, census }: Judged): Refusal | null {
  const acted = rowsPlanned(census)
  if (acted <= rule.limits.maxRows) return null
  return {
    code: 'over_max_rows',
    message: `${acted} rows would go, children counted; the limit is ${rule.limits.maxRows} (limits.max_rows)`,
  }
}

function overMaxPercent({ fitted: { rule }, census: { counts } }: Judged): Refusal | null {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const percent = total === 0 ? 0 : (100 * counts.due) / total
  if (percent <= rule.limits.maxPercent) return null
  return {
    code: 'over_max_percent',
    message: `${counts.due} of ${total} rows are due (${percent.toFixed(1)} %); the limit is ${rule.limits.maxPercent} % (limits.max_percent)`,
  }
}

function unlikeBefore({ census, permission }: Judged): Refusal | null {
  if (permission === null || permission.latest.length < RUNS_OF_A_HISTORY) return null
  const largest = Math.max(...permission.latest)
  const most = largest * TIMES_THE_LARGEST + ABOVE_THE_LARGEST
  const acted = rowsPlanned(census)
  if (acted <= most) return null
  return {
    code: 'unlike_before',
    message: `${acted} rows would go, children counted; the largest of its latest ${permission.latest.length} runs took ${largest}, and more than ${most} is unlike it`,
  }
}

function unapproved({ fitted: { rule }, permission }: Judged): Refusal | null {
  if (permission === null || !permission.required || permission.state === 'given') return null
  if (permission.state === 'expired') {
    const day = permission.approval?.expiresAt.slice(0, 10) ?? ''
    return {
      code: 'approval_expired',
      message: `the approval of rule ${rule.id} ended on ${day}: read a plan and approve it again`,
    }
  }
  return {
    code: 'not_approved',
    message: `rule ${rule.id} waits for an approval: ${WHY_NOT_APPROVED[permission.state]}; read a plan and approve it`,
  }
}

/** The bounds of an approval hold for each run under it. */
function beyondApproval({ fitted, boundary, census, permission }: Judged): Refusal | null {
  if (permission === null || !permission.required || permission.approval === null) return null
  const { approval } = permission
  if (boundary.firstDayNotDue > approval.lastFirstDay) {
    return {
      code: 'over_approval',
      message: `records are due that started before ${boundary.firstDayNotDue}; approved is ${approval.lastFirstDay} at the latest`,
    }
  }
  const bounds = new Map(approval.tables.map(({ table, rows }) => [table, rows]))
  const going = [
    { table: printTable(fitted.rule.table), rows: census.counts.due },
    ...census.children,
  ]
  const over = going.find(({ table, rows }) => rows > (bounds.get(table) ?? 0))
  if (over === undefined) return null
  return {
    code: 'over_approval',
    message: `${over.rows} rows of ${over.table} would go; approved are ${bounds.get(over.table) ?? 0} for a run`,
  }
}
