import { printTable } from '../base/names.ts'
import { columnsRead, type EventStart, type Rule } from '../policy/policy.ts'
import { columnOf, type Catalog, type Column, type ForeignKey, type Table } from './catalog.ts'
import type { FittedLink, FittedStart, Frame, Guard, Moment } from './fitted.ts'
import { findColumn, findTable, type Report } from './fit-table.ts'
import { isWhole } from './partitions.ts'

type Context = {
  readonly rule: Rule
  readonly table: Table
  readonly catalog: Catalog
  readonly report: Report
}

/** Fits the rule's period start; undefined if there are problems, which are reported. */
export function fitStart(context: Context): FittedStart | undefined {
  const { rule, table } = context
  if (rule.start.kind === 'column') {
    const moment = fitMoment(context, {
      table,
      name: rule.start.column,
      zone: rule.start.zone,
      path: ['start'],
    })
    return moment === undefined ? undefined : { kind: 'column', moment }
  }
  return fitEvent(context, rule.start)
}

type MomentPlace = {
  readonly table: Table
  readonly name: string
  readonly zone: string | null
  readonly path: readonly string[]
}

function fitMoment(context: Context, place: MomentPlace): Moment | undefined {
  const { rule, report } = context
  const column = findColumn(place.table, place.name, place.path, report)
  if (column === undefined) return undefined
  const frame = frameOf(column, place.zone ?? rule.zone)
  if (frame === undefined) {
    report(
      place.path,
      'start_not_a_date',
      `${printTable(place.table)}.${place.name} is ${column.typeText}: no period can start there`,
      'a start is a date, a timestamp or a timestamp with time zone',
    )
    return undefined
  }
  if (place.zone !== null && frame.kind !== 'local') {
    report(
      [...place.path, 'timezone'],
      'start_zone_unused',
      `${printTable(place.table)}.${place.name} is ${column.typeText}, which needs no zone of its own`,
      'remove timezone: it is for timestamps without time zone',
    )
    return undefined
  }
  return { column: place.name, frame }
}

function frameOf(column: Column, zone: string): Frame | undefined {
  switch (column.baseType) {
    case 'date':
      return { kind: 'date' }
    case 'timestamptz':
      return { kind: 'instant' }
    case 'timestamp':
      return { kind: 'local', zone }
    default:
      return undefined
  }
}

function fitEvent(context: Context, start: EventStart): FittedStart | undefined {
  const { catalog, report, table } = context
  const source = findTable(catalog, start.source, ['start', 'latest'], report)
  if (source === undefined || !isReadableSource(source, ['start', 'latest'], report)) {
    return undefined
  }
  const moment = fitMoment(context, {
    table: source,
    name: start.column,
    zone: start.zone,
    path: ['start', 'latest'],
  })
  const links = fitLinks(context, start, source)
  for (const name of columnsRead(start.open)) {
    findColumn(source, name, ['start', 'open', name], report)
  }
  const none =
    typeof start.none === 'string'
      ? null
      : fitMoment(context, { table, name: start.none.use, zone: null, path: ['start', 'none'] })
  if (moment === undefined || none === undefined || links === undefined) return undefined
  const guard = fitGuard({ ...context, start, source, links })
  if (guard === undefined) return undefined
  return { kind: 'event', source, moment, links, open: start.open, none, guard }
}

function isReadableSource(source: Table, path: readonly string[], report: Report): boolean {
  if (source.kind !== 'table' && source.kind !== 'partitioned table') {
    report(
      path,
      'source_not_a_table',
      `${printTable(source)} is a ${source.kind}: its rows cannot be locked safely`,
      'name the table in which the rows are stored',
    )
    return false
  }
  if (!isWhole(source, path, report)) return false
  if (source.descendants.length > 0) {
    report(
      path,
      'source_inherited',
      `${source.descendants.join(', ')} inherit from ${printTable(source)}: an open row could stand in one of them`,
      'read the start from a table without heirs; partition it rather than inherit',
    )
    return false
  }
  if (source.rowSecurity) {
    report(
      path,
      'row_security_active',
      `row security on ${printTable(source)} applies to our role: an open row could be hidden`,
      'give the role BYPASSRLS',
    )
    return false
  }
  return true
}

function fitLinks(
  context: Context,
  start: EventStart,
  source: Table,
): readonly FittedLink[] | undefined {
  const { table, report } = context
  const links = start.by.flatMap((link): readonly FittedLink[] => {
    const path = ['start', 'by', link.source]
    const read = findColumn(source, link.source, path, report)
    const own = findColumn(table, link.own, path, report)
    if (read === undefined || own === undefined) return []
    if (read.baseType !== own.baseType && !bothIntegers(read, own)) {
      report(
        path,
        'link_types_differ',
        `${printTable(source)}.${link.source} is ${read.typeText}, ${printTable(table)}.${link.own} is ${own.typeText}`,
        'link columns of one type',
      )
      return []
    }
    return [{ source: read, own }]
  })
  return links.length === start.by.length ? links : undefined
}

function bothIntegers(one: Column, other: Column): boolean {
  const integers = new Set(['int2', 'int4', 'int8'])
  return integers.has(one.baseType) && integers.has(other.baseType)
}

type GuardContext = Context & {
  readonly start: EventStart
  readonly source: Table
  readonly links: readonly FittedLink[]
}

/**
 * Row locks keep new related rows away only if inserting one must lock the same row, which an
 * enforced foreign key over exactly the link columns makes it do. Failing that the source table is
 * closed to writers for the length of a batch, which needs a write privilege on it.
 */
function fitGuard(context: GuardContext): Guard | undefined {
  const { start, source, table, links, catalog, report } = context
  if (start.via !== null) {
    const parent = findTable(catalog, start.via, ['start', 'via'], report)
    if (parent === undefined) return undefined
    const key = foreignKeyOver(source, parent, links)
    if (key === undefined) {
      report(
        ['start', 'via'],
        'via_without_foreign_key',
        `${printTable(source)} has no enforced foreign key over the columns of \`by\` to ${printTable(parent)}`,
        'locking a row of `via` would not keep new related rows away; leave `via` out',
      )
      return undefined
    }
    return { kind: 'common parent', table: parent, pairs: parentPairs(key, parent, links) }
  }
  const toGoverned = foreignKeyOver(source, table, links)
  const refersToOwn = toGoverned?.fromColumns.every((from, position) =>
    links.some(
      (link) => link.source.name === from && link.own.name === toGoverned.toColumns[position],
    ),
  )
  return refersToOwn === true ? { kind: 'own row' } : { kind: 'table' }
}

function foreignKeyOver(
  source: Table,
  target: Table,
  links: readonly FittedLink[],
): ForeignKey | undefined {
  const linked = new Set(links.map((link) => link.source.name))
  return source.outbound.find(
    (key) =>
      key.enforced &&
      key.to.schema === target.schema &&
      key.to.name === target.name &&
      key.fromColumns.length === linked.size &&
      key.fromColumns.every((column) => linked.has(column)),
  )
}

function parentPairs(key: ForeignKey, parent: Table, links: readonly FittedLink[]) {
  return key.fromColumns.flatMap((from, position) => {
    const column = columnOf(parent, key.toColumns[position] ?? '')
    const link = links.find((candidate) => candidate.source.name === from)
    return column === undefined || link === undefined ? [] : [{ parent: column, own: link.own }]
  })
}
