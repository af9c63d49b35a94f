import { expect, test } from 'vitest'
import { needsOf, renderGrants } from '../../src/catalog/needs.ts'
import { connect } from '../../src/db/connect.ts'
import { makePlan } from '../../src/plan/make.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { prepare } from '../../src/plan/prepare.ts'
import { openBed, type Bed } from '../support/bed.ts'

const POLICY = `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { limits: { max_rows: 1000000, max_percent: 100 } }
rules:
  - id: customer
    table: crm.customer
    start: { latest: crm.contract.ended, by: { customer: id } }
    keep: 10 years
    then: { anonymise: { name: nothing } }
    references: { crm.contract: own_rule, crm.exchange: with_parent, crm.scan: with_parent }
  - id: contract
    table: crm.contract
    start: { latest: crm.contract.ended, via: crm.customer, by: { customer: customer } }
    keep: 10 years
    then: purge
`

const TABLES = `
  create schema crm;
  create table crm.customer (id int primary key, name text);
  create table crm.contract (id int primary key, customer int references crm.customer, ended date, note text);
  create table crm.exchange (id int primary key, customer int references crm.customer, code text unique, body text);
  create table crm.scan (id int primary key, exchange text references crm.exchange (code), body text);
  insert into crm.customer select n, 'A' from generate_series(1, 10) as n;
  insert into crm.contract select n, n, '2001-01-01' from generate_series(1, 10) as n;
  insert into crm.exchange select n, n, n from generate_series(1, 10) as n;
  insert into crm.scan select n, n from generate_series(1, 10) as n`

const STATE = `
  select 'customer' as of, id, ctid::text, xmin::text, xmax::text from crm.customer union all
  select 'contract', id, ctid::text, xmin::text, xmax::text from crm.contract union all
  select 'exchange', id, ctid::text, xmin::text, xmax::text from crm.exchange
  order by of, id`

/** Makes a role that has nothing but what a plan of the policy is said to need. */
async function makeReader(bed: Bed): Promise<string> {
  const { rules } = await bed.govern(POLICY)
  const role = await bed.database.createRole('reader')
  const needs = rules.flatMap((rule) => needsOf(rule, false))
  await bed.run(renderGrants(needs, role))
  await bed.run(`grant usage on schema retentiond to ${role}`)
  await bed.run(`grant select on retentiond.anonymised, retentiond.hold to ${role}`)
  return role
}

/** Makes a plan as the role, and gives back what it says of the rules. */
async function planAs(bed: Bed, role: string): Promise<Plan['rules']> {
  const { set } = await bed.govern(POLICY)
  await using connection = connect(bed.database.urlOf(role))
  const { rules } = await makePlan(connection.db, {
    ...(await prepare(connection.db, set)),
    policyDigest: set.digest,
    stand: { kind: 'now' },
    approved: null,
  })
  return rules
}

test('a plan needs the right to read, and no other', async () => {
  await using bed = await openBed()
  await bed.run(TABLES)
  const role = await makeReader(bed)

  const rules = await planAs(bed, role)

  expect(rules.map(({ rule, counts }) => [rule, counts.due, counts.deciding])).toEqual([
    ['customer', 10, 0],
    ['contract', 0, 10],
  ])
  expect(
    await bed.rows(`
      select distinct privilege_type as held
      from information_schema.column_privileges
      where grantee = '${role}'`),
  ).toEqual([{ held: 'SELECT' }])
})

test('a plan can be made where nothing can be written', async () => {
  await using bed = await openBed()
  await bed.run(TABLES)
  const role = await makeReader(bed)
  const expected = await planAs(bed, role)

  await bed.run(`alter role ${role} set default_transaction_read_only = on`)

  expect(await planAs(bed, role)).toEqual(expected)
})

test('a plan leaves every row as it was, unlocked', async () => {
  await using bed = await openBed()
  await bed.run(TABLES)
  const before = await bed.rows(STATE)

  await bed.govern(POLICY)
  await bed.plan()

  expect(before.length).toBe(30)
  expect(await bed.rows(STATE)).toEqual(before)
})
