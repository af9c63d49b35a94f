import { quote, refuse, refuseKind } from './fault.ts'
import type { Read } from './fault.ts'
import type { Period } from './policy.ts'

/** The longest period in each unit: 200 years, so that no day of it leaves the calendar of PostgreSQL. */
const LONGEST: Readonly<Record<Period['unit'], number>> = {
  year: 200,
  month: 2400,
  week: 10_435,
  day: 73_048,
}

const ISO_UNITS: Readonly<Record<string, Period['unit']>> = {
  Y: 'year',
  M: 'month',
  W: 'week',
  D: 'day',
}

const EXAMPLES = 'write for example 10 years, 12 months, 6 weeks or 90 days'

type Part = { readonly count: number; readonly word: string }

/** The spelling that editors check; what it refuses, `readPeriod` explains. */
export const PERIOD_PATTERN =
  /^(?:[1-9][0-9]{0,5} (?:day|week|month|year)s?|P[1-9][0-9]{0,5}[YMWD])$/

/** Reads `10 years` or `P10Y`: a whole number of one unit, because mixed units have no exact end. */
export function readPeriod(raw: unknown): Read<Period> {
  if (typeof raw === 'number') {
    const remedy = `write ${raw} years, ${raw} months or ${raw} days`
    return refuse('period_without_unit', `a period needs a unit: ${raw} has none`, remedy)
  }
  if (typeof raw !== 'string') return refuseKind('a period', raw)
  const text = raw.trim()
  if (text.length > 80) {
    return refuse('period_unreadable', `${quote(text)} is not a period`, EXAMPLES)
  }
  if (!PERIOD_PATTERN.test(text)) return explain(text)
  const count = Number.parseInt(text.startsWith('P') ? text.slice(1) : text, 10)
  const unit = text.startsWith('P')
    ? ISO_UNITS[text.slice(-1)]
    : unitOf(text.slice(text.indexOf(' ') + 1))
  if (unit === undefined) return explain(text)
  if (count > LONGEST[unit]) {
    const message = `a period is at most 200 years: ${quote(text)} is longer`
    return refuse('period_too_long', message, 'without an end, leave the rule out')
  }
  return { value: { count, unit } }
}

/** Prints a period as policies spell it: `1 year`, `10 years`. */
export function printPeriod(period: Period): string {
  return `${period.count} ${period.unit}${period.count === 1 ? '' : 's'}`
}

/**
 * Compares two periods: below zero if the first is always shorter, above if it is always longer, and
 * undefined if it depends on the day they start on (30 days and 1 month).
 */
export function comparePeriods(one: Period, other: Period): number | undefined {
  return compareSums([one], [other])
}

/** Compares periods that follow each other, as `comparePeriods` does. */
export function compareSums(one: readonly Period[], other: readonly Period[]): number | undefined {
  const [first, second] = [inSmallestUnits(one), inSmallestUnits(other)]
  const months = first.months - second.months
  const days = first.days - second.days
  if (months === 0 || days === 0 || Math.sign(months) === Math.sign(days)) return months || days
  // 146,097 days are 400 Gregorian years; no stretch of months strays 4 days from that average.
  const average = (months * 146_097) / 4_800 + days
  const astray = 4 * (one.length + other.length - 1)
  return Math.abs(average) > astray ? average : undefined
}

function inSmallestUnits(periods: readonly Period[]): { months: number; days: number } {
  const sum = { months: 0, days: 0 }
  for (const { months, count } of periods.map(inSmallestUnit)) {
    if (months) sum.months += count
    else sum.days += count
  }
  return sum
}

function inSmallestUnit(period: Period): { readonly months: boolean; readonly count: number } {
  switch (period.unit) {
    case 'year':
      return { months: true, count: period.count * 12 }
    case 'month':
      return { months: true, count: period.count }
    case 'week':
      return { months: false, count: period.count * 7 }
    case 'day':
      return { months: false, count: period.count }
    default:
      return period.unit satisfies never
  }
}

/** Says what is wrong with a text that is no period, and what to write instead. */
function explain(text: string): Read<Period> {
  if (/^[+-]?[0-9]+(?:[.,][0-9]+)?$/.test(text)) {
    return refuse('period_without_unit', `a period needs a unit: ${quote(text)} has none`, EXAMPLES)
  }
  if (/^[-−]|[PT ]-[0-9]/.test(text)) {
    return refuse('period_not_positive', `a period is longer than zero: ${quote(text)}`, EXAMPLES)
  }
  const parts = partsOf(text)
  if (parts === undefined) {
    return refuse('period_unreadable', `${quote(text)} is not a period`, EXAMPLES)
  }
  const zero = parts.every(({ count }) => count === 0)
  if (zero) {
    return refuse('period_not_positive', `a period is longer than zero: ${quote(text)}`, EXAMPLES)
  }
  return explainUnits(text, parts)
}

