import { assert, date, property } from 'fast-check'
import { DateTime } from 'luxon'
import { describe, expect, test } from 'vitest'
import { edgeCases, type EdgeCase } from '../../deploy/demo/cases.ts'
import type { DemoTable, Row, Rows } from '../../deploy/demo/rows.ts'

const ZONE = 'Europe/Paris'
const ORDINARY_DAY = '2026-11-22'

/** Days on which a period is easily counted a day off, and a few that are like any other. */
const DAYS = [
  '2026-02-28',
  '2026-03-01',
  '2026-03-29',
  '2026-05-31',
  '2026-10-25',
  '2026-12-31',
  '2027-01-01',
  '2028-02-28',
  '2028-02-29',
  '2028-03-01',
  '2034-03-01',
  ORDINARY_DAY,
]

describe('the cases say what the law of time says', () => {
  test.for(DAYS)('on %s', (today) => {
    const { derived, cases } = judge(today)

    expect(derived).toEqual(cases)
  })

  test('on any day', () => {
    const day = date({
      min: new Date('2024-01-01'),
      max: new Date('2045-12-31'),
      noInvalidDate: true,
    }).map((instant) => instant.toISOString().slice(0, 10))

    assert(
      property(day, (today) => {
        const { derived, cases } = judge(today)
        expect(derived).toEqual(cases)
      }),
      { numRuns: 60 },
    )
  })
})

test('every row of an edge case has its expectation', () => {
  const { rows, cases } = edgeCases(ORDINARY_DAY)

  const rowCount = Object.values(rows).reduce((sum, { length }) => sum + length, 0)

  expect(cases).toHaveLength(rowCount)
})

test('a connection belongs to the day of Paris, also where UTC has another', () => {
  const { rows, cases } = edgeCases(ORDINARY_DAY)
  const kept = cases.filter(({ table, expect }) => table === 'site.connection' && expect === 'kept')

  const utcDays = kept.map(({ key }) =>
    DateTime.fromISO(String(rowOf(rows, 'site.connection', key)['recorded_at']))
      .toUTC()
      .toISODate(),
  )

  expect(utcDays).toEqual(['2025-11-22', '2025-11-21', '2025-11-21'])
})

test('the first case of every name is the row that the name is about', () => {
  const { cases } = edgeCases(ORDINARY_DAY)

  const first = new Map<string, string>()
  for (const { name, table, expect } of cases) {
    if (!first.has(name)) first.set(name, `${table} ${expect}`)
  }

  expect(Object.fromEntries(first)).toEqual({
    'ended 9 years and 364 days ago': 'crm.customer kept',
    'ended exactly 10 years ago': 'crm.customer kept',
    'ended 10 years and a day ago': 'crm.customer anonymised',
    'ended on a 29 February, over': 'crm.customer anonymised',
    'ended on a 29 February, not over': 'crm.customer kept',
    'ends in six months': 'crm.customer kept',
    'ended, then re-opened': 'crm.customer kept',
    'several contracts, the newest keeps': 'crm.customer kept',
    'several contracts, the newest is over too': 'crm.customer anonymised',
    'relationship open': 'crm.customer kept',
    'open by a sentinel': 'crm.customer kept',
    'open by infinity': 'crm.customer kept',
    'implausible end': 'crm.customer kept',
    'one implausible end among others': 'crm.customer kept',
    prospect: 'crm.customer never expires',
    'a business card': 'crm.contact never expires',
    'support, relationship ended exactly 5 years ago': 'support.ticket kept',
    'support, relationship ended 5 years and a day ago': 'support.ticket gone',
    'an old ticket of an open relationship': 'support.ticket kept',
    'a contract that still decides': 'crm.contract kept',
    'a contract billed to another customer': 'crm.contract kept',
    'over, and before a court': 'crm.customer kept',
    'over, and before a court once': 'crm.customer anonymised',
    'connection exactly 12 months ago': 'site.connection kept',
    'connection 12 months and a day ago': 'site.connection gone',
    'connection a second before midnight': 'site.connection gone',
    'connection at midnight': 'site.connection kept',
    'connection a second after midnight': 'site.connection kept',
  })
})

test('a day that is not written YYYY-MM-DD is refused', () => {
  for (const text of ['2026-2-1', '2026-02-30', 'today', '2026-11-22T00:00:00Z']) {
    expect(() => edgeCases(text)).toThrow('YYYY-MM-DD')
  }
})

