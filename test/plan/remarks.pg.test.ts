import { expect } from 'vitest'
import { renderPlan } from '../../src/plan/render.ts'
import { test, type Bed } from '../support/bed.ts'

/** Tables of 9 MiB or more, which an index would help, and one that is too small for that. */
const SCHEMA = `
  create schema shop;
  create table shop.customer (
    id bigint primary key, seen_on date, name text default repeat('x', 60));
  create table shop.orders (
    id bigint primary key, customer_id bigint references shop.customer, placed_on date not null,
    note text default repeat('x', 60));
  create table shop.line (
    id bigint primary key, order_id bigint references shop.orders, note text default repeat('x', 60));
  create unlogged table shop.small (id bigint primary key, at date not null);
  insert into shop.customer select n, current_date - 3650 from generate_series(1, 100000) as n;
  insert into shop.orders select n, n, current_date - 10 from generate_series(1, 100000) as n;
  insert into shop.line select n, n from generate_series(1, 100000) as n;`

const POLICY = `
version: 1
policy: shop
owner: DPO
timezone: UTC
defaults: { limits: { max_rows: 1000000, max_percent: 100 } }
rules:
  - id: customer
    table: shop.customer
    start: { latest: shop.orders.placed_on, by: { customer_id: id } }
    keep: 1 year
    then: { anonymise: { name: nothing, seen_on: nothing } }
    references: { shop.orders: own_rule }
  - id: orders
    table: shop.orders
    start: placed_on
    keep: 1 year
    then: purge
    references: { shop.line: with_parent }
  - { id: small, table: shop.small, start: at, keep: 1 year, then: purge }
`

async function remarks(bed: Bed): Promise<Readonly<Record<string, readonly string[]>>> {
  const { rules } = await bed.plan()
  return Object.fromEntries(
    rules.map((rule) => [
      rule.rule,
      rule.remarks.map(({ code, remedy }) => `${code}: ${remedy ?? ''}`),
    ]),
  )
}

test('a plan names the indexes that a large table lacks, and the statements that make them', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(POLICY)

  expect(await remarks(bed)).toEqual({
    customer: ['link_not_indexed: create index concurrently on shop.orders (customer_id)'],
    orders: [
      'start_not_indexed: create index concurrently on shop.orders (placed_on)',
      'foreign_key_not_indexed: create index concurrently on shop.line (order_id)',
    ],
    small: ['table_unlogged: if its rows have to be kept: alter table shop.small set logged'],
  })
  expect(renderPlan(await bed.plan())).toContain(
    'create index concurrently on shop.orders (placed_on)',
  )
})

test('an index serves if it begins with the columns, covers every row and is a b-tree', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run(`
    alter table shop.small set logged;
    create index on shop.orders (placed_on, id);
    create index on shop.orders (customer_id) where id > 5;
    create index on shop.orders ((customer_id + 1), customer_id);
    create index on shop.line using hash (order_id);`)
  await bed.govern(POLICY)

  const before = await remarks(bed)
  await bed.run(`
    create index on shop.orders (customer_id);
    create index on shop.line (order_id) include (note);`)
  const after = await remarks(bed)

  expect(before['customer']?.map((remark) => remark.split(':')[0])).toEqual(['link_not_indexed'])
  expect(before['orders']?.map((remark) => remark.split(':')[0])).toEqual([
    'foreign_key_not_indexed',
  ])
  expect(after).toEqual({ customer: [], orders: [], small: [] })
})

test('a start that may be null is remarked on, and an index made since leaves a plan as it is', async ({
  bed,
}) => {
  await bed.run(`
    create schema shop;
    create table shop.visit (id bigint primary key, at date);
    insert into shop.visit select n, '2001-01-01'::date + n::int from generate_series(1, 9) as n;`)
  await bed.govern(
    `version: 1\npolicy: p\nowner: o\ntimezone: UTC\ndefaults: { mode: enforce, limits: { max_percent: 100 } }\nrules:\n  - { id: visit, table: shop.visit, start: at, keep: 1 year, then: purge }\n`,
  )
  const plan = await bed.plan()

  await bed.run('create index on shop.visit (at)')
  const result = await bed.enforce({ plan })

  expect(plan.rules[0]?.remarks.map(({ code }) => code)).toEqual(['start_nullable'])
  expect(result.refused).toEqual([])
  expect(await bed.rows('select id from shop.visit')).toEqual([])
})

test('ages of due records are told at the oldest, the median and the newest', async ({ bed }) => {
  await bed.run(`
    create schema shop;
    create table shop.visit (id bigint primary key, at date not null);
    insert into shop.visit
    select n, current_date - make_interval(months => m)
    from unnest(array[13, 20, 20, 30, 100, 5, 1]) with ordinality as given (m, n);`)
  await bed.govern(
    `version: 1\npolicy: p\nowner: o\ntimezone: UTC\ndefaults: { limits: { max_percent: 100 } }\nrules:\n  - { id: visit, table: shop.visit, start: at, keep: 1 year, then: purge }\n`,
  )

  const [rule] = (await bed.plan()).rules

  expect(rule).toMatchObject({
    counts: { due: 5, running: 2 },
    oldestDueMonths: 100,
    medianDueMonths: 20,
    newestDueMonths: 13,
  })
})
