import { sql } from 'kysely'
import { expect } from 'vitest'
import { tableId } from '../../src/db/governed.ts'
import { readBoundary } from '../../src/plan/boundary.ts'
import { viewOf } from '../../src/plan/due.ts'
import { isActionable } from '../../src/plan/hindrance.ts'
import { groundsFor, NONE_IDLE, readIdle, type Idle } from '../../src/plan/orders.ts'
import { test } from '../support/bed.ts'

const ORDERS = {
  row: `insert into retentiond.hold (case_reference, scope, table_oid, table_name, key_columns, key)
    values ('case A', 'row', 'site.visit'::regclass, 'site.visit', '{id}', '{3}')`,
  'row of another key': `insert into retentiond.hold (case_reference, scope, table_oid, table_name, key_columns, key)
    values ('case A', 'row', 'site.visit'::regclass, 'site.visit', '{old_id}', '{3}')`,
  subject: `insert into retentiond.hold (case_reference, scope, subject) values ('case A', 'subject', 'account 3')`,
  rule: `insert into retentiond.hold (case_reference, scope, rule) values ('case A', 'rule', 'visit')`,
  'another rule': `insert into retentiond.hold (case_reference, scope, rule) values ('case A', 'rule', 'other')`,
}

/** Rows that may be acted on, and how many kinds of orders no row is asked for. */
const EXPECTED: Readonly<Record<keyof typeof ORDERS, readonly [number, number]>> = {
  row: [9, 3],
  'row of another key': [0, 2],
  subject: [9, 3],
  rule: [0, 3],
  'another rule': [10, 4],
}

test('rows are asked only for kinds of orders that are open, and an order that comes later keeps them all', async ({
  bed,
}) => {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at date, account text);
    insert into site.visit select n, '2020-01-01', 'account ' || n from generate_series(1, 10) as n`)
  const { rules } = await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
rules:
  - { id: visit, table: site.visit, subject: account, start: seen_at, keep: 12 months, then: purge }
`)
  const [fitted] = rules
  if (fitted === undefined) throw new Error('no rule')
  const { db } = bed.connection
  const boundary = await readBoundary(db, fitted, { kind: 'day', day: '2026-01-01' })
  const actionable = async (idle: Idle): Promise<number> => {
    const { rows } = await sql<{ rows: number }>`
      select count(*)::int as rows from ${tableId(fitted.table)} as row
      where ${isActionable(viewOf(fitted, boundary), [], idle)}`.execute(db)
    return rows[0]?.rows ?? -1
  }
  const before = await readIdle(db, fitted)
  expect(before.size).toBe(groundsFor(fitted).length)
  expect([await actionable(NONE_IDLE), await actionable(before)]).toEqual([10, 10])

  for (const [order, [rows, kinds]] of Object.entries(EXPECTED)) {
    await bed.run(ORDERS[order as keyof typeof ORDERS])
    const idle = await readIdle(db, fitted)
    expect([order, await actionable(idle), idle.size]).toEqual([order, rows, kinds])
    expect([order, await actionable(NONE_IDLE)]).toEqual([order, rows])
    // Of a set that was read before the order was placed.
    expect([order, await actionable(before)]).toEqual([order, order === 'another rule' ? 10 : 0])
    await bed.run('update retentiond.hold set lifted_at = now() where lifted_at is null')
  }
})
