import { sql } from 'kysely'
import type { Problem } from '../base/problem.ts'
import type { Db } from '../db/connect.ts'
import { bound } from '../db/governed.ts'
import { saysRowRefused } from '../db/sqlstate.ts'
import { tellsMovingDay } from '../policy/moving-day.ts'
import type { Condition, Scalar } from '../policy/policy.ts'
import { columnOf, type Column, type Table } from './catalog.ts'
import { sourcesOf } from './chain.ts'
import type { FittedRule } from './fitted.ts'

type Path = readonly (string | number)[]

type Literal = {
  readonly column: Column
  /** Null stands for SQL's null, which a domain may refuse. */
  readonly text: string | null
  readonly path: Path
}

/**
 * Asks PostgreSQL to read every literal of the rules as the type of its column, so that a value
 * that is none is a problem of the policy and not an error in the middle of a census.
 */
export async function checkLiterals(
  db: Db,
  rules: readonly FittedRule[],
): Promise<readonly Problem[]> {
  const problems: Problem[] = []
  for (const fitted of rules) {
    for (const literal of literalsOf(fitted)) {
      const { column, text, path } = literal
      if (isTime(column) && text !== null && tellsMovingDay(text)) {
        problems.push(
          fitted.rule.source.problem(path, {
            code: 'value_moves',
            message: `${JSON.stringify(text)} is another ${column.typeText} tomorrow`,
            remedy: 'write the day; a period belongs into keep',
          }),
        )
        continue
      }
      if (await isReadable(db, literal)) continue
      problems.push(
        fitted.rule.source.problem(path, {
          code: 'value_not_of_type',
          message: `${text === null ? 'null' : JSON.stringify(text)} is no ${column.typeText}, the type of ${column.name}`,
          remedy: 'write a value that the column can hold',
        }),
      )
    }
  }
  return problems
}

function isTime({ baseType }: Column): boolean {
  return ['date', 'timestamp', 'timestamptz', 'time', 'timetz'].includes(baseType)
}

async function isReadable(db: Db, { column, text }: Literal): Promise<boolean> {
  const value =
    text === null
      ? sql`cast(null as ${sql.id(column.type.schema, column.type.name)})`
      : bound(text, column.type)
  try {
    await sql`select ${value} is null`.execute(db)
    return true
  } catch (error) {
    if (saysRowRefused(error)) return false
    throw error
  }
}

function literalsOf(fitted: FittedRule): readonly Literal[] {
  const { rule, table, start, masks } = fitted
  const filters = fitted.declared.flatMap(({ key }) => key.filter ?? [])
  return [
    ...(rule.where === null ? [] : inCondition(rule.where, table, ['where'])),
    ...sourcesOf(start).flatMap(({ open, table: source, place }) =>
      open === null ? [] : inCondition(open, source, [...place, 'open']),
    ),
    ...rule.logical.flatMap(({ where }, at) => {
      const filter = filters.find(({ condition }) => condition === where)
      return filter === undefined
        ? []
        : inCondition(filter.condition, filter.table, ['logical', at, 'where'])
    }),
    ...masks.flatMap(({ column, written }): readonly Literal[] => {
      const path = ['then', 'anonymise', column.name]
      if (written.kind === 'nothing') return [{ column, path, text: null }]
      return written.kind === 'constant' ? [{ column, path, text: written.text }] : []
    }),
  ]
}

function inCondition(condition: Condition, table: Table, path: Path): readonly Literal[] {
  switch (condition.kind) {
    case 'all':
    case 'any':
      return condition.conditions.flatMap((part) => inCondition(part, table, path))
    case 'not':
      return inCondition(condition.condition, table, path)
    case 'is_null':
    case 'sql':
    case 'soft_deleted':
      return []
    case 'equals':
    case 'compares':
      return literalsFor(table, condition.column, [condition.value], path)
    case 'one_of':
      return literalsFor(table, condition.column, condition.values, path)
    default:
      return condition satisfies never
  }
}

function literalsFor(
  table: Table,
  name: string,
  values: readonly Scalar[],
  path: Path,
): readonly Literal[] {
  const column = columnOf(table, name)
  if (column === undefined) return []
  return values.map((value) => ({ column, text: String(value), path: [...path, name] }))
}
