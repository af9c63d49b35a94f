import { printTable } from '../base/names.ts'
import { columnsRead, type EventSource, type Link, type Rule } from '../policy/policy.ts'
import type { Catalog, Column, Table } from './catalog.ts'
import { fitGuard, isKeptBy } from './fit-guard.ts'
import { fitMoment } from './fit-moment.ts'
import type { FittedHop, FittedLink, FittedSource, FittedStart } from './fitted.ts'
import { findColumn, findTable, type Report } from './fit-table.ts'
import { isWhole } from './partitions.ts'

type Context = {
  readonly rule: Rule
  readonly table: Table
  readonly catalog: Catalog
  readonly report: Report
}

type Path = readonly (string | number)[]

/** Fits the rule's period start; undefined if there are problems, which are reported. */
export function fitStart(context: Context): FittedStart | undefined {
  const { rule, table, report } = context
  const { start } = rule
  if (start.kind === 'column') {
    const place = { ...start, table, ruleZone: rule.zone, path: ['start'] }
    const moment = fitMoment(place, report)
    return moment === undefined ? undefined : { kind: 'column', moment }
  }
  const sources = start.sources.flatMap((source) => fitSource(context, source) ?? [])
  const none =
    typeof start.none === 'string'
      ? null
      : fitMoment(
          { ...start.none.use, table, ruleZone: rule.zone, path: ['start', 'none'] },
          report,
        )
  const own = start.own.flatMap(
    (column) =>
      fitMoment({ ...column, table, ruleZone: rule.zone, path: column.place }, report) ?? [],
  )
  const complete = sources.length === start.sources.length && own.length === start.own.length
  if (none === undefined || !complete) return undefined
  return { kind: 'event', sources, own, nulls: start.nulls, none }
}

function fitSource(context: Context, source: EventSource): FittedSource | undefined {
  const { rule, catalog, report } = context
  const path = [...source.place, source.place.length === 1 ? 'latest' : 'column']
  const table = findTable(catalog, source.table, path, report)
  if (table === undefined || !isReadableSource(table, path, report)) return undefined
  const moment = fitMoment({ ...source, table, ruleZone: rule.zone, path }, report)
  const way = fitWay(context, source, table)
  for (const name of columnsRead(source.open)) {
    findColumn(table, name, [...source.place, 'open', name], report)
  }
  if (moment === undefined || way === undefined) return undefined
  const { hops, links, top } = way
  const { start } = rule
  const mayLackEvents =
    start.kind === 'event' &&
    (typeof start.none === 'object' || start.sources.length + start.own.length > 1)
  const guard = fitGuard({ ...context, source, mayLackEvents, top, links })
  if (guard === undefined) return undefined
  return { table, moment, open: source.open, hops, links, guard, place: source.place }
}

function isReadableSource(source: Table, path: Path, report: Report): boolean {
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

type Way = {
  readonly hops: readonly FittedHop[]
  readonly links: readonly FittedLink[]
  /** The table that `links` lead from. */
  readonly top: Table
}

/** Fits the steps from the source up to the governed table. */
function fitWay(context: Context, source: EventSource, table: Table): Way | undefined {
  const { catalog, report } = context
  const by = [...source.place, 'by']
  const hops: FittedHop[] = []
  let below = table
  for (const [at, hop] of source.hops.entries()) {
    const path = [...by, at]
    const above = findTable(catalog, hop.table, path, report)
    if (above === undefined || !isReadableSource(above, path, report)) return undefined
    const links = fitLinks({ below, above, links: hop.links, path }, report)
    if (links === undefined) return undefined
    hops.push({ table: above, links, guarded: isKeptBy(below, above, links) })
    below = above
  }
  const path = hops.length === 0 ? by : [...by, hops.length]
  const links = fitLinks({ below, above: context.table, links: source.by, path }, report)
  return links === undefined ? undefined : { hops, links, top: below }
}

type Step = {
  readonly below: Table
  readonly above: Table
  readonly links: readonly Link[]
  readonly path: Path
}

function fitLinks(step: Step, report: Report): readonly FittedLink[] | undefined {
  const { below, above } = step
  const links = step.links.flatMap((link): readonly FittedLink[] => {
    const path = [...step.path, link.source]
    const read = findColumn(below, link.source, path, report)
    const own = findColumn(above, link.own, path, report)
    if (read === undefined || own === undefined) return []
    if (read.baseType !== own.baseType && !bothIntegers(read, own)) {
      report(
        path,
        'link_types_differ',
        `${printTable(below)}.${link.source} is ${read.typeText}, ${printTable(above)}.${link.own} is ${own.typeText}`,
        'link columns of one type',
      )
      return []
    }
    return [{ source: read, own }]
  })
  return links.length === step.links.length ? links : undefined
}

function bothIntegers(one: Column, other: Column): boolean {
  const integers = new Set(['int2', 'int4', 'int8'])
  return integers.has(one.baseType) && integers.has(other.baseType)
}
