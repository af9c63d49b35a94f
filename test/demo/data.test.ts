import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { KEYS } from '../../deploy/demo/cases.ts'
import { demoRows } from '../../deploy/demo/data.ts'
import { TABLES, type Rows } from '../../deploy/demo/rows.ts'

const TODAY = '2026-11-22'
const rows = demoRows({ today: TODAY })

test('the same day and seed make the same rows, and another seed makes others', () => {
  const again = demoRows({ today: TODAY })
  const other = demoRows({ today: TODAY, seed: 1 })

  expect(digestOf(again)).toBe(digestOf(rows))
  expect(digestOf(other)).not.toBe(digestOf(rows))
})

test('the demo has about 200,000 rows, most of them connections and messages', () => {
  const counts = TABLES.map((table) => rows[table].length)
  const total = counts.reduce((sum, count) => sum + count, 0)

  expect(total).toBeGreaterThan(190_000)
  expect(total).toBeLessThan(215_000)
  expect(rows['site.connection'].length + rows['support.message'].length).toBeGreaterThan(total / 2)
})

test.for(TABLES)('every row of %s has the same columns and a key of its own', (table) => {
  const columns = new Set(rows[table].map((row) => Object.keys(row).toSorted().join()))
  const keys = new Set(rows[table].map((row) => KEYS[table].map((column) => row[column]).join()))

  expect(columns.size).toBe(1)
  expect(keys.size).toBe(rows[table].length)
})

test('no e-mail, telephone number or network address of the demo reaches anybody', () => {
  const people = [...rows['crm.customer'], ...rows['crm.contact']]
  const texts = (column: string) => people.map((row) => row[column]).filter(isText)
  const addresses = [
    ...texts('last_ip'),
    ...rows['site.connection'].map((row) => row['ip']).filter(isText),
  ]

  expect(texts('email').filter((email) => !email.endsWith('.example'))).toEqual([])
  expect(texts('phone').filter((phone) => !phone.startsWith('+33 6 39 98 '))).toEqual([])
  expect(
    addresses.filter((ip) => !/^(192\.0\.2|198\.51\.100|203\.0\.113)\.|^2001:db8:/.test(ip)),
  ).toEqual([])
})

test('nothing in the demo happens after today, but for an end that is announced', () => {
  const future = TABLES.flatMap((table) =>
    rows[table].flatMap((row) =>
      Object.entries(row).filter(
        ([column, value]) =>
          /_(on|at)$/.test(column) &&
          column !== 'ended_on' &&
          typeof value === 'string' &&
          value > `${TODAY}T`,
      ),
    ),
  )

  expect(future).toEqual([])
})

test('the schema names every table of the demo and no trigger', () => {
  const schema = readFileSync(new URL('../../deploy/demo/schema.sql', import.meta.url), 'utf8')

  const created = [...schema.matchAll(/^create table (\S+) \(/gm)].map(([, name]) => name)

  expect(new Set(created)).toEqual(new Set(TABLES))
  expect(schema).not.toMatch(/create trigger/i)
})

/** Of all rows: printing how 200,000 of them differ would take longer than the tests. */
function digestOf(all: Rows): string {
  return createHash('sha256').update(JSON.stringify(all)).digest('hex')
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
