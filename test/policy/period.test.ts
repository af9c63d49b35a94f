import * as fc from 'fast-check'
import { DateTime } from 'luxon'
import { expect, test } from 'vitest'
import { comparePeriods, compareSums, printPeriod, readPeriod } from '../../src/policy/period.ts'
import type { Period } from '../../src/policy/policy.ts'

const periods = fc
  .record({
    unit: fc.constantFrom<Period['unit']>('day', 'week', 'month', 'year'),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ unit, share }): Period => {
    const most = { day: 73_048, week: 10_435, month: 2400, year: 200 }[unit]
    return { unit, count: Math.max(1, Math.round(share * share * most)) }
  })

test.for([
  ['10 years', 10, 'year'],
  ['1 year', 1, 'year'],
  ['12 months', 12, 'month'],
  ['90 days', 90, 'day'],
  ['6 weeks', 6, 'week'],
  ['P10Y', 10, 'year'],
  ['P12M', 12, 'month'],
  ['P6W', 6, 'week'],
  ['P90D', 90, 'day'],
  ['200 years', 200, 'year'],
] as const)('%s is a period', ([text, count, unit]) => {
  expect(readPeriod(text).value).toEqual({ count, unit })
})

test.for([
  ['10 years 3 months', 'period_mixes_units', 'write 123 months'],
  ['10 years, and 3 months', 'period_mixes_units', 'write 123 months'],
  ['P1Y6M', 'period_mixes_units', 'write 18 months'],
  ['2 weeks 3 days', 'period_mixes_units', 'write 17 days'],
  [
    '1 month 15 days',
    'period_mixes_units',
    'write it in months or in days: a month has no fixed number of days',
  ],
  [10, 'period_without_unit', 'write 10 years, 10 months or 10 days'],
  ['10', 'period_without_unit', 'write for example 10 years, 12 months, 6 weeks or 90 days'],
  ['30m', 'period_unit_ambiguous', 'write 30 months if it means months'],
  ['30 m', 'period_unit_ambiguous', 'write 30 months if it means months'],
  ['6 mo', 'period_unit_ambiguous', 'write 6 months if it means months'],
  ['0 days', 'period_not_positive'],
  ['P0D', 'period_not_positive'],
  ['-1 year', 'period_not_positive'],
  ['P-1Y', 'period_not_positive'],
  ['1.5 years', 'period_not_whole', 'write 18 months'],
  ['0.5 months', 'period_not_whole', 'write a whole number of a smaller unit'],
  ['48 hours', 'period_too_fine', 'write 2 days'],
  ['PT36H', 'period_too_fine', 'write at least 1 day'],
  ['5 minutes', 'period_too_fine', 'write at least 1 day'],
  ['201 years', 'period_too_long'],
  ['P2401M', 'period_too_long'],
  ['10436 weeks', 'period_too_long'],
  ['73049 days', 'period_too_long'],
  ['99999999999 days', 'period_too_long'],
  ['10y', 'period_unreadable', 'write 10 years'],
  ['10 Years', 'period_unreadable', 'write 10 years'],
  ['010 years', 'period_unreadable', 'write 10 years'],
  ['2 fortnights', 'period_unit_unknown'],
  ['ten years', 'period_unreadable'],
  ['P', 'period_unreadable'],
  ['', 'period_unreadable'],
  [null, 'empty_value'],
  [true, 'wrong_kind'],
  [['1 year'], 'wrong_kind'],
] as const)('%s is refused as a period: %s', ([raw, code, remedy]) => {
  const [fault] = readPeriod(raw).faults ?? []

  expect(fault?.code).toBe(code)
  expect(fault?.remedy).toBe(remedy ?? fault?.remedy)
})

test('a period reads as it prints', () => {
  fc.assert(
    fc.property(periods, (period) => {
      expect(readPeriod(printPeriod(period)).value).toEqual(period)
    }),
  )
})

test('a shorter period ends earlier from whatever day it starts', () => {
  const days = fc.integer({ min: 0, max: 146_097 }).map((day) => {
    return DateTime.fromISO('1900-01-01', { zone: 'utc' }).plus({ days: day })
  })
  fc.assert(
    fc.property(periods, periods, days, (one, other, start) => {
      const order = comparePeriods(one, other)
      const [first, second] = [one, other].map(({ unit, count }) => start.plus({ [unit]: count }))
      fc.pre(order !== undefined && first !== undefined && second !== undefined)

      const days = (first ?? start).diff(second ?? start, 'days').days
      expect(Math.sign(days)).toBe(Math.sign(order ?? 0))
    }),
    { numRuns: 2000 },
  )
})

test('periods that follow each other compare by the day on which the last of them ends', () => {
  const short = fc.record({
    count: fc.integer({ min: 1, max: 30 }),
    unit: fc.constantFrom('day', 'week', 'month', 'year'),
  })
  const start = fc.integer({ min: 0, max: 3000 }).map((day) => {
    return DateTime.fromISO('2020-01-01', { zone: 'utc' }).plus({ days: day })
  })
  fc.assert(
    fc.property(short, short, short, start, (one, then, other, day) => {
      const order = compareSums([one, then], [other])
      const last = day.plus({ [one.unit]: one.count }).plus({ [then.unit]: then.count })
      const days = last.diff(day.plus({ [other.unit]: other.count }), 'days').days
      fc.pre(order !== undefined)
      // Two month ends may take three days each from what is as long in months.
      const fits = order === 0 ? Math.abs(days) <= 6 : Math.sign(days) === Math.sign(order)
      expect({ order, days, fits }).toMatchObject({ fits: true })
    }),
    { numRuns: 2000 },
  )
})

test('periods in months and in days compare only where no start day decides', () => {
  expect(comparePeriods({ count: 1, unit: 'month' }, { count: 30, unit: 'day' })).toBeUndefined()
  expect(comparePeriods({ count: 1, unit: 'year' }, { count: 12, unit: 'month' })).toBe(0)
  expect(comparePeriods({ count: 1, unit: 'year' }, { count: 50, unit: 'week' })).toBeGreaterThan(0)
  expect(comparePeriods({ count: 50, unit: 'week' }, { count: 1, unit: 'year' })).toBeLessThan(0)
})
