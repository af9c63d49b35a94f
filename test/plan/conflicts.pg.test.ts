import { expect, test } from 'vitest'
import { inSnapshot } from '../../src/db/transaction.ts'
import { renderConflicts } from '../../src/plan/conflicts-text.ts'
import { findConflicts, type Conflict } from '../../src/plan/conflicts.ts'
import { openBed } from '../support/bed.ts'

const POLICY = `
version: 1
policy: shop
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
holds:
  - table: shop.dispute
    covers: { shop.customer: customer_id }
    while: { closed_on: null }
rules:
  - id: customer
    table: shop.customer
    start: { latest: shop.sale.sold_on, by: { customer_id: id } }
    keep: 3 years
    then:
      anonymise:
        full_name: nothing
        kind: { keep: no person }
        created_on: { keep: no person }
    references: { shop.sale: own_rule, shop.dispute: own_rule }
  - id: company
    table: shop.customer
    where: { kind: company }
    start: created_on
    keep: 10 years
    then: purge
    references: { shop.sale: own_rule, shop.dispute: own_rule }
  - id: sale
    table: shop.sale
    start: sold_on
    keep: 1 year
    then: purge
    references: { shop.note: with_parent }
  - id: dispute
    table: shop.dispute
    start: closed_on
    keep: 3 years
    then: purge
`

const SCHEMA = `
  create schema shop;
  create table shop.customer (id int primary key, kind text, full_name text, created_on date);
  create table shop.sale (id int primary key, customer_id int references shop.customer, sold_on date);
  create table shop.note (id int primary key, sale_id int references shop.sale);
  create table shop.dispute (id int primary key, customer_id int references shop.customer, closed_on date);
  insert into shop.customer values
    (1, 'person', 'A', '2001-01-01'), (2, 'company', 'B', '2024-01-01'), (3, 'company', 'C', '2001-01-01'),
    (4, 'person', 'D', '2001-01-01');
  insert into shop.sale values (10, 1, '2005-01-01'), (20, 2, '2005-01-01'), (30, 3, '2005-01-01'),
    (31, 3, '2025-12-01');
  insert into shop.note values (1, 10), (2, 10), (3, 31);
  insert into shop.dispute values (7, 1, null)`

test('a pair without a row in common is counted, and left out of the table', () => {
  const none: Conflict = {
    table: 'a.b',
    rule: 'r',
    meeting: 'hold',
    meets: 'holds placed',
    rows: 0,
    due: 0,
    wins: 'holds placed',
  }

  expect(renderConflicts([none])).toBe(
    'Conflicts: no two rules, holds or references have a row in common.\n',
  )
  expect(renderConflicts([none, { ...none, rows: 2 }])).toContain('1 more pair has no row')
})

test('rules, holds, references and readers that meet are counted, with who wins', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(POLICY)

  const conflicts = await inSnapshot(bed.connection.db, async (trx) =>
    findConflicts(trx, rules, { kind: 'instant', at: '2026-03-01T12:00:00.000000Z' }),
  )

  const met = conflicts.filter(({ rows }) => rows > 0)
  expect(met.map((each) => line(each)).toSorted()).toEqual([
    'shop.customer company other_rule customer 2 1 customer',
    'shop.customer company refers shop.sale 2 1 sale',
    'shop.customer customer acts_instead company 2 0 company',
    'shop.customer customer hold_source shop.dispute 1 1 shop.dispute',
    'shop.customer customer other_rule company 2 1 company',
    'shop.dispute dispute hold_source shop.dispute 1 0 shop.dispute',
    'shop.dispute dispute still_holds shop.customer 1 0 shop.customer',
    'shop.note sale goes_along shop.sale 3 2 sale',
    'shop.sale sale hold_source shop.dispute 1 1 shop.dispute',
    'shop.sale sale still_decides customer 4 3 customer',
  ])
  expect(
    Math.max(
      ...renderConflicts(conflicts)
        .split('\n')
        .map(({ length }) => length),
    ),
  ).toBeLessThan(101)
})

function line({ table, rule, meeting, meets, rows, due, wins }: Conflict): string {
  return [table, rule, meeting, meets, rows, due, wins].join(' ')
}