function explainUnits(text: string, parts: readonly Part[]): Read<Period> {
  for (const { count, word } of parts) {
    if (/^(?:h|hrs?|hours?|min|mins|minutes?|s|secs?|seconds?|ms)$/i.test(word)) {
      const message = `the smallest unit of a period is a day: ${quote(text)} has ${quote(word)}`
      return refuse('period_too_fine', message, inDays(count, word))
    }
    if (/^(?:m|mo|mon|mos)$/i.test(word)) {
      const message = `${quote(word)} may mean months or minutes`
      return refuse('period_unit_ambiguous', message, `write ${count} months if it means months`)
    }
    if (guessUnit(word) === undefined) {
      const message = `${quote(word)} is not a unit of a period`
      return refuse('period_unit_unknown', message, EXAMPLES)
    }
  }
  const [only] = parts
  if (parts.length > 1 || only === undefined) {
    const message = `a period has one unit: ${quote(text)} has ${numeral(parts.length)}`
    return refuse('period_mixes_units', message, `write ${converted(parts)}`)
  }
  const unit = guessUnit(only.word) ?? 'day'
  if (!Number.isInteger(only.count)) {
    const message = `a period is a whole number: ${quote(text)} is not`
    return refuse('period_not_whole', message, `write ${converted(parts)}`)
  }
  if (only.count > LONGEST[unit]) {
    const message = `a period is at most 200 years: ${quote(text)} is longer`
    return refuse('period_too_long', message, 'without an end, leave the rule out')
  }
  const remedy = `write ${printPeriod({ count: only.count, unit })}`
  return refuse('period_unreadable', `${quote(text)} is not how a period is written`, remedy)
}

/** Takes `10 years and 3 months`, `1.5y` or `P1Y6MT4H` apart; undefined if anything is left over. */
function partsOf(text: string): readonly Part[] | undefined {
  if (text.startsWith('P')) return isoPartsOf(text)
  const parts: Part[] = []
  const rest = text.replaceAll(/([0-9]+(?:[.,][0-9]+)?)[ \t]*([a-z]+)/gi, (_, count, word) => {
    parts.push({ count: Number(String(count).replace(',', '.')), word: String(word) })
    return ''
  })
  const joined = /^(?:[ ,&+]|and)*$/.test(rest)
  return joined && parts.length > 0 ? parts : undefined
}

function isoPartsOf(text: string): readonly Part[] | undefined {
  const [calendar = '', time, more] = text.slice(1).split('T')
  if (more !== undefined) return undefined
  const parts = [
    ...lettersOf(calendar, 'YMWD', ['years', 'months', 'weeks', 'days']),
    ...lettersOf(time ?? '', 'HMS', ['hours', 'minutes', 'seconds']),
  ]
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return parts.length > 0 && length === calendar.length + (time ?? '').length ? parts : undefined
}

function lettersOf(
  text: string,
  letters: string,
  words: readonly string[],
): readonly (Part & { readonly length: number })[] {
  return [...text.matchAll(/([0-9]+(?:[.,][0-9]+)?)([A-Z])/g)].flatMap(
    ([all, count = '', letter]) => {
      const word = words[letters.indexOf(letter ?? '')]
      if (word === undefined) return []
      return [{ count: Number(count.replace(',', '.')), word, length: all.length }]
    },
  )
}

/** The same length in one whole unit where there is one, else how to choose. */
function converted(parts: readonly Part[]): string {
  const lengths = parts.map(({ count, word }) => ({ count, unit: guessUnit(word) ?? 'day' }))
  for (const [unit, factor] of [
    ['month', { year: 12, month: 1 }],
    ['day', { week: 7, day: 1 }],
  ] as const) {
    const factors: Readonly<Partial<Record<Period['unit'], number>>> = factor
    const count = lengths.reduce(
      (sum, part) => sum + part.count * (factors[part.unit] ?? Number.NaN),
      0,
    )
    if (Number.isInteger(count) && count > 0) return printPeriod({ count, unit })
  }
  return parts.length > 1
    ? 'it in months or in days: a month has no fixed number of days'
    : 'a whole number of a smaller unit'
}

function inDays(count: number, word: string): string {
  const days = /^h/i.test(word) ? count / 24 : Number.NaN
  if (Number.isInteger(days) && days > 0)
    return `write ${printPeriod({ count: days, unit: 'day' })}`
  return 'write at least 1 day'
}

function unitOf(word: string): Period['unit'] | undefined {
  return (['day', 'week', 'month', 'year'] as const).find(
    (unit) => word === unit || word === `${unit}s`,
  )
}

/** Units as people abbreviate them; only used to say what to write instead. */
function guessUnit(word: string): Period['unit'] | undefined {
  const lower = word.toLowerCase()
  if (/^(?:y|yr|yrs|a)$/.test(lower)) return 'year'
  if (/^(?:mth|mths|month|months)$/.test(lower)) return 'month'
  if (/^(?:w|wk|wks)$/.test(lower)) return 'week'
  if (/^(?:d|dy|dys)$/.test(lower)) return 'day'
  return unitOf(lower)
}

function numeral(count: number): string {
  return ['no unit', 'one', 'two', 'three', 'four'][count] ?? 'many'
}