/** Derives every fate again from the rows alone, with luxon. */
function judge(today: string): Record<'derived' | 'cases', readonly EdgeCase[]> {
  const { rows, cases } = edgeCases(today)
  const law = lawOver(rows, DateTime.fromISO(today, { zone: ZONE }))
  return { derived: cases.map((edge) => ({ ...edge, expect: law(edge) })), cases }
}

type End = 'open' | 'implausible' | 'none' | DateTime

/** The end of a customer's relationship, from all of its contracts. */
function endOf(rows: Rows, customer: unknown): End {
  const ends = rows['crm.contract']
    .filter((contract) => contract['customer_id'] === customer)
    .map((contract) => contract['ended_on'])
  if (ends.length === 0) return 'none'
  if (ends.some((end) => end === null || end === 'infinity' || end === '9999-12-31')) return 'open'
  if (ends.some((end) => String(end) < '1990-01-01')) return 'implausible'
  const days = ends.map((end) => DateTime.fromISO(String(end), { zone: ZONE }))
  return days.reduce((latest, day) => (day > latest ? day : latest))
}

function lawOver(rows: Rows, today: DateTime): (edge: EdgeCase) => EdgeCase['expect'] {
  const isHeld = (customer: unknown) =>
    rows['legal.litigation'].some(
      (litigation) => litigation['customer_id'] === customer && litigation['closed_on'] === null,
    )
  const over = (customer: unknown, years: number) => {
    if (isHeld(customer)) return false
    const end = endOf(rows, customer)
    return typeof end !== 'string' && end.plus({ years }) < today
  }
  const purged = (customer: unknown, years: number): EdgeCase['expect'] => {
    if (endOf(rows, customer) === 'none') return 'never expires'
    return over(customer, years) ? 'gone' : 'kept'
  }
  const settles = (payment: Row, invoice: Row) =>
    payment['fiscal_year'] === invoice['fiscal_year'] &&
    payment['invoice_number'] === invoice['number']
  const invoiceStays = (invoice: Row) =>
    !over(invoice['customer_id'], 10) ||
    rows['billing.bank_record'].some(
      (payment) => settles(payment, invoice) && !over(payment['customer_id'], 10),
    )
  const contractStays = (contract: Row) =>
    !over(contract['customer_id'], 10) ||
    rows['billing.invoice'].some(
      (invoice) =>
        invoiceStays(invoice) &&
        (invoice['contract_id'] === contract['id'] ||
          invoice['customer_id'] === contract['customer_id']),
    )

  return ({ table, key }) => {
    const row = rowOf(rows, table, key)
    const owner = ownerOf(rows, table, row)
    switch (table) {
      case 'crm.customer': {
        const fate = purged(row['id'], 10)
        return fate === 'gone' ? 'anonymised' : fate
      }
      case 'crm.contract':
        return contractStays(row) ? 'kept' : 'gone'
      case 'billing.invoice':
      case 'billing.invoice_line':
        return invoiceStays(owner) ? 'kept' : 'gone'
      case 'support.ticket':
      case 'support.message':
      case 'support.attachment':
        return purged(owner['customer_id'], 5)
      case 'site.connection': {
        const day = DateTime.fromISO(String(row['recorded_at']), { zone: ZONE }).startOf('day')
        return day.plus({ months: 12 }) < today ? 'gone' : 'kept'
      }
      case 'crm.contact':
      case 'crm.exchange':
      case 'billing.bank_record':
      case 'billing.expense_report':
        return purged(owner['customer_id'], 10)
      case 'legal.litigation':
        return 'kept'
      default:
        return table satisfies never
    }
  }
}

/** The row with a rule of its own that a row goes with: itself, or its parent. */
function ownerOf(rows: Rows, table: DemoTable, row: Row): Row {
  if (table === 'crm.exchange') {
    return rowOf(rows, 'crm.contact', { id: row['contact_id'] ?? null })
  }
  if (table === 'billing.invoice_line') {
    const number = row['invoice_number'] ?? null
    return rowOf(rows, 'billing.invoice', { fiscal_year: row['fiscal_year'] ?? null, number })
  }
  if (table === 'support.message') {
    return rowOf(rows, 'support.ticket', { id: row['ticket_id'] ?? null })
  }
  if (table === 'support.attachment') {
    const message = rowOf(rows, 'support.message', { id: row['message_id'] ?? null })
    return ownerOf(rows, 'support.message', message)
  }
  return row
}

function rowOf(rows: Rows, table: DemoTable, key: Row): Row {
  const found = rows[table].filter((row) =>
    Object.entries(key).every(([column, value]) => row[column] === value),
  )
  expect(found).toHaveLength(1)
  return found[0] ?? {}
}
