import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { inSnapshot } from '../../src/db/transaction.ts'
import { renderExplanationJson } from '../../src/plan/explain-json.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { explainRecord, type Explanation } from '../../src/plan/explain.ts'
import { openBed, type Bed } from '../support/bed.ts'

const POLICY = `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults:
  mode: enforce
  schedule: '0 3 * * *'
  schedule_timezone: Europe/Paris
  limits: { max_rows: 1000, max_percent: 100 }
holds:
  - table: crm.dispute
    covers: { crm.customer: customer_id }
    while: { closed_on: null }
rules:
  - id: customer
    title: Customers
    table: crm.customer
    start: { latest: crm.contract.ended_on, by: { customer_id: id } }
    keep: 10 years
    then: { anonymise: { full_name: { constant: Anonymised } } }
    references: { crm.contract: own_rule, crm.note: with_parent, crm.dispute: own_rule }
  - id: contract
    table: crm.contract
    start: { latest: crm.contract.ended_on, via: crm.customer, by: { customer_id: customer_id } }
    keep: 5 years
    then: purge
    references: { crm.invoice: own_rule }
  - id: invoice
    table: crm.invoice
    start: issued_on
    keep: 10 years
    then: purge
  - id: dispute
    table: crm.dispute
    start: closed_on
    keep: 5 years
    then: purge
  - id: parcel
    table: crm.parcel
    start: sent_on
    keep: 2 years
    then: purge
    schedule: none
    mode: report
`

async function openCrm(): Promise<Bed> {
  const bed = await openBed()
  await bed.run(`
    create schema crm;
    create table crm.customer (id int primary key, full_name text);
    create table crm.contract (id int primary key, customer_id int references crm.customer, ended_on date);
    create table crm.note (id int primary key, customer_id int references crm.customer);
    create table crm.invoice (id int primary key, contract_id int references crm.contract, issued_on date);
    create table crm.dispute (id int primary key, customer_id int references crm.customer, closed_on date);
    create table crm.parcel (country text, label text, sent_on date, primary key (country, label));
    insert into crm.customer values (1, 'A'), (2, 'B'), (5, 'E');
    insert into crm.contract values
      (10, 1, '2016-02-29'), (11, 1, '2010-01-01'), (20, 2, null), (21, 2, '2015-01-01'), (50, 5, '2001-01-01');
    insert into crm.note values (1, 1);
    insert into crm.invoice values (100, 11, '2020-06-01'), (101, 11, '2020-07-01');
    insert into crm.dispute values (7, 5, null);
    insert into crm.parcel values ('FR', 'it''s a box', '2025-11-30')`)
  await bed.govern(POLICY)
  return bed
}

async function explain(
  bed: Bed,
  name: string,
  values: readonly string[],
  at = '2026-03-01T12:00:00.000000Z',
): Promise<Explanation> {
  const { catalog, rules } = await bed.govern(POLICY)
  const table = catalog.tables.get(name)
  const fitted = rules.find((rule) => rule.table === table)
  if (table === undefined || fitted === undefined) throw new Error(`no rule on ${name}`)
  const approvals = { approved: { standings: new Map(), required: false }, catalog }
  return inSnapshot(bed.connection.db, async (trx) =>
    explainRecord(trx, { rules, table, key: fitted.key, values, at, approvals }),
  )
}

test('a contract that others need is explained whole, in English and in French', async () => {
  await using bed = await openCrm()

  const explanation = await explain(bed, 'crm.contract', ['11'])

  expect(renderExplanation(explanation, 'en')).toBe(`crm.contract 11
As of 2026-03-01T12:00:00.000000Z.
It has a say in when the period of 1 record of the rule customer starts.
It has a say in when the period of 1 record of the rule contract starts.

contract: contract
  The rule purges it 5 years after the period started.
  What decides: 2 rows of crm.contract.ended_on.
  The period started on 2016-02-29 (crm.contract.ended_on, in Europe/Paris).
  The last day of the period is 2021-02-28; by time alone it may go from 2021-03-01 00:00:00
    (Europe/Paris), 2021-02-28T23:00:00Z on.
  VERDICT: due, but spared: 2 rows of crm.invoice still refer to it.
  It may go once those rows are gone.
`)
  expect(renderExplanation(explanation, 'fr')).toContain(
    'VERDICT : échu, mais épargné : 2 lignes de crm.invoice',
  )
})

