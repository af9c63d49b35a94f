/** Links without a foreign key: nothing but a closed table keeps new rows away from them. */
import { printTable } from '../base/names.ts'
import { columnsRead, type LogicalLink, type Rule } from '../policy/policy.ts'
import type { Catalog, Column, Table } from './catalog.ts'
import { isComparable } from './fit-equality.ts'
import type { Referral } from './fitted.ts'
import { findColumn, findTable, isGovernable, type Report } from './fit-table.ts'

type Path = readonly (string | number)[]

type LinkContext = {
  readonly rule: Rule
  readonly link: LogicalLink
  readonly to: Table
  readonly path: Path
  readonly catalog: Catalog
  readonly report: Report
}

/** Fits a link to the catalog; undefined if there are problems, which are reported. */
export function fitLogical(context: LinkContext): Referral | undefined {
  const { rule, link, to, path, catalog, report } = context
  const table = findTable(catalog, link.table, [...path, 'table'], report)
  if (table === undefined || !isGovernable(table, rule, [...path, 'table'], report)) {
    return undefined
  }
  const filter = columnsRead(link.where).flatMap((name) => {
    const column = findColumn(table, name, [...path, 'where', name], report)
    return isSafe(context, table, column, ['where', name]) ? [name] : []
  })
  const pairs = link.by.flatMap(({ source, own }) => {
    const from = findColumn(table, source, [...path, 'by', source], report)
    const target = findColumn(to, own, [...path, 'by', source], report)
    const safe = [
      isSafe(context, table, from, ['by', source]),
      isSafe(context, to, target, ['by', source]),
    ]
    if (from === undefined || target === undefined || safe.includes(false)) return []
    if (!areOneKind(from, target)) {
      const message = `${printTable(table)}.${source} is ${from.typeText}, ${printTable(to)}.${own} is ${target.typeText}`
      report([...path, 'by', source], 'link_types_differ', message, 'link columns of one type')
      return []
    }
    return [{ source, own }]
  })
  if (pairs.length < link.by.length || filter.length < columnsRead(link.where).length) {
    return undefined
  }
  return {
    name: `${pairs.map(({ source }) => source).join(', ')} (logical)`,
    from: { schema: table.schema, name: table.name, only: table.only },
    to: { schema: to.schema, name: to.name, only: to.only },
    fromColumns: pairs.map(({ source }) => source),
    toColumns: pairs.map(({ own }) => own),
    onDelete: 'a',
    partial: false,
    enforced: false,
    logical: true,
    filter: link.where === null ? null : { table, condition: link.where },
  }
}

function isSafe(
  { path, report }: LinkContext,
  table: Table,
  column: Column | undefined,
  place: Path,
): boolean {
  if (column === undefined || isComparable(column)) return column !== undefined
  const message = `${printTable(table)}.${column.name} is ${column.typeText}, which the program cannot compare safely`
  const remedy = 'link and filter by types that PostgreSQL itself has'
  report([...path, ...place], 'equality_unknown', message, remedy)
  return false
}

const INTEGERS = new Set(['int2', 'int4', 'int8'])
const TEXTS = new Set(['text', 'varchar'])

function areOneKind(one: Column, other: Column): boolean {
  return (
    one.baseType === other.baseType ||
    [INTEGERS, TEXTS].some((kind) => kind.has(one.baseType) && kind.has(other.baseType))
  )
}
