import { expect, test } from 'vitest'
import { isAsStrict, type Guards } from '../../src/plan/guards.ts'

const YEARS = (count: number) => ({ count, unit: 'year' }) as const

const approved: Guards = {
  maxRows: 1000,
  maxPercent: 10,
  trip: 'either',
  floors: [{ table: 'crm.customer', keepAtLeast: 50, minimumAge: YEARS(2) }],
}

const floor = (keepAtLeast: number | null, years: number | null, table = 'crm.customer') => ({
  table,
  keepAtLeast,
  minimumAge: years === null ? null : YEARS(years),
})

test.for([
  ['the same', true, {}],
  ['fewer rows', true, { maxRows: 999 }],
  ['more rows', false, { maxRows: 1001 }],
  ['a smaller share', true, { maxPercent: 1 }],
  ['a larger share', false, { maxPercent: 11 }],
  ['both instead of either', false, { trip: 'both' }],
  ['a higher floor', true, { floors: [floor(51, 2)] }],
  ['an older age', true, { floors: [floor(50, 3)] }],
  ['a second floor', true, { floors: [...approved.floors, floor(1, null, 'crm.note')] }],
  ['two floors that hold as much together', true, { floors: [floor(50, null), floor(null, 2)] }],
  ['a lower floor', false, { floors: [floor(49, 2)] }],
  ['a younger age', false, { floors: [floor(50, 1)] }],
  [
    'an age that cannot be compared',
    false,
    { floors: [{ ...floor(50, 2), minimumAge: { count: 725, unit: 'day' } }] },
  ],
  ['a floor of another table', false, { floors: [floor(50, 2, 'crm.note')] }],
  ['no floor', false, { floors: [] }],
] as const)('guards are as strict as before, or not: %s', ([, strict, change]) => {
  expect(isAsStrict({ ...approved, ...change }, approved)).toBe(strict)
})
