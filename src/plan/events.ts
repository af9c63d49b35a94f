/** What the period starts of a whole table are: its related rows summed up, in one pass over each source. */
import { sql, type RawBuilder } from 'kysely'
import { printTable, type TableName } from '../base/names.ts'
import type {
  FittedEvent,
  FittedSource,
  FittedStart,
  Moment,
  StartedRule,
} from '../catalog/fitted.ts'
import type { Table } from '../catalog/catalog.ts'
import { columnId, conjunction, disjunction, tableId } from '../db/governed.ts'
import { matches } from './condition.ts'
import {
  dayOf,
  isImplausible,
  isOpen,
  isPast,
  splitByRunning,
  type Law,
  type Split,
} from './moment.ts'
import { isRelated, plainly, topOf, wayFrom } from './related.ts'

/**
 * Joins to each row what its related rows say, source by source, as `events_1`, `events_2`, …. Of a
 * whole table each source is read once; of `single rows` only what is related to them.
 */
export function eventsOf(
  start: FittedStart,
  law: Law,
  of: 'whole table' | 'single rows',
): RawBuilder<unknown> {
  if (start.kind === 'column') return sql``
  const joined = of === 'whole table' ? allSummedUp : relatedSummedUp
  return sql.join(
    start.sources.map((source, at) => joined(source, sumsOf(start, source, law), summary(at))),
    sql` `,
  )
}

type Sums = { readonly said: RawBuilder<unknown>; readonly columns: RawBuilder<unknown> }

function allSummedUp(source: FittedSource, sums: Sums, name: string): RawBuilder<unknown> {
  const links = source.links.map((link, position) => ({
    read: columnId(topOf(source, plainly), link.source.name),
    own: columnId('row', link.own.name),
    alias: `link_${position + 1}`,
  }))
  return sql`
    left join (
      select
        ${sql.join(links.map(({ read, alias }) => sql`${read} as ${sql.id(alias)}`))},
        ${sums.columns}
      from ${wayFrom(source, 0, plainly)}
      where ${sums.said}
      group by ${sql.join(links.map(({ read }) => read))}
    ) as ${sql.id(name)}
    on ${conjunction(links.map(({ own, alias }) => sql`${own} = ${sql.id(name, alias)}`))}`
}

function relatedSummedUp(source: FittedSource, sums: Sums, name: string): RawBuilder<unknown> {
  return sql`
    left join lateral (
      select ${sums.columns}
      from ${wayFrom(source, 0, plainly)}
      where ${sums.said} and ${isRelated(source, 'row', plainly)}
      having count(*) > 0
    ) as ${sql.id(name)} on true`
}

/** What each source says of the row that `isRoot` is true of: rows, and how many are open or cannot be. */
export function relatedCounts(
  start: FittedEvent,
  law: Law,
  root: { readonly table: Table; readonly is: RawBuilder<unknown> },
): readonly { readonly column: string; readonly counts: RawBuilder<Record<string, string>> }[] {
  return start.sources.map((source) => ({
    column: `${printTable(source.table)}.${source.moment.column}`,
    counts: sql`
      select count(*) as rows, ${sumsOf(start, source, law).columns}
      from ${wayFrom(source, 0, plainly)}
      where exists (
        select from ${tableId(root.table)} as row
        where ${root.is} and ${isRelated(source, 'row', plainly)}
      )`,
  }))
}

function sumsOf(start: FittedEvent, source: FittedSource, law: Law): Sums {
  const { column, frame } = source.moment
  const value = columnId('event', column)
  const open = isDeclaredOpen(source)
  return {
    said: start.nulls === 'open' ? sql`true` : sql`${value} is not null`,
    columns: sql`
      count(*) filter (where ${isOpen(value, frame, law)} or ${open}) as open,
      count(*) filter (where ${isImplausible(value, frame, law)}) as implausible,
      count(*) filter (where (${isPast(value, frame, law)} and not ${open}) is not true) as lasting,
      max(${dayOf(value, frame, law)}) as latest`,
  }
}

function isDeclaredOpen({ open, table }: FittedSource): RawBuilder<boolean> {
  if (open === null) return sql<boolean>`false`
  return sql<boolean>`(${matches(open, table, 'event')} is true)`
}

function summary(at: number): string {
  return `events_${at + 1}`
}

/** What one source, or one column of the row itself, says of its start. */
type Said = {
  readonly nothing: RawBuilder<boolean>
  readonly open: RawBuilder<boolean>
  readonly implausible: RawBuilder<boolean>
  /** Nothing that it says lasts until the boundary or beyond. */
  readonly over: RawBuilder<boolean>
  readonly day: RawBuilder<unknown>
}

