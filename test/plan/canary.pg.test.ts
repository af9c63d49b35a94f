import { expect, test } from 'vitest'
import { renderPlanFile } from '../../src/plan/file.ts'
import { renderPlan } from '../../src/plan/render.ts'
import { openBed } from '../support/bed.ts'

const POLICY = `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
  - id: customer
    table: crm.customer
    start: { latest: crm.contract.ended_on, by: { customer_id: id } }
    keep: 10 years
    then:
      anonymise:
        full_name: { constant: Anonymised }
        email: { template: '{key}@anonymised.invalid' }
        born_on: nothing
        visits: { keep: statistics }
    references: { crm.contract: own_rule, crm.note: with_parent }
  - id: contract
    table: crm.contract
    where: { state: { not: open } }
    start: ended_on
    keep: 5 years
    then: purge
`

/** Values that stand nowhere but in rows, one for each column. */
const CANARIES = [
  '8123456789',
  'Canary Fullname',
  'canary@example.org',
  '1957-03-14',
  '777123777',
  '6123456789',
  'canary-state',
  '1999-07-21',
  '5123456789',
  'canary note',
]

test('no value of a row is in the text or the file of a plan', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema crm;
    create table crm.customer (
      id bigint primary key, full_name text, email text unique, born_on date, visits int
    );
    create table crm.contract (
      id bigint primary key, customer_id bigint references crm.customer, state text, ended_on date
    );
    create table crm.note (id bigint primary key, customer_id bigint references crm.customer, body text);
    insert into crm.customer values
      (8123456789, 'Canary Fullname', 'canary@example.org', '1957-03-14', 777123777);
    insert into crm.contract values (6123456789, 8123456789, 'canary-state', '1999-07-21');
    insert into crm.note values (5123456789, 8123456789, 'canary note')`)
  await bed.govern(POLICY)

  const plan = await bed.plan()

  expect(plan.rules.map(({ counts }) => counts.due + counts.deciding)).toEqual([1, 1])
  expect(plan.rules.flatMap(({ children }) => children)).toEqual([
    { table: 'crm.note', action: 'purge', rows: 1 },
  ])
  const told = `${renderPlan(plan)}${renderPlanFile(plan)}`
  expect(CANARIES.filter((canary) => told.includes(canary))).toEqual([])
})
