import { printTable } from '../base/names.ts'
import { columnsRead } from '../policy/policy.ts'
import { columnOf, type Column, type Table } from './catalog.ts'
import type { FittedRule } from './fitted.ts'
import type { Report } from './fit-table.ts'

type Compared = Pick<FittedRule, 'rule' | 'table' | 'key' | 'start' | 'children' | 'blockers'>

type Place = {
  readonly table: Table
  readonly columns: readonly string[]
  readonly path: readonly string[]
}

/**
 * Refuses to compare columns whose equality belongs to an extension. Sessions have no search path,
 * so that nobody can put an operator in our way; PostgreSQL then silently takes one of its own: for
 * citext that of text, by which a row in another case is not related, and an open one is missed.
 */
export function reportUnknownEquality(fitted: Compared, report: Report): void {
  for (const { table, columns, path } of placesOf(fitted)) {
    const name = columns.find((each) => !isComparable(columnOf(table, each)))
    if (name === undefined) continue
    const type = columnOf(table, name)?.typeText ?? 'unknown'
    report(
      path,
      'equality_unknown',
      `${printTable(table)}.${name} is ${type}, which the program cannot compare safely`,
      'link, key and filter by columns of types that PostgreSQL itself has',
    )
  }
}

function placesOf({ rule, table, key, start, children, blockers }: Compared): readonly Place[] {
  const names = key.map(({ name }) => name)
  const events: readonly Place[] =
    start.kind === 'column'
      ? []
      : [
          ...start.links.flatMap(({ source, own }): readonly Place[] => {
            const path = ['start', 'by', source.name]
            return [
              { table: start.source, columns: [source.name], path },
              { table, columns: [own.name], path },
            ]
          }),
          ...columnsRead(start.open).map((column) => ({
            table: start.source,
            columns: [column],
            path: ['start', 'open', column],
          })),
        ]
  return [
    { table, columns: names, path: ['table'] },
    ...columnsRead(rule.where).map((each) => ({ table, columns: [each], path: ['where', each] })),
    ...events,
    ...children.map(({ table: child, key: childKey, foreignKeys }) => ({
      table: child,
      columns: [
        ...childKey.map(({ name }) => name),
        ...foreignKeys.flatMap(({ fromColumns }) => fromColumns),
      ],
      path: ['references', printTable(child)],
    })),
    ...blockers.map(({ key: { fromColumns }, table: waiting }) => ({
      table: waiting,
      columns: fromColumns,
      path: ['references', printTable(waiting)],
    })),
  ]
}

function isComparable(column: Column | undefined): boolean {
  if (column === undefined || column.category === 'E') return true
  const isDomain = column.baseType !== column.type.name
  if (isDomain) return BASE_TYPES.has(column.baseType)
  return column.type.schema === 'pg_catalog' && !['json', 'xml', 'point'].includes(column.baseType)
}

/** Types of PostgreSQL that a domain may stand on; of others the catalog does not tell the schema. */
const BASE_TYPES = new Set(
  'text varchar bpchar name int2 int4 int8 numeric float4 float8 bool uuid date time timestamp timestamptz bytea inet cidr'.split(
    ' ',
  ),
)
