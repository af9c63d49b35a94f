/** Why one record is kept, or when it may go: every rule that reaches it, with its verdict. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import type { Catalog, Table } from '../catalog/catalog.ts'
import { fingerprint } from '../catalog/fingerprint.ts'
import type { Child, FittedRule } from '../catalog/fitted.ts'
import {
  keyArray,
  keyEquals,
  keySet,
  keyTexts,
  readKey,
  tableId,
  type Key,
  type KeyColumn,
} from '../db/governed.ts'
import { printPeriod } from '../policy/period.ts'
import type { Rule } from '../policy/policy.ts'
import { firstWake } from '../policy/wake.ts'
import { stateOf, type ApprovalState, type Approved } from './approval.ts'
import { firstInstantOf, latestDay, periodOf, readBoundary, type Boundary } from './boundary.ts'
import { judged, type Verdict } from './census.ts'
import { viewOf, type View } from './due.ts'
import { relatedCounts } from './events.ts'
import { findArchived, type ExplainedArchive } from './explain-archive.ts'
import { partsLeavingOut, type FilterPart } from './explain-filter.ts'
import { namingFilter } from './filter-fails.ts'
import { explainHindrances, type ExplainedHindrances } from './explain-hindrances.ts'
import { explainHolds, type ExplainedHold } from './explain-holds.ts'
import { explainRoles, type ExplainedRoles, type Subject } from './explain-roles.ts'
import { anyGoing } from './going.ts'
import { tablesReached } from './make.ts'
import type { Plan, Refusal } from './plan.ts'

export type Explanation = ExplainedRoles & {
  readonly table: string
  readonly key: Key
  /** False: no row has this key now, in the table or in an archive of it. */
  readonly found: boolean
  /** Where it stands instead of its table, if a rule has blocked it. */
  readonly archived: ExplainedArchive | null
  /** The instant the explanation stands at. */
  readonly at: string
  readonly rules: readonly ExplainedRule[]
  /** Anonymisations of the record, and the journal entry of each. */
  readonly anonymised: readonly { readonly rule: string; readonly seq: number }[]
  /** Whether all records of the rules were counted, to say what a limit refuses. */
  readonly limitsAsked: boolean
}

export type ExplainedRule = ExplainedHindrances & {
  readonly rule: string
  /** Which phase of which rule it is; null for a rule without phases. */
  readonly phase: Rule['phase']
  readonly title: string
  /** The sentence of the policy that the rule carries out, if it says so. */
  readonly source: string | null
  readonly action: 'purge' | 'anonymise' | 'block'
  readonly mode: 'report' | 'enforce'
  /** Columns that get a pseudonym: whoever has the key finds the person again. */
  readonly pseudonymises: readonly string[]
  /** The table whose rows the rule governs; the record goes along with one of them if it is another. */
  readonly governs: string
  readonly verdict: Verdict
  /** Of a row that the rule does not speak of: the keys of its filter that it does not match. */
  readonly leftOutBy: readonly FilterPart[]
  /** Which column gave the period start, or could have: `crm.contract.ended_on`. */
  readonly startsAt: string
  /** Of an event-started period: the related rows that have a say. Empty for a column of the row itself. */
  readonly events: readonly ExplainedEvents[]
  readonly keep: string
  readonly zone: string
  readonly today: string
  /** The start day; null if there is none. */
  readonly startDay: string | null
  /** The last day of the period. */
  readonly retentionEnd: string | null
  /** The first instant at which the rule may act, by time alone; ISO 8601, UTC. */
  readonly mayGoFrom: string | null
  /** The last day on which it is in time; null if the rule says no `within`. */
  readonly inTimeUntil: string | null
  /** How the record changes with a row of `governs`; null if it is one itself. */
  readonly along: 'purge' | 'detach' | null
  /** The same on the clocks of the rule's zone: `2026-03-01 00:00:00`. */
  readonly mayGoFromLocal: string | null
  /** When the daemon runs the rule; null: never by itself. */
  readonly schedule: Rule['schedule']
  /** The first scheduled run at which it may go by time alone; null if none is known. */
  readonly nextRun: string | null
  /** How the rule's approval stands; null for a rule that only reports. */
  readonly approval: { readonly state: ApprovalState; readonly expiresAt: string | null } | null
  /** Why a plan would refuse the rule, if somebody asked (`limitsAsked`). */
  readonly refusal: Refusal | null
  /** Open holds that cover the record, due or not. */
  readonly holds: readonly ExplainedHold[]
}

export type ExplainedEvents = {
  readonly column: string
  readonly rows: number
  readonly open: number
  readonly implausible: number
}

