import { printTable } from '../base/names.ts'
import { columnsRead, readingsOf } from '../policy/policy.ts'
import { columnOf, type Column, type Table } from './catalog.ts'
import { levelsOf, sourcesOf } from './chain.ts'
import type { FittedRule, FittedSource } from './fitted.ts'
import type { Report } from './fit-table.ts'

type Compared = Pick<
  FittedRule,
  'rule' | 'table' | 'key' | 'start' | 'children' | 'detached' | 'together' | 'blockers'
>

type Place = {
  readonly table: Table
  readonly columns: readonly string[]
  readonly path: readonly (string | number)[]
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

function placesOf(compared: Compared): readonly Place[] {
  const { rule, table, key, start, children, detached, together, blockers } = compared
  const names = key.map(({ name }) => name)
  return [
    { table, columns: names, path: ['table'] },
    ...readingsOf(rule.where, ['where']).flatMap(({ column, place, by }): readonly Place[] => {
      // What SQL does with a document is not to compare it; that is tried (plan/where-sql.ts).
      const isDocument = columnOf(table, column)?.baseType === 'json'
      return by === 'sql' && isDocument ? [] : [{ table, columns: [column], path: place }]
    }),
    ...sourcesOf(start).flatMap((source) => sourcePlaces(source, table)),
    ...together.map(({ fromColumns }) => ({
      table,
      columns: fromColumns,
      path: ['references', printTable(table)],
    })),
    ...[...children, ...detached].map(({ table: child, key: childKey, foreignKeys }) => ({
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

function sourcePlaces(source: FittedSource, governed: Table): readonly Place[] {
  return [
    ...levelsOf(source).flatMap(({ table, links }, at) => {
      const above = source.hops[at]?.table ?? governed
      return links.flatMap(({ source: read, own }): readonly Place[] => {
        const step = source.hops.length === 0 ? [] : [at]
        const path = [...source.place, 'by', ...step, read.name]
        return [
          { table, columns: [read.name], path },
          { table: above, columns: [own.name], path },
        ]
      })
    }),
    ...columnsRead(source.open).map((column) => ({
      table: source.table,
      columns: [column],
      path: [...source.place, 'open', column],
    })),
  ]
}

export function isComparable(column: Column | undefined): boolean {
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
