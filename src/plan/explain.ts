/** Why one record is kept, or when it may go: every rule that reaches it, with its verdict. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import type { Table } from '../catalog/catalog.ts'
import { isTangled, type Child, type FittedRule } from '../catalog/fitted.ts'
import {
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
import {
  firstInstantOf,
  latestDay,
  periodOf,
  readBoundary,
  type Boundary,
  type Cutoff,
} from './boundary.ts'
import { judged, type Verdict } from './census.ts'
import { viewOf, type View } from './due.ts'
import { anyGoing } from './going.ts'
import { explainHolds, type ExplainedHold } from './explain-holds.ts'
import { hindrancesOf, isTied } from './hindrance.ts'

export type Explanation = {
  readonly table: string
  readonly key: Key
  /** False: no row has this key now. */
  readonly found: boolean
  /** The instant the explanation stands at. */
  readonly at: string
  readonly rules: readonly ExplainedRule[]
}

export type ExplainedRule = {
  readonly rule: string
  /** Which phase of which rule it is; null for a rule without phases. */
  readonly phase: Rule['phase']
  readonly title: string
  /** The sentence of the policy that the rule carries out, if it says so. */
  readonly source: string | null
  readonly action: 'purge' | 'anonymise'
  readonly mode: 'report' | 'enforce'
  /** Columns that get a pseudonym: whoever has the key finds the person again. */
  readonly pseudonymises: readonly string[]
  /** The table whose rows the rule governs; the record goes along with one of them if it is another. */
  readonly governs: string
  readonly verdict: Verdict
  /** Which column gave the period start, or could have: `crm.contract.ended_on`. */
  readonly startsAt: string
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
  /** Tables with rows that still refer to the record, or to rows that go along with it, and stay. */
  readonly blockedBy: readonly string[]
  /** It has to go at once with other rows of `governs`, or of tables that go along, that stay. */
  readonly tied: boolean
  /** Rules that read a period start or a link from the record and have yet to act; tables of rows it holds. */
  readonly decidesFor: readonly string[]
  /** Open holds that cover the record, due or not. */
  readonly holds: readonly ExplainedHold[]
}

export type ExplainRequest = {
  readonly rules: readonly FittedRule[]
  readonly table: Table
  readonly key: readonly KeyColumn[]
  readonly values: Key
  /** The instant to stand at. */
  readonly at: string
}

/** Explains one record. Reads, on the caller's snapshot, and changes nothing. */
export async function explainRecord(
  db: QueryExecutorProvider,
  request: ExplainRequest,
): Promise<Explanation> {
  const { rules, table, key, values, at } = request
  const found = await exists(db, request)
  const explained: ExplainedRule[] = []
  for (const fitted of found ? rules : []) {
    const roots = await rootsOf(db, fitted, request)
    for (const root of roots) {
      const said = await explainUnder(db, fitted, root, { kind: 'instant', at })
      explained.push({ ...said, along: alongAs(fitted, table) })
    }
  }
  return { table: printTable(table), key: values.slice(0, key.length), found, at, rules: explained }
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
}

async function explainUnder(
  db: QueryExecutorProvider,
  fitted: FittedRule,
  root: Key,
  cutoff: Cutoff,
): Promise<Omit<ExplainedRule, 'along'>> {
  const { rule, key } = fitted
  const boundary = await readBoundary(db, fitted, cutoff)
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
        to_char(
          ${firstInstantOf(sql`(ends + 1)`, rule.zone)} at time zone 'UTC',
          'YYYY-MM-DD"T"HH24:MI:SS"Z"'
        )
      end as may_go_from,
      case when isfinite(day) then ${inTimeUntil(rule)} end::text as in_time_until
    from ${judged(view, 'single rows', isRoot)} as judged
    cross join lateral (
      select case when isfinite(day) then (day + ${periodOf(rule.keep)})::date end as ends
    ) as period`.execute(db)
  const [row] = rows
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
    verdict: row?.verdict ?? 'outside',
    startsAt: row?.origin ?? startOf(fitted),
    keep: printPeriod(rule.keep),
    zone: rule.zone,
    today: boundary.today,
    startDay: row?.start_day ?? null,
    retentionEnd: row?.retention_end ?? null,
    mayGoFrom: row?.may_go_from ?? null,
    inTimeUntil: row?.in_time_until ?? null,
    ...(await hindrancesFound(db, view, isRoot)),
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

async function hindrancesFound(
  db: QueryExecutorProvider,
  view: View,
  isRoot: RawBuilder<unknown>,
): Promise<Pick<ExplainedRule, 'blockedBy' | 'tied' | 'decidesFor'>> {
  const { blockers, readers, holding } = hindrancesOf(view)
  const holds = async (condition: RawBuilder<unknown>): Promise<boolean> => {
    const { rows } = await sql`
      select 1 from ${tableId(view.fitted.table)} as row
      where ${isRoot} and ${condition}`.execute(db)
    return rows.length > 0
  }
  const blockedBy = new Set<string>()
  for (const { name, condition } of blockers) if (await holds(condition)) blockedBy.add(name)
  const decidesFor = new Set<string>()
  for (const { name, condition } of [...readers, ...holding])
    if (await holds(condition)) decidesFor.add(name)
  const tied = isTangled(view.fitted) && (await holds(isTied(view)))
  return { blockedBy: [...blockedBy], tied, decidesFor: [...decidesFor] }
}
