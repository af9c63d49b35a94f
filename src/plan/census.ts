import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { printTable } from '../base/names.ts'
import { tableId } from '../db/governed.ts'
import { isDue, isInClass, type View } from './due.ts'
import {
  eventsOf,
  hasNoStart,
  isImplausibleRow,
  originOf,
  ownUpdateMayCount,
  isOpenRow,
  startDay,
} from './events.ts'
import { countLeft } from './floors.ts'
import { goesWithAny } from './going.ts'
import {
  isActionable,
  isBlocked,
  isDeciding,
  isDone,
  isHeld,
  isKept,
  isSuperseded,
} from './hindrance.ts'
import type { Law } from './moment.ts'
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
  /** Rows of each `with_parent` table that would go along with the due rows. */
  readonly children: readonly { readonly table: string; readonly rows: number }[]
  /** What the run would leave of each table that has a floor. */
  readonly floors: readonly PlannedFloor[]
  /** Start days of the due rows; null if none is due. They stay in this process: reports show ages. */
  readonly dueDays: DueDays | null
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

/** Counts what a run of the rule would meet. Reads every row of the table once. */
export async function takeCensus(db: QueryExecutorProvider, view: View): Promise<Census> {
  // By day first: there are few days, and a median over the rows themselves would have to sort them.
  const { rows } = await sql<{ verdict: Verdict; rows: string } & DueDays>`
    with
      daily as (
        select verdict, day, count(*) as rows from ${judged(view)} as judged group by verdict, day
      ),
      summed as (
        select verdict, day, rows, sum(rows) over (partition by verdict order by day) as upto,
          sum(rows) over (partition by verdict) as total
        from daily
      )
    select verdict, sum(rows)::text as rows, min(day)::text as oldest, max(day)::text as newest,
      (min(day) filter (where upto * 2 >= total))::text as median
    from summed
    group by verdict`.execute(db)
  const found = Object.fromEntries(rows.map((row) => [row.verdict, Number(row.rows)]))
  const counts = { ...NONE, ...found }
  const due = rows.find((row) => row.verdict === 'due')
  const children = due === undefined ? [] : await countChildren(db, view)
  return {
    counts,
    children,
    floors: await countLeft(db, view.fitted, { counts, children }),
    dueDays:
      due === undefined ? null : { oldest: due.oldest, median: due.median, newest: due.newest },
  }
}

/** The verdict on each row of the governed table that `only` is true of, its start day and where that stands. */
export function judged(view: View, only: RawBuilder<unknown> = sql`true`): RawBuilder<unknown> {
  const { fitted, boundary } = view
  const law = { rule: fitted.rule, boundary }
  return sql`(
    select ${verdictOf(view, law)} as verdict, ${startDay(fitted.start, law)} as day,
      ${originOf(fitted, law)} as origin
    from ${tableId(fitted.table)} as row
    ${eventsOf(fitted.start, law)}
    where ${only}
  )`
}

function verdictOf(view: View, law: Law): RawBuilder<unknown> {
  const { start } = view.fitted
  return sql`
    case
      when (${isInClass(view)}) is not true then 'outside'
      -- Our own update may have moved the last activity of a row: it is no activity.
      when ${ownUpdateMayCount(start) ? isDone(view) : sql`false`} then 'done'
      when ${isDue(view)} then
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

async function countChildren(db: QueryExecutorProvider, view: View): Promise<Census['children']> {
  const { fitted } = view
  const counted: { table: string; rows: number }[] = []
  for (const child of fitted.children) {
    const { rows } = await sql<{ rows: string }>`
      select count(*)::text as rows
      from ${tableId(child.table)} as child
      where ${goesWithAny(view, child, 'child', isActionable(view))}`.execute(db)
    counted.push({ table: printTable(child.table), rows: Number(rows[0]?.rows ?? 0) })
  }
  return counted
}
