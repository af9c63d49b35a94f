/** Tries the SQL of the rules on no row at all: PostgreSQL says whether its types fit. */
import { sql } from 'kysely'
import type { Problem } from '../base/problem.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import { tableId } from '../db/governed.ts'
import { saysRowRefused, sqlstateOf } from '../db/sqlstate.ts'
import { inSnapshot } from '../db/transaction.ts'
import type { Condition } from '../policy/policy.ts'
import { sqlFragment } from './sql-condition.ts'

type SqlCondition = Extract<Condition, { kind: 'sql' }>

/** The SQL of a rule, if it has any. */
export function sqlOf(condition: Condition | null): SqlCondition | null {
  if (condition?.kind === 'sql') return condition
  if (condition?.kind !== 'all') return null
  return condition.conditions.find((part) => part.kind === 'sql') ?? null
}

/** Finds SQL that is no condition on the table, and says what PostgreSQL says of its types. */
export async function checkWhereSql(
  db: Db,
  rules: readonly FittedRule[],
): Promise<readonly Problem[]> {
  const problems: Problem[] = []
  for (const { rule, table } of rules) {
    const condition = sqlOf(rule.where)
    if (condition === null) continue
    const message = await failureOf(
      db,
      sql`select (${sqlFragment(condition.expression, 'row')}) is true from ${tableId(table)} as row limit 0`,
    )
    if (message === null) continue
    const remedy = 'compare with values of the type of the column, and end with a condition'
    problems.push(rule.source.problem(['where_sql'], { code: 'sql_unfit', message, remedy }))
  }
  return problems
}

async function failureOf(db: Db, statement: ReturnType<typeof sql>): Promise<string | null> {
  try {
    // In a transaction of ours, with nothing but pg_catalog to search, as every later statement.
    await inSnapshot(db, async (trx) => statement.execute(trx))
    return null
  } catch (error) {
    const state = sqlstateOf(error)
    // Of no row and so without a value of one: it speaks of types and of what the policy says.
    if (error instanceof Error && state?.startsWith('42') === true) {
      return `PostgreSQL says: ${error.message}`
    }
    if (saysRowRefused(error)) return `a value in it is not of the type it is read as (${state})`
    throw error
  }
}
