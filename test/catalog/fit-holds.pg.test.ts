import { afterAll, beforeAll, expect, test } from 'vitest'
import { archivesNamed, fitPolicies, fitWithoutRights, tablesNamed } from '../../src/catalog/fit.ts'
import { inspectCatalog } from '../../src/catalog/inspect.ts'
import { parsed } from '../policy/documents.ts'
import { openFitting, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm; create schema legal;
    create table crm.customer (id bigint primary key, number text, started date);
    create table crm.invoice (year int, number int, started date, primary key (year, number));
    create table legal.litigation (id int primary key, customer_id int, number text, closed_on date);
    create table legal.ruling (id int) inherits (legal.litigation);
    create table legal.case (id int, customer_id bigint, closed_on date);
    create view legal.open_case as select * from legal.case where closed_on is null;
    create table legal.hidden (customer_id bigint);
    alter table legal.hidden enable row level security`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

async function problemsOf(hold: string, rights = false): Promise<readonly string[]> {
  const set = parsed(`
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
holds:
  - ${hold}
rules:
  - { id: customer, table: crm.customer, start: started, keep: 1 year, then: purge }
  - { id: invoice, table: crm.invoice, start: started, keep: 1 year, then: purge }
`)
  const catalog = await inspectCatalog(fitting.connection.db, tablesNamed(set), archivesNamed(set))
  const { problems = [] } = (rights ? fitPolicies : fitWithoutRights)(set, catalog)
  return problems.map(({ code, path }) => `${code} ${path}`)
}

test.for([
  ['{ table: legal.case, covers: { crm.customer: customer_id } }', null],
  ['{ table: legal.cases, covers: { crm.customer: id } }', 'table_missing holds[0].table'],
  [
    '{ table: legal.open_case, covers: { crm.customer: id } }',
    'hold_source_not_a_table holds[0].table',
  ],
  ['{ table: legal.litigation, covers: { crm.customer: id } }', 'source_inherited holds[0].table'],
  [
    '{ table: legal.hidden, covers: { crm.customer: customer_id } }',
    'row_security_active holds[0].table',
  ],
  [
    '{ table: legal.case, covers: { crm.customer: who } }',
    'column_missing holds[0].covers["crm.customer"]',
  ],
  [
    '{ table: legal.case, covers: { crm.customer: closed_on } }',
    'link_types_differ holds[0].covers["crm.customer"]',
  ],
  [
    '{ table: legal.case, covers: { crm.invoice: id } }',
    'hold_key_not_single holds[0].covers["crm.invoice"]',
  ],
  [
    '{ table: legal.case, covers: { crm.customer: id }, while: { open: true } }',
    'column_missing holds[0].while.open',
  ],
] as const)('the hold source %s fits, or says why not', async ([hold, problem]) => {
  expect(await problemsOf(hold)).toEqual(problem === null ? [] : [problem])
})

test('a hold source that our role may not read refuses the rules that it reaches', async () => {
  const hold = '{ table: legal.case, covers: { crm.customer: customer_id } }'
  await fitting.run(`
    grant usage on schema crm, legal to ${fitting.role};
    grant select, update, delete on crm.customer, crm.invoice to ${fitting.role}`)

  const refused = await problemsOf(hold, true)
  await fitting.run(`grant select (customer_id) on legal.case to ${fitting.role}`)
  const readable = await problemsOf(hold, true)

  expect(refused).toEqual(['privilege_missing rules[0].table'])
  expect(readable).toEqual([])
})
