import { sql, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import { columnOf, type Table } from '../catalog/catalog.ts'
import { bound, columnId, conjunction, disjunction } from '../db/governed.ts'
import type { Condition, Scalar } from '../policy/policy.ts'
import { sqlFragment } from './sql-condition.ts'

/**
 * The filter of a policy as SQL on the row `alias`. It may be null where a policy says false, which
 * `where` and `case` take alike; `not` therefore asks `is not true`.
 */
export function matches(condition: Condition, table: Table, alias: string): RawBuilder<boolean> {
  switch (condition.kind) {
    case 'all':
      return conjunction(condition.conditions.map((part) => matches(part, table, alias)))
    case 'any':
      return disjunction(condition.conditions.map((part) => matches(part, table, alias)))
    case 'not':
      return sql<boolean>`(${matches(condition.condition, table, alias)} is not true)`
    case 'is_null':
      return sql<boolean>`${columnId(alias, condition.column)} is null`
    case 'equals':
      return sql<boolean>`${columnId(alias, condition.column)} = ${literal(condition.column, condition.value, table)}`
    case 'one_of':
      return disjunction(
        condition.values.map(
          (value) =>
            sql`${columnId(alias, condition.column)} = ${literal(condition.column, value, table)}`,
        ),
      )
    case 'compares':
      return sql<boolean>`${columnId(alias, condition.column)} ${operators[condition.operator]} ${literal(condition.column, condition.value, table)}`
    case 'sql':
      return sqlFragment(condition.expression, alias)
    case 'soft_deleted':
      return isMarked(condition.column, condition.deleted, table, alias)
    default:
      return condition satisfies never
  }
}

/** A boolean says it, anything else by being there. */
function isMarked(
  name: string,
  deleted: boolean,
  table: Table,
  alias: string,
): RawBuilder<boolean> {
  const column = columnId(alias, name)
  if (columnOf(table, name)?.baseType === 'bool') {
    return deleted ? sql<boolean>`${column} is true` : sql<boolean>`${column} is not true`
  }
  return deleted ? sql<boolean>`${column} is not null` : sql<boolean>`${column} is null`
}

const operators = { '<': sql`<`, '<=': sql`<=`, '>': sql`>`, '>=': sql`>=` } as const

function literal(name: string, value: Scalar, table: Table): RawBuilder<unknown> {
  const column = columnOf(table, name)
  invariant(column !== undefined, `column ${name} was not fitted`)
  return bound(String(value), column.type)
}
