/** What SQL says about one period start: its day, and whether it is past, open or implausible. */
import { sql, type RawBuilder } from 'kysely'
import type { Frame } from '../catalog/fitted.ts'
import { bound, conjunction, disjunction } from '../db/governed.ts'
import type { Rule } from '../policy/policy.ts'
import type { Boundary, Range } from './boundary.ts'
import { asInstant, asTextDay, epochRange, isOfVersion7, lowestUuid, YEAR_10000 } from './frame.ts'

/** A rule's law of time: everything a period start is compared with. */
export type Law = { readonly rule: Rule; readonly boundary: Boundary }

type Value = RawBuilder<unknown>

/** True of a period start that is plausible, closed, and lies before the first day not yet due. */
export function isPast(value: Value, frame: Frame, law: Law): RawBuilder<boolean> {
  const { compared, from, before } = comparison(value, frame, law.boundary)
  const { open, invalid } = law.rule.sentinels
  const sentinels = [...open, ...invalid]
  return conjunction([
    sql`${compared} >= ${from}`,
    sql`${compared} < ${before}`,
    ...(frame.kind === 'uuid7' ? [isOfVersion7(value)] : []),
    ...(sentinels.length === 0 ? [] : [sql`not ${isOneOf(value, frame, law, sentinels)}`]),
  ])
}

/** True of a period start that stands for "still open": none, infinity, or a declared sentinel. */
export function isOpen(value: Value, frame: Frame, law: Law): RawBuilder<boolean> {
  const type = typeOf(frame)
  return disjunction([
    sql`${value} is null`,
    ...(isTime(frame) ? [sql`${value} = ${bound('infinity', type)}`] : []),
    isOneOf(value, frame, law, law.rule.sentinels.open),
  ])
}

/**
 * True of a period start that cannot be one: before the first plausible day, a declared sentinel, or
 * a value that tells no day at all. A number that lands after the year 9999 counted in another unit.
 */
export function isImplausible(value: Value, frame: Frame, law: Law): RawBuilder<boolean> {
  const { compared, from } = comparison(value, frame, law.boundary)
  const { open, invalid } = law.rule.sentinels
  const wrong = disjunction([
    sql`${compared} < ${from}`,
    ...tellsNoDay(value, compared, frame),
    isOneOf(value, frame, law, invalid),
  ])
  return sql<boolean>`coalesce(${wrong} and not ${isOneOf(value, frame, law, open)}, false)`
}

function tellsNoDay(value: Value, compared: Value, frame: Frame): readonly RawBuilder<boolean>[] {
  const type = typeOf(frame)
  switch (frame.kind) {
    case 'date':
    case 'instant':
    case 'local':
      return []
    case 'epoch':
      return [sql<boolean>`${compared} >= ${bound(epochRange(YEAR_10000, frame.unit), type)}`]
    case 'uuid7':
      return [
        sql<boolean>`not ${isOfVersion7(value)}`,
        sql<boolean>`${compared} >= ${bound(lowestUuid(YEAR_10000), type)}`,
      ]
    case 'text':
      return [sql<boolean>`(${value} is not null and ${compared} is null)`]
    default:
      return frame satisfies never
  }
}

/** The calendar day of a period start in the rule's zone. */
export function dayOf(value: Value, frame: Frame, law: Law): RawBuilder<unknown> {
  switch (frame.kind) {
    case 'date':
      return value
    case 'local':
      return sql`${value}::date`
    case 'text':
      return asTextDay(value, frame.format)
    case 'instant':
    case 'epoch':
    case 'uuid7':
      return sql`(${asInstant(value, frame)} at time zone ${law.rule.zone}::text)::date`
    default:
      return frame satisfies never
  }
}

type Comparison = { readonly compared: Value; readonly from: Value; readonly before: Value }

/** The value, or the day it tells, and the bounds in the same type: a plain column can use an index. */
function comparison(value: Value, frame: Frame, boundary: Boundary): Comparison {
  const { from, before } = rangeOf(frame, boundary)
  const type = typeOf(frame)
  return {
    compared: frame.kind === 'text' ? asTextDay(value, frame.format) : value,
    from: bound(from, type),
    before: bound(before, type),
  }
}

function rangeOf(frame: Frame, boundary: Boundary): Range {
  const { date, instant, local } = boundary
  switch (frame.kind) {
    case 'date':
    case 'text':
      return date
    case 'instant':
      return instant
    case 'epoch':
      return {
        from: epochRange(instant.from, frame.unit),
        before: epochRange(instant.before, frame.unit),
      }
    case 'uuid7':
      return { from: lowestUuid(instant.from), before: lowestUuid(instant.before) }
    case 'local': {
      const range = local.get(frame.zone)
      if (range === undefined) throw new RangeError(`no boundary for zone ${frame.zone}`)
      return range
    }
    default:
      return frame satisfies never
  }
}

/** True of a column of PostgreSQL's own types of time, which know infinity. */
function isTime(frame: Frame): boolean {
  return ['date', 'instant', 'local'].includes(frame.kind)
}

const TYPES: Readonly<Record<Frame['kind'], string>> = {
  date: 'date',
  instant: 'timestamptz',
  local: 'timestamp',
  epoch: 'int8',
  uuid7: 'uuid',
  text: 'date',
}

function typeOf(frame: Frame) {
  return { schema: 'pg_catalog', name: TYPES[frame.kind] }
}

/**
 * True of a value whose day is one of `days`. An instant counts with its day in the rule's zone and
 * in UTC, in which programs tend to write their sentinels: what keeps more is right here.
 */
function isOneOf(
  value: Value,
  frame: Frame,
  law: Law,
  days: readonly string[],
): RawBuilder<boolean> {
  if (days.length === 0) return sql<boolean>`false`
  const list = sql`${days}::text[]::date[]`
  const here = sql`${dayOf(value, frame, law)} = any (${list})`
  switch (frame.kind) {
    case 'date':
    case 'local':
    case 'text':
      return sql<boolean>`coalesce(${here}, false)`
    case 'instant':
    case 'epoch':
    case 'uuid7': {
      const inUtc = sql`(${asInstant(value, frame)} at time zone 'UTC')::date = any (${list})`
      return sql<boolean>`coalesce(${here} or ${inUtc}, false)`
    }
    default:
      return frame satisfies never
  }
}
