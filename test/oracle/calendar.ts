/** The calendar in whole days since 1970, and local days as Intl tells them: nothing of the program, no library. */

/** Days since 1970-01-01. */
export type Day = number

export type Period = {
  readonly count: number
  readonly unit: 'day' | 'week' | 'month' | 'year'
}

const DAY_SECONDS = 86_400

export function readDay(text: string): Day {
  const [year = 0, month = 1, day = 1] = text.split('-').map(Number)
  return dayOn(year, month - 1, day)
}

export function printDay(day: Day): string {
  return new Date(day * DAY_SECONDS * 1000).toISOString().slice(0, 10)
}

/** The last day of a period that starts on `start`. */
export function retentionEnd(start: Day, { count, unit }: Period): Day {
  if (unit === 'day') return start + count
  if (unit === 'week') return start + 7 * count
  const date = new Date(start * DAY_SECONDS * 1000)
  const month = date.getUTCMonth() + (unit === 'year' ? 12 * count : count)
  // Day 0 of the next month is the last one of this.
  const last = dayOn(date.getUTCFullYear(), month + 1, 0)
  return Math.min(last, dayOn(date.getUTCFullYear(), month, 1) + date.getUTCDate() - 1)
}

/** The first day on which a period has to start in order not to be over today. */
export function firstDayNotOver(today: Day, period: Period): Day {
  let day = retentionEnd(today, { ...period, count: -period.count }) - 5
  while (retentionEnd(day, period) < today) day += 1
  return day
}

export function dayOfSeconds(seconds: number): Day {
  return Math.floor(seconds / DAY_SECONDS)
}

export function secondsOf(day: Day, ofDay: number): number {
  return day * DAY_SECONDS + ofDay
}

/** The day that calendars in the zone show at an instant. */
export function localDay(seconds: number, zone: string): Day {
  return dayOfSeconds(wallOf(seconds, zone))
}

/** Every instant that a wall clock of the zone can mean: two where clocks are turned back or were put forward. */
export function readings(wall: number, zone: string): readonly number[] {
  const offsets = [-26, 26].map((hours) => {
    const at = wall + hours * 3600
    return wallOf(at, zone) - at
  })
  const all = [...new Set(offsets)].map((offset) => wall - offset)
  const shown = all.filter((at) => wallOf(at, zone) === wall)
  return shown.length > 0 ? shown : all
}

const clocks = new Map<string, Intl.DateTimeFormat>()

/** What a clock of the zone shows, as the instant at which one in UTC shows the same. */
function wallOf(seconds: number, zone: string): number {
  const clock =
    clocks.get(zone) ??
    new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  clocks.set(zone, clock)
  const parts = new Map(
    clock.formatToParts(seconds * 1000).map(({ type, value }) => [type, Number(value)]),
  )
  const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0
  const day = dayOn(part('year'), part('month') - 1, part('day'))
  return secondsOf(day, part('hour') * 3600 + part('minute') * 60 + part('second'))
}

/** Months and days may overflow, as `Date` counts them. */
function dayOn(year: number, month: number, day: number): Day {
  return new Date(0).setUTCFullYear(year, month, day) / 1000 / DAY_SECONDS
}
