import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { tableId } from '../db/governed.ts'
import {
  countChildren,
  countReferences,
  type ChildRows,
  type ReferenceRows,
} from './census-references.ts'
import { isInClass, stated, type View } from './due.ts'
import { lateness, sumOverdue, type Late, type Overdue } from './overdue.ts'
import {
  eventsOf,
  hasEndedBySums,
  hasNoStart,
  isImplausibleRow,
  originOf,
  ownUpdateMayCount,
  isOpenRow,
  startDay,
  splitOf,
} from './events.ts'
import { countLeft } from './floors.ts'
import { isDone } from './done.ts'
import { isBlocked, isDeciding, isHeld, isKept, isSuperseded } from './hindrance.ts'
import type { Law, Split } from './moment.ts'
import type { PlannedFloor } from './plan.ts'

/**
 * Every row of the governed table, counted once: `due` may be acted on now; due and
 * spared are `held`, `superseded` (a later phase or a purge acts instead), `kept` (another rule that
 * reaches the record ends later), `blocked` and `deciding`. `done` were anonymised before, `running`
 * end later, `open` and `neverExpires` have no end, `outside` are rows that the rule does not speak of.
 */
export type Verdict =
  | 'due'
  | 'held'
  | 'superseded'
  | 'kept'
  | 'blocked'
  | 'deciding'
  | 'done'
  | 'running'
  | 'open'
  | 'implausible'
  | 'neverExpires'
  | 'outside'

export type Census = {
  readonly counts: Readonly<Record<Verdict, number>>
  /** Rows of other tables that change with the due rows. */
  readonly children: readonly ChildRows[]
  /** Every link to the rows of the rule, to the end of the graph, with what the policy says of it. */
  readonly references: readonly ReferenceRows[]
  /** What the run would leave of each table that has a floor. */
  readonly floors: readonly PlannedFloor[]
  /** Start days of the due rows; null if none is due. They stay in this process: reports show ages. */
  readonly dueDays: DueDays | null
  /** Rows that the rule should have acted on by now; null if it says no `within`. */
  readonly overdue: Overdue | null
}

/** YYYY-MM-DD. Half of the rows start on `median` or before it. */
export type DueDays = {
  readonly oldest: string
  readonly median: string
  readonly newest: string
}

const NONE: Readonly<Record<Verdict, number>> = {
  due: 0,
  held: 0,
  superseded: 0,
  kept: 0,
  blocked: 0,
  deciding: 0,
  done: 0,
  running: 0,
  open: 0,
  implausible: 0,
  neverExpires: 0,
  outside: 0,
}

export const NOTHING_COUNTED: Census = {
  counts: NONE,
  children: [],
  references: [],
  floors: [],
  dueDays: null,
  overdue: null,
}

/** Counts what a run of the rule would meet. */
export async function takeCensus(db: QueryExecutorProvider, view: View): Promise<Census> {
  const split = splitOf(view.fitted.start, { rule: view.fitted.rule, boundary: view.boundary })
  const running = split === null ? [] : await countRunning(db, view, split)
  const judged = await countJudged(db, view, split)
  const counts: Record<Verdict, number> = { ...NONE }
  for (const { verdict, rows } of [...running, ...judged]) counts[verdict] += Number(rows)
  const due = judged.find((row) => row.verdict === 'due')
  const children = due === undefined ? [] : await countChildren(db, view)
  return {
    counts,
    children,
    references: await countReferences(db, view, counts),
    floors: await countLeft(db, view.fitted, { counts, children }),
    dueDays:
      due === undefined ? null : { oldest: due.oldest, median: due.median, newest: due.newest },
    overdue: view.fitted.rule.within === null ? null : sumOverdue(judged),
  }
}

type Counted = { readonly verdict: Verdict; readonly rows: string }

/** Most rows of a large table run: an index on the start counts them without reading the table. */
async function countRunning(
  db: QueryExecutorProvider,
  view: View,
  { runs }: Split,
): Promise<readonly Counted[]> {
  const { rows } = await sql<Counted>`
    select case when ${isInClass(view)} then 'running' else 'outside' end as verdict,
      count(*)::text as rows
    from ${tableId(view.fitted.table)} as row
    where ${runs}
    group by verdict`.execute(db)
  return rows
}

async function countJudged(
  db: QueryExecutorProvider,
  view: View,
  split: Split | null,
): Promise<readonly (Counted & DueDays & Late)[]> {
  const { rows } = await stated(view, (within) => countDays(within, split)).execute(db)
  return rows
}

function countDays(view: View, split: Split | null): RawBuilder<Counted & DueDays & Late> {
  // By day first: there are few days, and a median over the rows themselves would have to sort them.
  return sql`
    with
      daily as (
        select verdict, day, count(*) as rows
        from (
          select verdict, case when verdict in ('due', 'blocked', 'deciding') then day end as day
          from ${judged(view, 'whole table', split?.others)} as judged
        ) as counted
        group by verdict, day
      ),
      summed as (
        select verdict, day, rows, sum(rows) over (partition by verdict order by day) as upto,
          sum(rows) over (partition by verdict) as total
        from daily
      )
    select verdict, sum(rows)::text as rows, min(day)::text as oldest, max(day)::text as newest,
      (min(day) filter (where upto * 2 >= total))::text as median,
      ${lateness(view)}
    from summed
    group by verdict`
}

/**
 * The verdict on each row of the governed table that `only` is true of, its start day and where that
 * stands.
 */
export function judged(
  view: View,
  of: 'whole table' | 'single rows',
  only: RawBuilder<unknown> = sql`true`,
): RawBuilder<unknown> {
  const { fitted, boundary } = view
  const law = { rule: fitted.rule, boundary }
  // The offset keeps the verdict one column: merged into the query around it, it would be worked out
  // for every use, and PostgreSQL would expect as many groups as there are rows, and sort them. As
  // a bare 0, a number still to be converted, it would keep parallel workers away.
  return sql`(
    select ${verdictOf(view, law)} as verdict, ${startDay(fitted.start, law)} as day,
      ${originOf(fitted, law)} as origin
    from ${tableId(fitted.table)} as row
    ${eventsOf(fitted.start, law, of)}
    where ${only}
    offset bigint '0'
  )`
}

function verdictOf(view: View, law: Law): RawBuilder<unknown> {
  const { start } = view.fitted
  return sql`
    case
      when (${isInClass(view)}) is not true then 'outside'
      -- Our own update may have moved the last activity of a row: it is no activity.
      when ${ownUpdateMayCount(start) ? isDone(view) : sql`false`} then 'done'
      when ${hasEndedBySums(start, law)} then
        case
          when ${isDone(view)} then 'done'
          when ${isHeld(view)} then 'held'
          when ${isSuperseded(view)} then 'superseded'
          when ${isKept(view)} then 'kept'
          when ${isBlocked(view)} then 'blocked'
          when ${isDeciding(view)} then 'deciding'
          else 'due'
        end
      -- Its sources may have gone since: acted on, it expires no more.
      when ${hasNoStart(start, law)} then
        case when ${isDone(view)} then 'done' else 'neverExpires' end
      when ${isImplausibleRow(start, law)} then 'implausible'
      when ${isOpenRow(start, law)} then 'open'
      else 'running'
    end`
}
