/** SQL of a policy that fails on a row: a cast or a division that a value does not take. */
import { sql, type QueryExecutorProvider } from 'kysely'
import { PolicyError } from '../base/errors.ts'
import { printTable } from '../base/names.ts'
import type { FittedRule, StartedRule } from '../catalog/fitted.ts'
import { saysRowRefused, sqlstateOf } from '../db/sqlstate.ts'
import { sqlOf } from './where-sql.ts'

type Asked = Pick<FittedRule, 'rule' | 'table' | 'start' | 'rivals' | 'superseding'>

/** A rule whose SQL fails, and what to say of it. */
export type FilterFailure = { readonly of: StartedRule['rule']; readonly message: string }

const REMEDY = 'compare as text, or with a column of the right type; or correct the row'

/** What failed, if it was the SQL of this rule, or of another one on its table. */
export function filterFailure(error: unknown, asked: Asked): FilterFailure | null {
  if (!saysRowRefused(error)) return null
  const all: readonly Pick<StartedRule, 'rule' | 'table'>[] = [
    asked,
    ...asked.rivals,
    ...asked.superseding,
  ]
  const found = all.find(({ rule }) => sqlOf(rule.where) !== null)
  if (found === undefined) return null
  const message = `where_sql of rule ${found.rule.id} fails on a row of ${printTable(found.table)} (SQLSTATE ${sqlstateOf(error) ?? ''}): a cast or a division that a value does not take`
  return { of: found.rule, message }
}

/** Asks, and names the policy if its SQL fails. */
export async function namingFilter<T>(asked: Asked, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    const failure = filterFailure(error, asked)
    if (failure === null) throw error
    const { of, message } = failure
    const problem = { code: 'sql_fails', message, remedy: REMEDY }
    throw new PolicyError([of.source.problem(['where_sql'], problem)])
  }
}

/** Asks within a transaction that goes on after a failure of the policy's SQL. */
export async function orFilterFailure<T>(
  trx: QueryExecutorProvider,
  asked: Asked,
  ask: () => Promise<T>,
): Promise<T | FilterFailure> {
  const reads = [asked, ...asked.rivals, ...asked.superseding]
  if (reads.every(({ rule }) => sqlOf(rule.where) === null)) return ask()
  await sql`savepoint counting`.execute(trx)
  try {
    return await ask()
  } catch (error) {
    const failure = filterFailure(error, asked)
    if (failure === null) throw error
    await sql`rollback to savepoint counting`.execute(trx)
    return { ...failure, message: `${failure.message}; ${REMEDY}` }
  }
}
