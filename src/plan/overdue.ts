/** Which rows a rule that says `within` should have acted on by now, counted in groups by verdict and day. */
import { sql, type RawBuilder } from 'kysely'
import { latestDay } from './boundary.ts'
import type { View } from './due.ts'

/** `days`: how long the longest of them has been overdue; 0 if there is none. */
export type Overdue = { readonly rows: number; readonly days: number }

/** What `lateness` selects for each verdict. */
export type Late = { readonly late: string; readonly days: number | null }

/**
 * Select items over groups of `verdict`, `day` and `rows`, grouped by verdict. What a hold or a
 * longer period keeps is not late, and what another phase acts on is late under that.
 */
export function lateness({ fitted: { rule }, boundary }: View): RawBuilder<unknown> {
  const { keep, within } = rule
  if (within === null) return sql`'0' as late, null as days`
  const isLate = sql`verdict in ('due', 'blocked', 'deciding')
    and day < ${boundary.firstDayNotOverdue}::text::date`
  const days = sql`${boundary.today}::text::date - ${latestDay(sql`min(day)`, { keep, within })}`
  return sql`
    coalesce(sum(rows) filter (where ${isLate}), 0)::text as late,
    case when bool_or(${isLate}) then ${days} end as days`
}

export function sumOverdue(verdicts: readonly Late[]): Overdue {
  return {
    rows: verdicts.reduce((sum, { late }) => sum + Number(late), 0),
    days: Math.max(0, ...verdicts.map(({ days }) => days ?? 0)),
  }
}
