import { expect, test } from 'vitest'
import { openBed, type Bed } from '../support/bed.ts'

/** A customer is anonymised by these masks, whatever the column of the third is. */
const policy = (third: string): string => `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 3 } }
rules:
  - id: customer
    table: crm.customer
    start: left_on
    keep: 1 year
    then:
      anonymise:
        full_name: { constant: Nobody }
        email: { template: "{key}@nobody.invalid" }
        third: ${third}
        left_on: { keep: the period starts there }
  - id: note
    table: crm.note
    start: written_on
    keep: 1 year
    then: purge
`

async function openCustomers(bed: Bed, type: string, value: string): Promise<void> {
  await bed.run(`
    create schema crm;
    create table crm.customer (
      id int primary key, full_name text, email text unique, third ${type}, left_on date
    );
    create table crm.note (id int primary key, written_on date);
    insert into crm.note select n, '2001-01-01' from generate_series(1, 4) as n;
    insert into crm.customer
    select n, 'Name ' || n, n || '@example.org', ${value}, '2001-01-01'
    from generate_series(1, 7) as n;
    insert into crm.customer values (8, 'Name 8', '8@example.org', ${value}, current_date)`)
}

async function names(bed: Bed): Promise<readonly string[]> {
  const rows = await bed.rows<{ full_name: string }>(
    'select full_name from crm.customer order by id',
  )
  return rows.map((row) => row.full_name)
}

const MASKED = [...Array.from({ length: 7 }, () => 'Nobody'), 'Name 8']

test('a batch whose masks do not come out as they were written is rolled back, and other rules go on', async () => {
  await using bed = await openBed()
  await openCustomers(bed, 'numeric(10, 2)', '7')
  await bed.govern(policy('{ constant: 1.004 }'))

  const result = await bed.enforce()

  expect(result).toMatchObject({ outcome: 'refused', exit: 3 })
  expect(result.rules.find(({ rule }) => rule === 'customer')).toMatchObject({
    rows: 0,
    error: { code: 'REFUSED' },
  })
  expect(new Set(await names(bed)).size).toBe(8)
  expect(await bed.rows('select from crm.note')).toEqual([])
})

test('a mask comes out as written in types that spell one value in several ways', async () => {
  await using bed = await openBed()
  await openCustomers(bed, 'numeric(10, 2)', '7')
  await bed.govern(policy('{ constant: 1 }'))

  expect(await bed.enforce()).toMatchObject({ outcome: 'done' })

  expect(await names(bed)).toEqual(MASKED)
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [] })
})

test('a row that was anonymised is not done again', async () => {
  await using bed = await openBed()
  await openCustomers(bed, 'text', "'x'")
  await bed.govern(policy('nothing'))
  await bed.enforce()

  const plan = await bed.plan()
  const again = await bed.enforce()

  expect(plan.rules.find(({ rule }) => rule === 'customer')).toMatchObject({
    counts: { due: 0, done: 7 },
  })
  expect(again).toMatchObject({ outcome: 'done', rules: [] })
})

test('an anonymised row that somebody fills again is anonymised again, alone', async () => {
  await using bed = await openBed()
  await openCustomers(bed, 'text', "'x'")
  await bed.govern(policy('nothing'))
  await bed.enforce()
  await bed.run("update crm.customer set third = 'y' where id = 3")

  const again = await bed.enforce()

  expect(again).toMatchObject({ outcome: 'done', rules: [{ rule: 'customer', rows: 1 }] })
  expect(await bed.rows('select from crm.customer where third is not null')).toHaveLength(1)
})

test('a mask that is written otherwise is applied to every row that was anonymised before', async () => {
  await using bed = await openBed()
  await openCustomers(bed, 'text', "'x'")
  await bed.govern(policy('nothing'))
  await bed.enforce()
  await bed.govern(policy('{ constant: none }'))

  const again = await bed.enforce()

  expect(again).toMatchObject({ outcome: 'done', rules: [{ rule: 'customer', rows: 7 }] })
  expect(await bed.rows("select from crm.customer where third = 'none'")).toHaveLength(7)
})

test('the mark of an anonymised row goes when the application deletes the row, though nothing is due', async () => {
  await using bed = await openBed()
  await openCustomers(bed, 'text', "'x'")
  await bed.govern(policy('nothing'))
  await bed.enforce()
  await bed.run('delete from crm.customer where id in (2, 5)')
  bed.forget('crm.customer', 2)

  const again = await bed.enforce()

  expect(again).toMatchObject({ outcome: 'done', rules: [] })
  expect(await bed.rows('select key from retentiond.anonymised order by key')).toEqual(
    ['1', '3', '4', '6', '7'].map((key) => ({ key: [key] })),
  )
})

test('the mark of an anonymised row goes when the row is purged', async () => {
  await using bed = await openBed()
  await openCustomers(bed, 'text', "'x'")
  await bed.govern(policy('nothing'))
  await bed.enforce()
  await bed.govern(policy('nothing').replace(/then:\n +anonymise:[^-]*/, 'then: purge\n  '))

  const again = await bed.enforce()

  expect(again).toMatchObject({ outcome: 'done', rules: [{ rule: 'customer', rows: 7 }] })
  expect(await bed.rows('select from retentiond.anonymised')).toEqual([])
})
