/** Whether a record's period is over, as its start column or its related rows say. */
import { sql, type RawBuilder } from 'kysely'
import type { FittedEvent, FittedSource, FittedStart, Moment } from '../catalog/fitted.ts'
import { columnId, conjunction, disjunction } from '../db/governed.ts'
import { matches } from './condition.ts'
import { isPast, type Law } from './moment.ts'
import { isRelated, wayFrom, type Naming } from './related.ts'

type Asked = { readonly law: Law; readonly row: string; readonly named: Naming }

/** True of a row whose period start is plausible, closed and before the first day not yet due. */
export function isOver(start: FittedStart, asked: Asked): RawBuilder<boolean> {
  if (start.kind === 'column') return isPastColumn(start.moment, asked)
  // One `not exists` for each source, which PostgreSQL turns into an anti-join: all related rows are
  // past; one that is not, or of which it is not known, keeps the record.
  const sources = start.sources.map((source) => sql`not ${anyNotPast(start, source, asked)}`)
  const own = start.own.map((moment) => isPastIfSaid(start, moment, asked))
  return conjunction([...sources, ...own, hasStart(start, asked)])
}

/** True of a row that something gives a start, or that falls back on a column that is past. */
function hasStart(start: FittedEvent, asked: Asked): RawBuilder<boolean> {
  return disjunction([
    ...start.sources.map((source) => anyRelated(source, asked, says(start, source, asked))),
    ...start.own.map(({ column }) => sql`${columnId(asked.row, column)} is not null`),
    ...(start.none === null ? [] : [isPastColumn(start.none, asked)]),
  ])
}

/** True of a related row that says something: of a last activity, null says nothing. */
function says(start: FittedEvent, source: FittedSource, { named }: Asked): RawBuilder<boolean> {
  return start.nulls === 'open'
    ? sql<boolean>`true`
    : sql<boolean>`${columnId(named('event'), source.moment.column)} is not null`
}

function isPastColumn({ column, frame }: Moment, { law, row }: Asked): RawBuilder<boolean> {
  return isPast(columnId(row, column), frame, law)
}

function isPastIfSaid(start: FittedEvent, moment: Moment, asked: Asked): RawBuilder<boolean> {
  const past = isPastColumn(moment, asked)
  if (start.nulls === 'open') return past
  return sql<boolean>`(${columnId(asked.row, moment.column)} is null or ${past})`
}

function anyNotPast(start: FittedEvent, source: FittedSource, asked: Asked): RawBuilder<boolean> {
  const event = asked.named('event')
  const { column, frame } = source.moment
  const past = isPast(columnId(event, column), frame, asked.law)
  const closed =
    source.open === null
      ? past
      : sql`(${past} and ${matches(source.open, source.table, event)} is not true)`
  const condition = conjunction([says(start, source, asked), sql`${closed} is not true`])
  return anyRelated(source, asked, condition)
}

function anyRelated(
  source: FittedSource,
  { row, named }: Asked,
  condition: RawBuilder<unknown>,
): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from ${wayFrom(source, 0, named)}
    where ${isRelated(source, row, named)} and ${condition}
  )`
}
