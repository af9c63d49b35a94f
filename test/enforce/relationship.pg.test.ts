import { expect } from 'vitest'
import { test } from '../support/bed.ts'

const POLICY = `
version: 1
policy: crm
title: Customers
owner: DPO
timezone: Europe/Paris
sentinels: { open: ["9999-12-31"] }
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 }, batch: { rows: 3 } }
rules:
  - id: customer
    title: Customers
    table: crm.customer
    start:
      latest: crm.contract.ended_on
      by: { customer_id: id }
      open: { state: active }
    keep: 10 years
    then:
      anonymise:
        full_name: { constant: Anonymised }
        email: { template: "{key}@anonymised.invalid" }
        phone: nothing
        company: { keep: a legal person }
    references:
      crm.contract: own_rule
      crm.exchange: with_parent
      crm.ticket: own_rule
  - id: contract
    title: Contracts
    table: crm.contract
    start: { latest: crm.contract.ended_on, via: crm.customer, by: { customer_id: customer_id }, open: { state: active } }
    keep: 10 years
    then: purge
  - id: ticket
    title: Tickets
    table: crm.ticket
    where: { status: [resolved, closed] }
    start: { latest: crm.contract.ended_on, via: crm.customer, by: { customer_id: customer_id } }
    keep: 5 years
    then: purge
    references: { crm.message: with_parent }
`

const SCHEMA = `
  create schema crm;
  create table crm.customer (
    id bigint primary key, full_name text not null, email text unique not null, phone text, company text
  );
  create table crm.contract (
    id bigint primary key, customer_id bigint references crm.customer on delete cascade,
    state text not null default 'ended', ended_on date
  );
  create table crm.exchange (id bigint primary key, customer_id bigint references crm.customer, body text);
  create table crm.ticket (
    id bigint primary key, customer_id bigint references crm.customer, status text not null
  );
  create table crm.message (
    ticket_id bigint references crm.ticket on delete cascade, line int, body text, primary key (ticket_id, line)
  );`

const TODAY = "(now() at time zone 'Europe/Paris')::date"

async function customer(
  bed: { run(statement: string): Promise<void> },
  id: number,
  contracts: readonly string[],
): Promise<void> {
  await bed.run(
    `insert into crm.customer values (${id}, 'Name ${id}', 'e${id}@example.org', '01', 'ACME')`,
  )
  for (const [position, ended] of contracts.entries()) {
    await bed.run(
      `insert into crm.contract values (${id * 10 + position}, ${id}, 'ended', ${ended})`,
    )
  }
}

test('a customer is anonymised ten years after the last contract ended, and nobody else is', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await customer(bed, 1, [`${TODAY} - interval '10 years 1 day'`])
  await customer(bed, 2, [`${TODAY} - interval '10 years'`])
  await customer(bed, 3, [`${TODAY} - interval '11 years'`, 'null'])
  await customer(bed, 4, [
    `${TODAY} - interval '20 years'`,
    `${TODAY} - interval '9 years 364 days'`,
  ])
  await customer(bed, 5, [])
  await customer(bed, 6, [`${TODAY} - interval '20 years'`, "'9999-12-31'"])
  await customer(bed, 7, [`${TODAY} - interval '20 years'`, "'1970-01-01'"])
  await customer(bed, 8, [`${TODAY} - interval '12 years'`])
  await bed.run("insert into crm.contract values (85, 8, 'active', '2001-01-01')")
  await bed.run("insert into crm.exchange values (1, 1, 'x'), (2, 1, 'y'), (3, 2, 'z')")
  await bed.govern(POLICY)

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules.find(({ rule }) => rule === 'customer')).toMatchObject({
    counts: { due: 1, running: 2, open: 3, neverExpires: 1, implausible: 1 },
    children: [{ table: 'crm.exchange', rows: 2 }],
  })
  expect(result.outcome).toBe('done')
  expect(
    await bed.rows(
      'select id::int, full_name, email, phone, company from crm.customer where id = 1',
    ),
  ).toEqual([
    { id: 1, full_name: 'Anonymised', email: '1@anonymised.invalid', phone: null, company: 'ACME' },
  ])
  expect(
    await bed.rows(
      "select count(*)::int as n from crm.customer where full_name like 'Name%' and phone = '01'",
    ),
  ).toEqual([{ n: 7 }])
  expect(await bed.rows('select id::int from crm.exchange')).toEqual([{ id: 3 }])
})

test('a contract stays as long as it decides about a customer or a ticket', async ({ bed }) => {
  await bed.run(SCHEMA)
  await customer(bed, 1, [`${TODAY} - interval '11 years'`, `${TODAY} - interval '12 years'`])
  await customer(bed, 2, [`${TODAY} - interval '11 years'`])
  await bed.run("insert into crm.ticket values (1, 2, 'open'), (2, 1, 'closed'), (3, 2, 'closed')")
  await bed.run("insert into crm.message values (2, 1, 'a'), (2, 2, 'b'), (3, 1, 'c')")
  await bed.govern(POLICY)

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules.map(({ rule, counts }) => [rule, counts.due, counts.deciding])).toEqual([
    ['customer', 2, 0],
    ['ticket', 2, 0],
    ['contract', 2, 1],
  ])
  expect(result.outcome).toBe('done')
  expect(await bed.rows('select id::int from crm.contract order by id')).toEqual([{ id: 20 }])
  expect(await bed.rows('select id::int from crm.ticket')).toEqual([{ id: 1 }])
  expect(await bed.rows('select * from crm.message')).toEqual([])
})
