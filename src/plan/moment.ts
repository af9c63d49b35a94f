/** What SQL says about one period start: its day, and whether it is past, open or implausible. */
import { sql, type RawBuilder } from 'kysely'
import type { Frame } from '../catalog/fitted.ts'
import { bound } from '../db/governed.ts'
import type { Rule } from '../policy/policy.ts'
import type { Boundary, Range } from './boundary.ts'

/** A rule's law of time: everything a period start is compared with. */
export type Law = { readonly rule: Rule; readonly boundary: Boundary }

type Value = RawBuilder<unknown>

/** True of a period start that is plausible, closed, and lies before the first day not yet due. */
export function isPast(value: Value, frame: Frame, law: Law): RawBuilder<boolean> {
  const { from, before } = rangeOf(frame, law.boundary)
  const type = { schema: 'pg_catalog', name: typeOf(frame) }
  const { open, invalid } = law.rule.sentinels
  const inRange = sql<boolean>`${value} >= ${bound(from, type)} and ${value} < ${bound(before, type)}`
  const sentinels = [...open, ...invalid]
  return sentinels.length === 0
    ? sql<boolean>`(${inRange})`
    : sql<boolean>`(${inRange} and not ${isOneOf(value, frame, law, sentinels)})`
}

/** True of a period start that stands for "still open": none, infinity, or a declared sentinel. */
export function isOpen(value: Value, frame: Frame, law: Law): RawBuilder<boolean> {
  const type = { schema: 'pg_catalog', name: typeOf(frame) }
  return sql<boolean>`(
    ${value} is null
    or ${value} = ${bound('infinity', type)}
    or ${isOneOf(value, frame, law, law.rule.sentinels.open)}
  )`
}

/** True of a period start that cannot be one: before the first plausible day, or a declared sentinel. */
export function isImplausible(value: Value, frame: Frame, law: Law): RawBuilder<boolean> {
  const { from } = rangeOf(frame, law.boundary)
  const type = { schema: 'pg_catalog', name: typeOf(frame) }
  const { open, invalid } = law.rule.sentinels
  return sql<boolean>`coalesce(
    (${value} < ${bound(from, type)} or ${isOneOf(value, frame, law, invalid)})
    and not ${isOneOf(value, frame, law, open)},
    false
  )`
}

/** The calendar day of a period start in the rule's zone. */
export function dayOf(value: Value, frame: Frame, law: Law): RawBuilder<unknown> {
  switch (frame.kind) {
    case 'date':
      return value
    case 'local':
      return sql`${value}::date`
    case 'instant':
      return sql`(${convertible(value)} at time zone ${law.rule.zone}::text)::date`
    default:
      return frame satisfies never
  }
}

/** At the ends of what PostgreSQL can hold it knows no local time, and would fail the whole census. */
function convertible(instant: Value): Value {
  return sql`case
    when isfinite(${instant})
    then least(greatest(${instant}, '4000-01-01 BC UTC'::timestamptz), '200000-01-01 UTC'::timestamptz)
    else ${instant}
  end`
}

function rangeOf(frame: Frame, boundary: Boundary): Range {
  if (frame.kind === 'date') return boundary.date
  if (frame.kind === 'instant') return boundary.instant
  const range = boundary.local.get(frame.zone)
  if (range === undefined) throw new RangeError(`no boundary for zone ${frame.zone}`)
  return range
}

function typeOf(frame: Frame): string {
  switch (frame.kind) {
    case 'date':
      return 'date'
    case 'instant':
      return 'timestamptz'
    case 'local':
      return 'timestamp'
    default:
      return frame satisfies never
  }
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
  if (frame.kind !== 'instant')
    return sql<boolean>`coalesce(${dayOf(value, frame, law)} = any (${list}), false)`
  return sql<boolean>`coalesce(
    ${dayOf(value, frame, law)} = any (${list}) or (${value} at time zone 'UTC')::date = any (${list}),
    false
  )`
}
