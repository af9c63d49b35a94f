/** What is late: records that rules with `within` should have acted on, before a run and after it. */
import { sql, type QueryExecutorProvider } from 'kysely'
import type { Log } from '../base/log.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import { inSnapshot } from '../db/transaction.ts'
import { readBoundary } from '../plan/boundary.ts'
import { judged } from '../plan/census.ts'
import { viewOf, type View } from '../plan/due.ts'
import { splitOf } from '../plan/events.ts'
import { lateness, sumOverdue, type Late, type Overdue } from '../plan/overdue.ts'
import type { Plan } from '../plan/plan.ts'

export type RuleOverdue = {
  readonly rule: string
  readonly before: number
  readonly after: number
  /** Days since the longest of those that are left was to be done; 0 if none is. */
  readonly days: number
}

/** Of each rule that is late: rows, and days since the first of them was to be done. */
export function overdueBefore(
  plan: Plan,
): readonly { readonly rule: string; readonly rows: number; readonly days: number }[] {
  return plan.rules.flatMap(({ rule, overdue }) =>
    overdue === null || overdue.rows === 0 ? [] : [{ rule, ...overdue }],
  )
}

type Request = {
  readonly db: Db
  readonly log: Log
  readonly rules: readonly FittedRule[]
  readonly plan: Plan
}

/** Counts again at the plan's cutoff, and logs what is left. A run makes nothing late that was not. */
export async function overdueAfter(request: Request): Promise<readonly RuleOverdue[]> {
  const { db, log, rules, plan } = request
  const counted: RuleOverdue[] = []
  for (const { rule, overdue } of plan.rules) {
    if (overdue === null) continue
    const fitted = rules.find((each) => each.rule.id === rule)
    const left =
      overdue.rows === 0 || fitted === undefined
        ? { rows: 0, days: 0 }
        : await inSnapshot(db, async (trx) => {
            const boundary = await readBoundary(trx, fitted, {
              kind: 'instant',
              at: plan.createdAt,
            })
            return countOverdue(trx, viewOf(fitted, boundary))
          })
    counted.push({ rule, before: overdue.rows, after: left.rows, days: left.days })
    if (left.rows > 0) log.warn({ rule, ...left }, 'overdue after the run')
  }
  return counted
}

async function countOverdue(db: QueryExecutorProvider, view: View): Promise<Overdue> {
  const { fitted, boundary } = view
  const split = splitOf(fitted.start, { rule: fitted.rule, boundary })
  const { rows } = await sql<Late>`
    select ${lateness(view)}
    from (
      select verdict, day, count(*) as rows
      from ${judged(view, 'whole table', split?.others)} as judged
      group by verdict, day
    ) as daily
    group by verdict`.execute(db)
  return sumOverdue(rows)
}