export type ExplainRequest = {
  readonly rules: readonly FittedRule[]
  readonly table: Table
  readonly key: readonly KeyColumn[]
  readonly values: Key
  /** The instant to stand at. */
  readonly at: string
  /** What the journal says about the rules, and the tables that their approvals rest on. */
  readonly approvals?: { readonly approved: Approved; readonly catalog: Pick<Catalog, 'tables'> }
  /** A plan of now, which says what a limit refuses. */
  readonly plan?: Pick<Plan, 'rules'>
}

/** Explains one record. Reads, on the caller's snapshot, and changes nothing. */
export async function explainRecord(
  db: QueryExecutorProvider,
  request: ExplainRequest,
): Promise<Explanation> {
  const { rules, key, values, at } = request
  const there = await exists(db, request)
  const elsewhere = there ? null : await findArchived(db, request)
  const found = there || elsewhere !== null
  const table = elsewhere?.table ?? request.table
  const explained: ExplainedRule[] = []
  for (const fitted of found ? rules : []) {
    const roots = await rootsOf(db, fitted, { ...request, table })
    for (const root of roots) {
      const said = await namingFilter(fitted, async () => explainUnder(db, fitted, root, request))
      explained.push({ ...said, along: alongAs(fitted, table) })
    }
  }
  const subject = { table, key, given: keySet(key, [values]) }
  return {
    table: printTable(request.table),
    key: values.slice(0, key.length),
    found,
    archived: elsewhere?.said ?? null,
    at,
    rules: explained,
    anonymised: found ? await markersOf(db, subject) : [],
    limitsAsked: request.plan !== undefined,
    ...(found ? await explainRoles(db, rules, subject) : { startsPeriods: [], holdsRows: [] }),
  }
}

async function markersOf(
  db: QueryExecutorProvider,
  { table, key, given }: Subject,
): Promise<Explanation['anonymised']> {
  const { rows } = await sql<{ rule: string; seq: bigint }>`
    select marker.rule, marker.seq
    from ${tableId(table)} as row
    join ${given} as given on ${keyEquals(key, 'row', 'given')}
    join retentiond.anonymised as marker
      on marker.table_oid = ${table.oid}::oid and marker.key = ${keyArray(key, 'row')}
    order by marker.seq`.execute(db)
  return rows.map(({ rule, seq }) => ({ rule, seq: Number(seq) }))
}

async function exists(db: QueryExecutorProvider, request: ExplainRequest): Promise<boolean> {
  const { table, key, values } = request
  const { rows } = await sql`
    select ${keyTexts(key, 'row')}
    from ${tableId(table)} as row
    join ${keySet(key, [values])} as given on ${keyEquals(key, 'row', 'given')}`.execute(db)
  return rows.length > 0
}

/** The governed rows with which the record goes: itself, or the rows it is a child of. */
async function rootsOf(
  db: QueryExecutorProvider,
  fitted: FittedRule,
  { table, key, values }: ExplainRequest,
): Promise<readonly Key[]> {
  if (sameTable(fitted.table, table)) return [values]
  const child = alongWith(fitted, table)
  if (child === null) return []
  const view = viewOf(fitted, NO_BOUNDARY)
  const { rows } = await sql<Record<string, unknown>>`
    select ${keyTexts(fitted.key, 'row')}
    from ${tableId(fitted.table)} as row
    where ${isAbove(view, child, keySet(key, [values]))}`.execute(db)
  return rows.map((row) => readKey(row, fitted.key))
}

function alongWith({ children, detached }: FittedRule, table: Table): Child | null {
  return [...children, ...detached].find((child) => sameTable(child.table, table)) ?? null
}

function alongAs(fitted: FittedRule, table: Table): ExplainedRule['along'] {
  if (sameTable(fitted.table, table)) return null
  return fitted.children.some((child) => sameTable(child.table, table)) ? 'purge' : 'detach'
}

/** Finding the parents of a row asks nothing about time. */
const NO_BOUNDARY: Boundary = {
  today: '',
  firstDayNotDue: '',
  firstDayNotOverdue: null,
  date: { from: '', before: '' },
  instant: { from: '', before: '' },
  local: new Map(),
  others: new Map(),
}

function isAbove(view: View, child: Child, given: RawBuilder<unknown>): RawBuilder<boolean> {
  return anyGoing(
    view,
    child,
    (going) =>
      sql`exists (select from ${given} as given where ${keyEquals(child.key, going, 'given')})`,
  )
}

type Judged = {
  readonly verdict: Verdict
  readonly origin: string | null
  readonly start_day: string | null
  readonly retention_end: string | null
  readonly may_go_from: string | null
  readonly in_time_until: string | null
  readonly may_go_from_local: string | null
}

