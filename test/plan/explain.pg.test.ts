import { expect, test } from 'vitest'
import { inSnapshot } from '../../src/db/transaction.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { explainRecord, type Explanation } from '../../src/plan/explain.ts'
import { openBed, type Bed } from '../support/bed.ts'

const POLICY = `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
  - id: customer
    title: Customers
    table: crm.customer
    start: { latest: crm.contract.ended_on, by: { customer_id: id } }
    keep: 10 years
    then: { anonymise: { full_name: { constant: Anonymised } } }
    references: { crm.contract: own_rule, crm.note: with_parent }
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
`

async function openCrm(): Promise<Bed> {
  const bed = await openBed()
  await bed.run(`
    create schema crm;
    create table crm.customer (id int primary key, full_name text);
    create table crm.contract (id int primary key, customer_id int references crm.customer, ended_on date);
    create table crm.note (id int primary key, customer_id int references crm.customer);
    create table crm.invoice (id int primary key, contract_id int references crm.contract, issued_on date);
    create table crm.country (id int primary key);
    insert into crm.customer values (1, 'A'), (2, 'B'), (3, 'C'), (4, 'D');
    insert into crm.contract values
      (10, 1, '2016-02-29'), (11, 1, '2010-01-01'), (20, 2, null), (40, 4, '1970-01-01');
    insert into crm.note values (1, 1);
    insert into crm.invoice values (100, 11, '2020-06-01');
    insert into crm.country values (1)`)
  await bed.govern(POLICY)
  return bed
}

async function explain(
  bed: Bed,
  name: string,
  value: string,
  at = '2026-03-01T12:00:00.000000Z',
): Promise<Explanation> {
  const { catalog, rules } = await bed.govern(POLICY)
  const table = catalog.tables.get(name)
  if (table === undefined) throw new Error(`no table ${name}`)
  return inSnapshot(bed.connection.db, async (trx) =>
    explainRecord(trx, {
      rules,
      table,
      key: [{ name: 'id', type: { schema: 'pg_catalog', name: 'int4' } }],
      values: [value],
      at,
    }),
  )
}

test('a record is explained by the start of its period, its retention end and the first instant it may go', async () => {
  await using bed = await openCrm()

  const { rules } = await explain(bed, 'crm.customer', '1', '2026-02-28T22:59:59.000000Z')

  expect(rules).toHaveLength(1)
  expect(rules[0]).toMatchObject({
    rule: 'customer',
    verdict: 'running',
    startsAt: 'crm.contract.ended_on',
    startDay: '2016-02-29',
    retentionEnd: '2026-02-28',
    mayGoFrom: '2026-02-28T23:00:00Z',
  })
})

test('the verdict turns at the first instant the record may go, and not before', async () => {
  await using bed = await openCrm()

  const before = await explain(bed, 'crm.customer', '1', '2026-02-28T22:59:59.999999Z')
  const after = await explain(bed, 'crm.customer', '1', '2026-02-28T23:00:00.000000Z')

  expect(before.rules[0]?.verdict).toBe('running')
  expect(after.rules[0]?.verdict).toBe('due')
})

test('an open, a prospect and an implausible record are each kept for their reason', async () => {
  await using bed = await openCrm()

  const [open, prospect, implausible] = [
    await explain(bed, 'crm.customer', '2'),
    await explain(bed, 'crm.customer', '3'),
    await explain(bed, 'crm.customer', '4'),
  ]

  expect([open, prospect, implausible].map(({ rules }) => rules[0]?.verdict)).toEqual([
    'open',
    'neverExpires',
    'implausible',
  ])
})

test('a due contract that still decides says for which rule, and one that is referred to says by what', async () => {
  await using bed = await openCrm()

  const deciding = await explain(bed, 'crm.contract', '10')
  const blocked = await explain(bed, 'crm.contract', '11')

  expect(deciding.rules[0]).toMatchObject({
    verdict: 'deciding',
    decidesFor: [{ rule: 'customer', records: 1 }],
  })
  expect(blocked.rules[0]).toMatchObject({
    verdict: 'blocked',
    blockedBy: [{ table: 'crm.invoice', rows: 1 }],
  })
})

test('a child is explained by the rule of the row it goes along with', async () => {
  await using bed = await openCrm()

  const { rules } = await explain(bed, 'crm.note', '1')

  expect(rules[0]).toMatchObject({ rule: 'customer', governs: 'crm.customer', verdict: 'due' })
})

test('a record that no rule reaches, and a row that is not there, are said to be so', async () => {
  await using bed = await openCrm()

  const missing = await explain(bed, 'crm.customer', '99')

  expect(missing).toMatchObject({ found: false, rules: [] })
  expect(renderExplanation(missing, 'en')).toContain('There is no such row')
  expect(renderExplanation(missing, 'en')).toMatch(/see\s+journal list/)
  expect(renderExplanation({ ...missing, found: true }, 'fr')).toContain(
    "Aucune règle n'atteint cet enregistrement",
  )
})

test('what leaves a record out is named by the keys of the filter', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen date, state text, gone timestamptz);
    insert into site.visit values
      (1, '2001-01-01', 'a', null), (2, '2001-01-01', 'a', now()), (3, '2001-01-01', null, now()),
      (4, '2001-01-01', 'c', null), (5, '2001-01-01', 'b', null)`)
  const { catalog, rules } = await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: UTC
rules:
  - id: visit
    table: site.visit
    start: seen
    keep: 1 year
    where: { state: [a, b] }
    where_sql: state <> 'b'
    soft_deleted: { column: gone, rows: exclude }
    then: purge
`)
  const table = catalog.tables.get('site.visit')
  if (table === undefined) throw new Error('no table')
  const key = [{ name: 'id', type: { schema: 'pg_catalog', name: 'int4' } }]
  const at = '2026-03-01T12:00:00.000000Z'

  const told = await inSnapshot(bed.connection.db, async (trx) => {
    const all: Explanation[] = []
    for (const id of ['1', '2', '3', '4', '5']) {
      all.push(await explainRecord(trx, { rules, table, key, values: [id], at }))
    }
    return all
  })

  expect(told.map((each) => each.rules[0]?.leftOutBy)).toEqual([
    [],
    ['soft_deleted'],
    ['where', 'where_sql', 'soft_deleted'],
    ['where'],
    ['where_sql'],
  ])
  const [, marked] = told
  expect(marked && renderExplanation(marked, 'en')).toContain('soft_deleted leaves it out')
  expect(marked && renderExplanation(marked, 'fr')).toContain('écartée par soft_deleted')
})

test('every verdict has its sentence in both languages', async () => {
  await using bed = await openCrm()
  const explanation = await explain(bed, 'crm.contract', '10')

  const [english, french] = [
    renderExplanation(explanation, 'en'),
    renderExplanation(explanation, 'fr'),
  ]

  expect(english).toContain('still decides for 1 record of the rule customer')
  expect(english).toContain('The last day of the period is 2021-02-28')
  expect(french).toContain('il décide encore pour 1 enregistrement de la règle customer')
  expect(french).toContain('5 ans après le début du délai')
})
