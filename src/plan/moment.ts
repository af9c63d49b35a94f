/** What SQL says about one period start: its day, and whether it is past, open or implausible. */
import { sql, type RawBuilder } from 'kysely'
import type { Frame } from '../catalog/fitted.ts'
import { bound, conjunction, disjunction, type TypeName } from '../db/governed.ts'
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

/** The values of the column itself between which starts are past; null where it is not them that compare. */
export function pastValues(
  frame: Frame,
  boundary: Boundary,
): (Range & { readonly type: TypeName }) | null {
  return frame.kind === 'text' ? null : { ...rangeOf(frame, boundary), type: typeOf(frame) }
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
  const list = sql`cast(${days} as date[])`
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
      // The day of an instant costs more than all else that a census asks of a row.
      return sql<boolean>`(${isNear(value, frame, days)} and coalesce(${here} or ${inUtc}, false))`
    }
    default:
      return frame satisfies never
  }
}

/** True of a value whose day may be one of `days` in some zone; false or null of most others. */
function isNear(
  value: Value,
  frame: Extract<Frame, { kind: 'instant' | 'epoch' | 'uuid7' }>,
  days: readonly string[],
): RawBuilder<boolean> {
  const type = typeOf(frame)
  switch (frame.kind) {
    case 'uuid7':
      return sql<boolean>`true`
    case 'epoch':
      if (days.some((day) => !isDay(day))) return sql<boolean>`true`
      return between(value, days, (day, shift) =>
        bound(epochRange(shifted(day, shift), frame.unit), type),
      )
    case 'instant':
      return between(value, days, (day, shift) =>
        bound(isDay(day) ? calendarText(shifted(day, shift)) : day, type),
      )
    default:
      return frame satisfies never
  }
}

/** A day in any zone lies between the second day before it and the third after it in UTC. */
function between(
  value: Value,
  days: readonly string[],
  at: (day: string, shift: number) => RawBuilder<unknown>,
): RawBuilder<boolean> {
  return disjunction(days.map((day) => sql`${value} between ${at(day, -2)} and ${at(day, 3)}`))
}

/** No `infinity`, and no `-infinity`. */
function isDay(day: string): boolean {
  return !day.endsWith('infinity')
}

function shifted(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString()
}

/** PostgreSQL reads no year 0 and no year with a sign, which ISO 8601 writes beyond four digits. */
function calendarText(instant: string): string {
  if (instant.startsWith('+')) return 'infinity'
  return instant.startsWith('-') || instant.startsWith('0000') ? '-infinity' : instant
}

/** Splits period starts in two by comparisons that an index answers. */
export type Split = {
  /** True of starts that run: plausible, not past, no day that stands for something else near. */
  readonly runs: RawBuilder<boolean>
  /** True of every other value, null included. */
  readonly others: RawBuilder<boolean>
}

/** Null of a frame whose values have to be read one by one: a text, or the version of a uuid. */
export function splitByRunning(value: Value, frame: Frame, law: Law): Split | null {
  if (frame.kind === 'text' || frame.kind === 'uuid7') return null
  const { open, invalid } = law.rule.sentinels
  const recent = shifted(law.boundary.firstDayNotDue, -3).slice(0, 10)
  const [quiet = LAST_QUIET_DAY] = [...open, ...invalid, LAST_QUIET_DAY]
    .filter((day) => isDay(day) && day > recent)
    .toSorted()
  const { compared, from, before } = comparison(value, frame, law.boundary)
  const until = bound(textOf(shifted(quiet, -2), frame), typeOf(frame))
  return {
    runs: conjunction([
      sql`${compared} >= ${before}`,
      sql`${compared} >= ${from}`,
      sql`${compared} < ${until}`,
    ]),
    others: disjunction([
      sql`${compared} < ${before}`,
      sql`${compared} < ${from}`,
      sql`${compared} >= ${until}`,
      sql`${compared} is null`,
    ]),
  }
}

/** Far enough from the years that tell of another unit. */
const LAST_QUIET_DAY = '9999-01-01'

/** The day of an instant as a value of the frame's type. */
function textOf(instant: string, frame: Exclude<Frame, { kind: 'text' | 'uuid7' }>): string {
  switch (frame.kind) {
    case 'date':
      return instant.slice(0, 10)
    case 'local':
      return instant.slice(0, 19)
    case 'instant':
      return instant
    case 'epoch':
      return epochRange(instant, frame.unit)
    default:
      return frame satisfies never
  }
}
