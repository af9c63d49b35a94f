/** Columns that tell a time in numbers, uuids or text, read so that no value can fail a statement. */
import { sql, type RawBuilder } from 'kysely'
import type { Frame } from '../catalog/fitted.ts'
import type { TextFormat } from '../policy/policy.ts'

type Value = RawBuilder<unknown>

/** From here on a number was counted in another unit: milliseconds of our years, read as seconds. */
export const YEAR_10000 = '+010000-01-01T00:00:00Z'

/** The count at an instant on a full second, in decimal. */
export function epochRange(at: string, unit: 'seconds' | 'milliseconds'): string {
  return String(unit === 'milliseconds' ? Date.parse(at) : Date.parse(at) / 1000)
}

/** The least uuid whose first 48 bits count the milliseconds of the instant, or of 1970. */
export function lowestUuid(at: string): string {
  const hex = Math.max(0, Date.parse(at)).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}

export function isOfVersion7(value: Value): RawBuilder<boolean> {
  return sql<boolean>`(substr(${value}::text, 15, 1) = '7')`
}

/** The instant of a value, null where it tells none. */
export function asInstant(
  value: Value,
  frame: Extract<Frame, { kind: 'instant' | 'epoch' | 'uuid7' }>,
): RawBuilder<unknown> {
  switch (frame.kind) {
    case 'instant':
      return withinCalendar(value)
    case 'epoch':
      return fromSeconds(frame.unit === 'seconds' ? value : sql`floor(${value} / 1000.0)`)
    case 'uuid7':
      return sql`case when ${isOfVersion7(value)} then ${fromSeconds(sql`floor(${millisOf(value)} / 1000.0)`)} end`
    default:
      return frame satisfies never
  }
}

/** At the ends of what PostgreSQL can hold it knows no local time, and would fail the whole census. */
function withinCalendar(instant: Value): Value {
  return sql`case
    when isfinite(${instant})
    then least(greatest(${instant}, '4000-01-01 BC UTC'::timestamptz), '200000-01-01 UTC'::timestamptz)
    else ${instant}
  end`
}

/** Years 4001 BC and 200000, beyond which there is nothing to tell apart. */
const [LEAST_SECONDS, MOST_SECONDS] = ['-188395027200', '6249222662400']

function fromSeconds(seconds: Value): RawBuilder<unknown> {
  // `greatest` leaves nulls out: without the `case` no value would become the least one.
  return sql`case when ${seconds} is not null then to_timestamp(
    least(greatest(${seconds}, ${LEAST_SECONDS}::numeric), ${MOST_SECONDS}::numeric)::float8
  ) end`
}

function millisOf(uuid: Value): RawBuilder<unknown> {
  return sql`('x' || substr(replace(${uuid}::text, '-', ''), 1, 12))::bit(48)::int8`
}

/** Where year, month and day stand in a text of the format. */
function positions(format: TextFormat) {
  const at = (part: string) => ({ from: format.indexOf(part) + 1, length: part.length })
  return { year: at('YYYY'), month: at('MM'), day: at('DD') }
}

function pattern(format: TextFormat): string {
  const parts = format
    .replace('YYYY', '(?!0000)[0-9]{4}')
    .replace('MM', '(0[1-9]|1[0-2])')
    .replace('DD', '(0[1-9]|[12][0-9]|3[01])')
    .replaceAll('.', String.raw`\.`)
  return `^${parts}$`
}

/**
 * The day that a text tells in the format; null for any other text. No 31 February: the day is
 * counted from the first of its month, and what ends in another month is none.
 */
export function asTextDay(value: Value, format: TextFormat): RawBuilder<unknown> {
  const { year, month, day } = positions(format)
  const part = ({ from, length }: { from: number; length: number }) =>
    sql`substr(${value}::text, ${from}::int, ${length}::int)::int`
  const counted = sql`make_date(${part(year)}, ${part(month)}, 1) + (${part(day)} - 1)`
  return sql`(case
    when ${value}::text ~ ${pattern(format)}::text then
      case when extract(month from ${counted}) = ${part(month)} then ${counted} end
  end)`
}