function allSaid(start: FittedEvent, law: Law): readonly Said[] {
  const sources = start.sources.map((_, at): Said => {
    const column = (name: string) => sql.id(summary(at), name)
    return {
      nothing: sql<boolean>`${column('open')} is null`,
      open: sql<boolean>`${column('open')} > 0`,
      implausible: sql<boolean>`${column('implausible')} > 0`,
      over: sql<boolean>`coalesce(${column('lasting')} = 0, true)`,
      day: column('latest'),
    }
  })
  const own = start.own.map((moment) => ownSaid(moment, start.nulls, law))
  return [...sources, ...own]
}

function ownSaid(moment: Moment, nulls: FittedEvent['nulls'], law: Law): Said {
  const value = own(moment)
  const said = nulls === 'open' ? sql`true` : sql`${value} is not null`
  return {
    nothing: sql<boolean>`not (${said})`,
    open: sql<boolean>`(${said} and ${isOpen(value, moment.frame, law)})`,
    implausible: isImplausible(value, moment.frame, law),
    over: sql<boolean>`(not (${said}) or ${isPast(value, moment.frame, law)})`,
    day: dayOf(value, moment.frame, law),
  }
}

function nothingSaid(start: FittedEvent, law: Law): RawBuilder<boolean> {
  return conjunction(allSaid(start, law).map(({ nothing }) => nothing))
}

/** True of a start that an update of the governed row, and so ours, may move. */
export function ownUpdateMayCount(start: FittedStart): boolean {
  return start.kind === 'event' && start.nulls === 'nothing'
}

/** True of a row whose period is over, as `isOver` (start.ts) says it of what is not summed up. */
export function hasEndedBySums(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'column') return isPast(own(start.moment), start.moment.frame, law)
  const { none } = start
  const fallback = none === null ? sql`false` : isPast(own(none), none.frame, law)
  return conjunction([
    ...allSaid(start, law).map(({ over }) => over),
    sql`(${fallback} or not ${nothingSaid(start, law)})`,
  ])
}

/** Splits the rows by what an index on the start answers; null if none could. */
export function splitOf(start: FittedStart, law: Law): Split | null {
  if (start.kind === 'event') return null
  return splitByRunning(own(start.moment), start.moment.frame, law)
}

/** True of a row that nothing says the period start of. */
export function hasNoStart(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'column') return sql<boolean>`false`
  const nothing = nothingSaid(start, law)
  if (start.none === null) return nothing
  return conjunction([nothing, isOpen(own(start.none), start.none.frame, law)])
}

export function isImplausibleRow(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'column') return isImplausible(own(start.moment), start.moment.frame, law)
  const said = allSaid(start, law).map(({ implausible }) => implausible)
  if (start.none === null) return disjunction(said)
  const fallback = isImplausible(own(start.none), start.none.frame, law)
  return disjunction([...said, conjunction([nothingSaid(start, law), fallback])])
}

export function isOpenRow(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'event') return disjunction(allSaid(start, law).map(({ open }) => open))
  return isOpen(own(start.moment), start.moment.frame, law)
}

/** The day on which the period starts; null if there is none. */
export function startDay(start: FittedStart, law: Law): RawBuilder<unknown> {
  if (start.kind === 'column') return dayOf(own(start.moment), start.moment.frame, law)
  const latest = sql`greatest(${sql.join(allSaid(start, law).map(({ day }) => day))})`
  if (start.none === null) return latest
  return sql`coalesce(${latest}, ${dayOf(own(start.none), start.none.frame, law)})`
}

/**
 * Names the column that gave the start, as `schema.table.column`: of the sources that make a record
 * implausible or keep it open the first, else the one with the latest day.
 */
export function originOf({ start, table }: StartedRule, law: Law): RawBuilder<unknown> {
  const named = (of: TableName, { column }: Moment) => sql`${`${printTable(of)}.${column}`}::text`
  if (start.kind === 'column') return named(table, start.moment)
  const said = allSaid(start, law)
  const places = [
    ...start.sources.map((source) => named(source.table, source.moment)),
    ...start.own.map((moment) => named(table, moment)),
  ]
  const latest = sql`greatest(${sql.join(said.map(({ day }) => day))})`
  const cases = [
    ...said.map(({ implausible }, at) => sql`when ${implausible} then ${places[at]}`),
    ...said.map(({ open }, at) => sql`when ${open} then ${places[at]}`),
    ...said.map(({ day }, at) => sql`when ${day} = ${latest} then ${places[at]}`),
  ]
  const otherwise = start.none === null ? sql`null` : named(table, start.none)
  return sql`case ${sql.join(cases, sql` `)} else ${otherwise} end`
}

function own({ column }: Moment): RawBuilder<unknown> {
  return columnId('row', column)
}
