import { expect, test } from 'vitest'
import { parsed } from './documents.ts'

function digests(holds: string): Readonly<Record<string, string>> {
  const { rules } = parsed(`
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
${holds}
rules:
  - id: customer
    table: crm.customer
    start: left_on
    keep: 10 years
    then: purge
    references: { crm.ticket: own_rule, crm.note: with_parent }
  - id: ticket
    table: crm.ticket
    start: closed_on
    keep: 5 years
    then: purge
  - id: visit
    table: site.visit
    start: seen_on
    keep: 1 year
    then: purge
`)
  return Object.fromEntries(rules.map(({ id, digest }) => [id, digest]))
}

const source = (covers: string, more = '') =>
  `holds: [{ table: legal.case, covers: ${covers}${more} }]`

test('a hold source changes the digest of every rule whose rows it may keep, and of no other', () => {
  const without = digests('')
  const changed = (holds: string) =>
    Object.entries(digests(holds)).flatMap(([id, digest]) => (digest === without[id] ? [] : [id]))

  expect(changed(source('{ crm.customer: a }'))).toEqual(['customer', 'ticket'])
  expect(changed(source('{ crm.note: a }'))).toEqual(['customer', 'ticket'])
  expect(changed(source('{ crm.ticket: a }'))).toEqual(['ticket'])
  expect(changed(source('{ site.visit: a }'))).toEqual(['visit'])
})

test('whatever a hold source says is in the digest of a rule, and its spelling is not', () => {
  const digestOf = (holds: string) => digests(holds)['customer']
  const one = digestOf(source('{ crm.customer: a }'))

  expect(digestOf(source('{ crm.customer: b }'))).not.toBe(one)
  expect(digestOf(source('{ crm.customer: { a: id } }'))).not.toBe(one)
  expect(digestOf(source('{ crm.customer: a }', ', while: { closed_on: null }'))).not.toBe(one)
  expect(digestOf(source('{ crm.customer: a }').replace('legal.case', '\'"legal".case\''))).toBe(
    one,
  )
})
