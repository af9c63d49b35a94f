/**
 * The law of time as a person would apply it to one record: the start day on a calendar, the period
 * added to it, and today compared with the outcome. Made of luxon and Intl only, so that nothing of
 * the program can be wrong here too.
 */
import { DateTime, IANAZone } from 'luxon'

export type Period = { readonly count: number; readonly unit: 'day' | 'week' | 'month' | 'year' }

/** Microseconds since 1970-01-01T00:00:00Z. */
export type Micros = bigint

/** A wall clock, written as the microseconds that it would be in UTC. */
export type Wall = bigint

const MINUTE: Micros = 60_000_000n
export const HOUR: Micros = 60n * MINUTE
export const DAY: Micros = 24n * HOUR

/** The offset of a zone from an instant on. */
type Stretch = { readonly from: Micros; readonly offset: Micros }

const known = new Map<string, readonly Stretch[]>()

/** How far the wall clocks of the zone are ahead of UTC at an instant between 1960 and 2040. */
export function offsetAt(at: Micros, zone: string): Micros {
  const stretches = known.get(zone) ?? stretchesOf(zone)
  known.set(zone, stretches)
  let [low, high] = [0, stretches.length - 1]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((stretches[middle] as Stretch).from <= at) low = middle
    else high = middle - 1
  }
  const { from, offset } = stretches[low] as Stretch
  if (at < from || at > instant('2040-01-01T00:00:00Z')) throw new RangeError('not looked up')
  return offset
}

/** Asks luxon once a day; no zone ever turned its clocks twice within one. */
function stretchesOf(zone: string): readonly Stretch[] {
  const iana = IANAZone.create(zone)
  if (!iana.isValid) throw new RangeError(`Node knows no zone ${zone}`)
  const asked = (at: Micros) =>
    BigInt(Math.round(iana.offset(Number(floorDiv(at, 1000n))) * 60)) * 1_000_000n
  const begin = instant('1960-01-01T00:00:00Z')
  const stretches: Stretch[] = [{ from: begin, offset: asked(begin) }]
  for (let at = begin; at < instant('2040-01-01T00:00:00Z'); at += DAY) {
    if (asked(at + DAY) === stretches.at(-1)?.offset) continue
    const from = changeBetween(at, at + DAY, asked)
    stretches.push({ from, offset: asked(from) })
  }
  return stretches
}

export function wallOf(at: Micros, zone: string): Wall {
  return at + offsetAt(at, zone)
}

/** The calendar day that a wall clock shows, YYYY-MM-DD. */
export function dayOfWall(wall: Wall): string {
  return new Date(Number(floorDiv(wall, 1000n))).toISOString().slice(0, 10)
}

export function localDay(at: Micros, zone: string): string {
  return dayOfWall(wallOf(at, zone))
}

/** The first instant at which the clocks of the zone show the day, or a later one if it was skipped. */
export function firstInstantOf(day: string, zone: string): Micros {
  let at = instant(`${day}T00:00:00Z`) - 15n * HOUR
  while (localDay(at, zone) < day) at += MINUTE
  return at
}

/** The day on which the period ends: in a month without such a day its last one. */
export function retentionEnd(startDay: string, { count, unit }: Period): string {
  const asked = `${startDay} ${count} ${unit}`
  const end =
    ends.get(asked) ??
    DateTime.fromISO(startDay, { zone: 'utc' })
      .plus({ [unit]: count })
      .toISODate() ??
    ''
  ends.set(asked, end)
  return end
}

/** Retention ends that were asked for before; luxon takes its time. */
const ends = new Map<string, string>()

/** True if today is after the retention end. */
export function isDueOn(today: string, startDay: string, period: Period): boolean {
  return retentionEnd(startDay, period) < today
}

export function addDays(day: string, count: number): string {
  return retentionEnd(day, { count, unit: 'day' })
}

/** The smallest day whose retention end is today or later, found by looking at one after another. */
export function firstDayNotDue(today: string, { count, unit }: Period): string {
  const about = DateTime.fromISO(today, { zone: 'utc' }).minus({ [unit]: count })
  let day = addDays(about.toISODate() ?? '', -10)
  while (isDueOn(today, day, { count, unit })) day = addDays(day, 1)
  return day
}

/**
 * Every instant that a wall clock can mean: two in a repeated hour. One that the clocks of the zone
 * never showed is read both ways that people read it, with the offset before and after the gap.
 */
export function readings(wall: Wall, zone: string): readonly Micros[] {
  // Clocks are turned once in so short a time, if at all.
  const [before, after] = [offsetAt(wall - 26n * HOUR, zone), offsetAt(wall + 26n * HOUR, zone)]
  const all = [...new Set([before, after])].map((offset) => wall - offset)
  const shown = all.filter((at) => wallOf(at, zone) === wall)
  return shown.length > 0 ? shown : all
}

/** True if the clocks of the zone showed a later day before: the hour before midnight came again. */
export function isRepeatedBeforeMidnight(at: Micros, zone: string): boolean {
  const day = localDay(at, zone)
  for (let minutes = 1n; minutes <= 180n; minutes += 1n) {
    if (localDay(at - minutes * MINUTE, zone) > day) return true
  }
  return false
}

/** The instants between two years at which the clocks of the zone were turned. */
export function transitions(zone: string, fromYear: number, toYear: number): readonly Micros[] {
  const [begin, end] = [`${fromYear}-01-01T00:00:00Z`, `${toYear}-01-01T00:00:00Z`]
  offsetAt(instant(begin), zone)
  return (known.get(zone) ?? [])
    .map(({ from }) => from)
    .filter((from) => from >= instant(begin) && from < instant(end))
}

/** The first instant in (from, to] at which `seen` is no longer what it was at `from`. */
export function changeBetween(from: Micros, to: Micros, seen: (at: Micros) => unknown): Micros {
  let [low, high] = [from, to]
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (seen(middle) === seen(from)) low = middle
    else high = middle
  }
  return high
}

/** Reads ISO 8601, to the millisecond. */
export function instant(iso: string): Micros {
  return BigInt(Date.parse(iso)) * 1000n
}

/** Prints microseconds as `2024-02-29T23:59:59.999999`; of an instant that is UTC. */
export function printMicros(value: bigint): string {
  const seconds = new Date(Number(floorDiv(value, 1_000_000n)) * 1000).toISOString().slice(0, 19)
  const rest = value - floorDiv(value, 1_000_000n) * 1_000_000n
  return `${seconds}.${String(rest).padStart(6, '0')}`
}

function floorDiv(value: bigint, by: bigint): bigint {
  const quotient = value / by
  return value % by < 0n ? quotient - 1n : quotient
}