test('a record whose period runs says which scheduled run could act on it first', async () => {
  await using bed = await openCrm()

  const { rules } = await explain(bed, 'crm.customer', ['1'], '2026-02-01T12:00:00.000000Z')
  const due = await explain(bed, 'crm.customer', ['1'])

  expect(rules[0]).toMatchObject({ verdict: 'running', nextRun: '2026-03-01T02:00:00Z' })
  expect(rules[0]).toMatchObject({ mayGoFromLocal: '2026-03-01 00:00:00' })
  expect(renderExplanation(due, 'en')).toContain(
    [
      '  VERDICT: due. The next run of the rule acts on it.',
      '  The next scheduled run that could act on it: 2026-03-02T02:00:00Z.',
      '  The rule waits for an approval: nobody has approved it.',
      '  Whether a limit refuses the rule was not asked: add --limits, or see plan.',
      '  Only a hold, a later start or another policy would keep it.',
    ].join('\n'),
  )
})

test('an open record says how many of its related rows are open', async () => {
  await using bed = await openCrm()

  const explanation = await explain(bed, 'crm.customer', ['2'])

  expect(renderExplanation(explanation, 'en')).toContain(
    'What decides: 2 rows of crm.contract.ended_on, 1 still open.',
  )
  expect(renderExplanation(explanation, 'fr')).toContain(
    'Ce qui décide : 2 lignes de crm.contract.ended_on, dont 1 sans fin.',
  )
})

test('a row of a source says what it holds, and what it holds says so', async () => {
  await using bed = await openCrm()

  const [dispute, customer] = [
    await explain(bed, 'crm.dispute', ['7']),
    await explain(bed, 'crm.customer', ['5']),
  ]

  expect(dispute.holdsRows).toEqual([{ table: 'crm.customer', rows: 1 }])
  expect(dispute.rules[0]).toMatchObject({ stillHolds: [{ table: 'crm.customer', rows: 1 }] })
  expect(customer.rules[0]).toMatchObject({ verdict: 'held', holds: [{ source: 'crm.dispute' }] })
})

test('a record that was anonymised names the journal entry that says so', async () => {
  await using bed = await openCrm()
  await bed.run(`update crm.dispute set closed_on = '2026-01-01'`)
  await bed.run('delete from crm.note')
  bed.forget('crm.note', 1)
  await bed.enforce()

  const explanation = await explain(bed, 'crm.customer', ['5'], '2026-11-25T12:00:00.000000Z')

  expect(explanation.rules[0]).toMatchObject({ verdict: 'done' })
  expect(explanation.anonymised).toEqual([{ rule: 'customer', seq: expect.any(Number) as number }])
  expect(renderExplanation(explanation, 'fr')).toContain('Il a été anonymisé par la règle customer')
})

test('a key of several texts is printed as it would be typed again', async () => {
  await using bed = await openCrm()

  const text = renderExplanation(await explain(bed, 'crm.parcel', ['FR', "it's a box"]), 'en')

  expect(text.split('\n')[0]).toBe(String.raw`crm.parcel FR 'it'\''s a box'`)
  expect(text).toContain('The rule only reports; it never acts.')
})

test('every key of an explanation as JSON is documented', async () => {
  await using bed = await openCrm()
  const documented = readFileSync('docs/explain.md', 'utf8')

  const shown: unknown = JSON.parse(
    renderExplanationJson(await explain(bed, 'crm.customer', ['5'])),
  )

  const missing = keysOf(shown).filter((key) => !documented.includes(`\`${key}\``))
  expect(missing).toEqual([])
  expect(shown).toMatchObject({ schema_version: 1 })
})

function keysOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((each) => keysOf(each))
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([key, each]) => [key, ...keysOf(each)])
}
