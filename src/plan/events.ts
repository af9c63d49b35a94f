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
import { columnId, conjunction, disjunction } from '../db/governed.ts'
import { matches } from './condition.ts'
import { dayOf, isImplausible, isOpen, type Law } from './moment.ts'
import { plainly, topOf, wayFrom } from './related.ts'

/** Joins to each row what its related rows say, source by source, as `events_1`, `events_2`, …. */
export function eventsOf(start: FittedStart, law: Law): RawBuilder<unknown> {
  if (start.kind === 'column') return sql``
  return sql.join(
    start.sources.map((source, at) => summedUp(start, source, at, law)),
    sql` `,
  )
}

function summedUp(
  start: FittedEvent,
  source: FittedSource,
  at: number,
  law: Law,
): RawBuilder<unknown> {
  const { column, frame } = source.moment
  const value = columnId('event', column)
  const said = start.nulls === 'open' ? sql<boolean>`true` : sql<boolean>`${value} is not null`
  const declared =
    source.open === null
      ? sql<boolean>`false`
      : sql<boolean>`${matches(source.open, source.table, 'event')} is true`
  const links = source.links.map((link, position) => ({
    read: columnId(topOf(source, plainly), link.source.name),
    own: columnId('row', link.own.name),
    alias: `link_${position + 1}`,
  }))
  return sql`
    left join (
      select
        ${sql.join(links.map(({ read, alias }) => sql`${read} as ${sql.id(alias)}`))},
        count(*) filter (where ${isOpen(value, frame, law)} or ${declared}) as open,
        count(*) filter (where ${isImplausible(value, frame, law)}) as implausible,
        max(${dayOf(value, frame, law)}) as latest
      from ${wayFrom(source, 0, plainly)}
      where ${said}
      group by ${sql.join(links.map(({ read }) => read))}
    ) as ${sql.id(summary(at))}
    on ${conjunction(links.map(({ own, alias }) => sql`${own} = ${sql.id(summary(at), alias)}`))}`
}

function summary(at: number): string {
  return `events_${at + 1}`
}

/** What one source, or one column of the row itself, says of its start. */
type Said = {
  readonly nothing: RawBuilder<boolean>
  readonly open: RawBuilder<boolean>
  readonly implausible: RawBuilder<boolean>
  readonly day: RawBuilder<unknown>
}

function allSaid(start: FittedEvent, law: Law): readonly Said[] {
  const sources = start.sources.map((_, at): Said => {
    const column = (name: string) => sql.id(summary(at), name)
    return {
      nothing: sql<boolean>`${column('open')} is null`,
      open: sql<boolean>`${column('open')} > 0`,
      implausible: sql<boolean>`${column('implausible')} > 0`,
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
