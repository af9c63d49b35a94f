/** What the period starts of a whole table are: its related rows summed up, in one pass over each source. */
import { sql, type RawBuilder } from 'kysely'
import type { FittedEvent, FittedSource, FittedStart, Moment } from '../catalog/fitted.ts'
import { columnId, conjunction, disjunction } from '../db/governed.ts'
import { matches } from './condition.ts'
import { dayOf, isImplausible, isOpen, type Law } from './moment.ts'
import { plainly, topOf, wayFrom } from './related.ts'

/** Joins to each row what its related rows say, source by source, as `events_1`, `events_2`, …. */
export function eventsOf(start: FittedStart, law: Law): RawBuilder<unknown> {
  if (start.kind === 'column') return sql``
  return sql.join(
    start.sources.map((source, at) => summedUp(source, at, law)),
    sql` `,
  )
}

function summedUp(source: FittedSource, at: number, law: Law): RawBuilder<unknown> {
  const { column, frame } = source.moment
  const value = columnId('event', column)
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
        count(*) as related,
        count(*) filter (where ${isOpen(value, frame, law)} or ${declared}) as open,
        count(*) filter (where ${isImplausible(value, frame, law)}) as implausible,
        max(${dayOf(value, frame, law)}) as latest
      from ${wayFrom(source, 0, plainly)}
      group by ${sql.join(links.map(({ read }) => read))}
    ) as ${sql.id(summary(at))}
    on ${conjunction(links.map(({ own, alias }) => sql`${own} = ${sql.id(summary(at), alias)}`))}`
}

function summary(at: number): string {
  return `events_${at + 1}`
}

function said(at: number, what: string): RawBuilder<unknown> {
  return sql.id(summary(at), what)
}

function any(start: FittedEvent, what: 'open' | 'implausible'): RawBuilder<boolean> {
  return disjunction(start.sources.map((_, at) => sql`${said(at, what)} > 0`))
}

function hasNoEvent(start: FittedEvent): RawBuilder<boolean> {
  return conjunction(start.sources.map((_, at) => sql`${said(at, 'related')} is null`))
}

/** True of a row that nothing says the period start of. */
export function hasNoStart(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'column') return sql<boolean>`false`
  if (start.none === null) return hasNoEvent(start)
  return conjunction([hasNoEvent(start), isOpen(own(start.none), start.none.frame, law)])
}

export function isImplausibleRow(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'column') return isImplausible(own(start.moment), start.moment.frame, law)
  if (start.none === null) return any(start, 'implausible')
  const fallback = isImplausible(own(start.none), start.none.frame, law)
  return sql<boolean>`(${any(start, 'implausible')} or (${hasNoEvent(start)} and ${fallback}))`
}

export function isOpenRow(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'event') return any(start, 'open')
  return isOpen(own(start.moment), start.moment.frame, law)
}

/** The day on which the period starts; null if there is none. */
export function startDay(start: FittedStart, law: Law): RawBuilder<unknown> {
  if (start.kind === 'column') return dayOf(own(start.moment), start.moment.frame, law)
  const latest = sql`greatest(${sql.join(start.sources.map((_, at) => said(at, 'latest')))})`
  if (start.none === null) return latest
  return sql`coalesce(${latest}, ${dayOf(own(start.none), start.none.frame, law)})`
}

function own({ column }: Moment): RawBuilder<unknown> {
  return columnId('row', column)
}