async function explainUnder(
  db: QueryExecutorProvider,
  fitted: FittedRule,
  root: Key,
  request: ExplainRequest,
): Promise<Omit<ExplainedRule, 'along'>> {
  const { rule, key } = fitted
  const { at } = request
  const boundary = await readBoundary(db, fitted, { kind: 'instant', at })
  const view = viewOf(fitted, boundary)
  const isRoot = sql`exists (
    select from ${keySet(key, [root])} as given where ${keyEquals(key, 'row', 'given')}
  )`
  const { rows } = await sql<Judged>`
    select
      verdict,
      origin,
      case when isfinite(day) then day end::text as start_day,
      case when isfinite(day) then ends end::text as retention_end,
      case when isfinite(day) then
        to_char(first at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
      end as may_go_from,
      case when isfinite(day) then
        to_char(first at time zone ${rule.zone}::text, 'YYYY-MM-DD HH24:MI:SS')
      end as may_go_from_local,
      case when isfinite(day) then ${inTimeUntil(rule)} end::text as in_time_until
    from ${judged(view, 'single rows', isRoot)} as judged
    cross join lateral (
      select case when isfinite(day) then (day + ${periodOf(rule.keep)})::date end as ends
    ) as period
    cross join lateral (select ${firstInstantOf(sql`(ends + 1)`, rule.zone)} as first) as going`.execute(
    db,
  )
  const [row] = rows
  const verdict = row?.verdict ?? 'outside'
  return {
    rule: rule.id,
    phase: rule.phase,
    title: rule.title,
    source: rule.register?.source ?? null,
    action: rule.action.kind,
    mode: rule.mode,
    pseudonymises: fitted.masks
      .filter(({ written }) => written.kind === 'pseudonym')
      .map(({ column }) => column.name),
    governs: printTable(rule.table),
    verdict,
    leftOutBy: verdict === 'outside' ? await partsLeavingOut(db, fitted, isRoot) : [],
    startsAt: row?.origin ?? startOf(fitted),
    events: await eventsUnder(db, view, isRoot),
    keep: printPeriod(rule.keep),
    zone: rule.zone,
    today: boundary.today,
    startDay: row?.start_day ?? null,
    retentionEnd: row?.retention_end ?? null,
    mayGoFrom: row?.may_go_from ?? null,
    inTimeUntil: row?.in_time_until ?? null,
    mayGoFromLocal: row?.may_go_from_local ?? null,
    schedule: rule.schedule,
    nextRun: nextRunOf(rule, at, row?.may_go_from ?? null),
    approval: approvalOf(fitted, request),
    refusal: request.plan?.rules.find((planned) => planned.rule === rule.id)?.refusal ?? null,
    ...(await explainHindrances(db, view, isRoot)),
    holds: await explainHolds(db, view, isRoot),
  }
}

function inTimeUntil({ keep, within }: Rule): RawBuilder<unknown> {
  return within === null ? sql`null::date` : latestDay(sql`day`, { keep, within })
}

function startOf({ rule: { start, table } }: FittedRule): string {
  if (start.kind === 'column') return `${printTable(table)}.${start.column}`
  return start.sources.map((source) => `${printTable(source.table)}.${source.column}`).join(', ')
}

async function eventsUnder(
  db: QueryExecutorProvider,
  { fitted, boundary }: View,
  isRoot: RawBuilder<unknown>,
): Promise<readonly ExplainedEvents[]> {
  const { rule, start, table } = fitted
  if (start.kind === 'column') return []
  const explained: ExplainedEvents[] = []
  for (const { column, counts } of relatedCounts(
    start,
    { rule, boundary },
    { table, is: isRoot },
  )) {
    const { rows } = await counts.execute(db)
    const count = (name: string): number => Number(rows[0]?.[name] ?? 0)
    const [open, implausible] = [count('open'), count('implausible')]
    explained.push({ column, rows: count('rows'), open, implausible })
  }
  return explained
}

/** Of a record that has no end yet nothing can be said. */
function nextRunOf(rule: Rule, at: string, mayGoFrom: string | null): string | null {
  if (rule.mode === 'report' || rule.schedule === null || mayGoFrom === null) return null
  return firstWake(rule.schedule, mayGoFrom > at ? mayGoFrom : at)
}

function approvalOf(
  fitted: FittedRule,
  { approvals, at }: ExplainRequest,
): ExplainedRule['approval'] {
  if (approvals === undefined || fitted.rule.mode === 'report') return null
  const { approved, catalog } = approvals
  const standing = approved.standings.get(fitted.rule.id)
  const state = stateOf(fitted, fingerprint(tablesReached([fitted], catalog)), standing, at)
  return { state, expiresAt: standing?.approval?.expiresAt ?? null }
}
