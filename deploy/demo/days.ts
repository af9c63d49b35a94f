import { DateTime, type DurationLikeObject } from 'luxon'

/** The zone in which the company, and its privacy policy, count days. */
export const ZONE = 'Europe/Paris'

/** The two days on either side of an edge: a period that started on `lastKept` ends today or later. */
export type Edge = { readonly lastKept: DateTime; readonly firstDue: DateTime }

/** Days around which the edge cases are built, all of them local midnights in Europe/Paris. */
export type Days = {
  readonly today: DateTime
  readonly tenYears: Edge
  readonly fiveYears: Edge
  readonly twelveMonths: Edge
  /** The last 29 February whose ten years are over, and the first one whose are not. */
  readonly leapDay: Edge
}

/** Works out the days around which the edge cases lie when today is `today` (YYYY-MM-DD). */
export function daysAround(today: string): Days {
  const day = DateTime.fromISO(today, { zone: ZONE })
  if (!day.isValid || day.toISODate() !== today) {
    throw new Error(`a day is written YYYY-MM-DD, not ${today}`)
  }
  return {
    today: day,
    tenYears: edge(day, { years: 10 }),
    fiveYears: edge(day, { years: 5 }),
    twelveMonths: edge(day, { months: 12 }),
    leapDay: leapEdge(day),
  }
}

/**
 * Finds the first day whose period is not over: a record is due when today is after start + period.
 * Subtracting the period alone is a day early on a 29 February, whose anniversary is a 28th.
 */
function edge(today: DateTime, period: DurationLikeObject): Edge {
  const guess = today.minus(period)
  const lastKept = guess.plus(period) < today ? guess.plus({ days: 1 }) : guess
  return { lastKept, firstDue: lastKept.minus({ days: 1 }) }
}

function leapEdge(today: DateTime): Edge {
  const leapDays: DateTime[] = []
  for (let year = today.year - 20; year <= today.year; year += 1) {
    const day = DateTime.fromObject({ year, month: 2, day: 29 }, { zone: ZONE })
    if (day.isValid && day < today) leapDays.push(day)
  }
  const isOver = (day: DateTime) => day.plus({ years: 10 }) < today
  const firstDue = leapDays.findLast(isOver)
  const lastKept = leapDays.find((day) => !isOver(day))
  if (firstDue === undefined || lastKept === undefined) {
    throw new Error('no leap day lies on either side of ten years ago')
  }
  return { lastKept, firstDue }
}
