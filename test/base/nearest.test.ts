import { expect, test } from 'vitest'
import { closest, didYouMean, nearest } from '../../src/base/nearest.ts'

test.for([
  ['a letter too many', 'keeep', 'keep'],
  ['two letters swapped', 'tabel', 'table'],
  ['another case', 'Then', 'then'],
  ['a hyphen for an underscore', 'max-rows', 'max_rows'],
])('%s is understood', ([, written, meant]) => {
  expect(closest(written ?? '', ['keep', 'table', 'then', 'max_rows'])).toBe(meant)
})

test('a table that stands in another schema comes first', () => {
  expect(nearest('public.customer', ['crm.customs', 'crm.customer', 'crm.contact'])).toEqual([
    'crm.customer',
  ])
})

test('a name without its schema is understood', () => {
  expect(didYouMean('customer', ['crm.customer', 'crm.contact'])).toBe('did you mean crm.customer?')
})

test('at most three names are suggested, the best first', () => {
  const known = ['ended_at', 'ended_no', 'ended_on', 'ended', 'started_on']

  expect(didYouMean('endedon', known)).toBe('did you mean ended_on, ended_no or ended_at?')
})

test.for(['colour', 'x', 'x'.repeat(1000)])('nothing is suggested for what is not near', (name) => {
  expect(closest(name, ['keep', 'table', 'y'.repeat(1000)])).toBeUndefined()
  expect(didYouMean(name, ['keep'])).toBeUndefined()
})
