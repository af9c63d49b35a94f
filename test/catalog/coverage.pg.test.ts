import { afterAll, beforeAll, expect, test } from 'vitest'
import { coverageFindings } from '../../src/catalog/coverage.ts'
import { inspectScope } from '../../src/catalog/inspect-scope.ts'
import { parsed, policyYaml } from '../policy/documents.ts'
import { openFitting, type Fitting } from './fitting.ts'

const SCHEMA = `
  create schema shop;
  create table shop.customer (id bigint primary key, started date, name text);
  create table shop.orders (id bigint primary key, customer_id bigint, placed_on date);
  create table shop.line (id bigint primary key, order_id bigint references shop.orders);
  create table shop.country (code text primary key);
  create table shop.visit (id bigint, seen_on date) partition by range (seen_on);
  create table shop.visit_2026 partition of shop.visit for values from ('2026-01-01') to ('2027-01-01');
  create unlogged table shop.cart (id bigint primary key);
  create view shop.all_orders as select id from shop.orders;
  create schema empty;`

const RULES = `  - id: customer
    table: shop.customer
    start: { latest: shop.orders.placed_on, by: { customer_id: id } }
    keep: 1 year
    then: { anonymise: { name: nothing } }
`

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(SCHEMA)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

/** What the coverage of a policy finds: place, code and message of each. */
async function found(coverage: string, rules = RULES): Promise<readonly string[]> {
  const set = parsed(policyYaml(rules).replace('rules:', `coverage:\n${coverage}rules:`))
  const findings = coverageFindings(set, await inspectScope(fitting.connection.db, set))
  return findings.map(({ path, code, message }) => `${path} ${code}: ${message}`)
}

test('a table in scope has a rule, a role as a source, or is a finding', async () => {
  expect(await found('  schemas: [shop]\n')).toEqual(
    ['cart', 'country', 'line', 'visit'].map(
      (name) =>
        `coverage.schemas[0] table_uncovered: shop.${name} has no rule, no reference and no exemption`,
    ),
  )
})

test('a child that goes along is covered by the rule of its parent', async () => {
  const rules = `  - id: orders
    table: shop.orders
    start: placed_on
    keep: 1 year
    then: purge
    references: { shop.line: with_parent }
`
  const findings = await found('  schemas: [shop]\n', rules)

  expect(findings.some((finding) => finding.includes('shop.line'))).toBe(false)
  expect(findings.some((finding) => finding.includes('shop.customer'))).toBe(true)
})

test('a partition that is detached is a table that no rule covers', async () => {
  const rules = `  - { id: visit, table: shop.visit, start: seen_on, keep: 1 year, then: purge }\n`
  const isFound = async (): Promise<boolean> =>
    (await found('  schemas: [shop]\n', rules)).some((finding) => finding.includes('visit_2026'))
  expect(await isFound()).toBe(false)

  await fitting.run('alter table shop.visit detach partition shop.visit_2026')
  const detached = await isFound()
  await fitting.run(
    `alter table shop.visit attach partition shop.visit_2026
     for values from ('2026-01-01') to ('2027-01-01')`,
  )

  expect(detached).toBe(true)
})

test('a schema that is not there is a finding, and an empty one is covered', async () => {
  expect(await found('  schemas: [empty, gone]\n')).toEqual([
    'coverage.schemas[1] schema_missing: there is no schema gone in this database',
  ])
})

test('an exemption holds to the end of its day of review on the calendar of the database', async () => {
  const day = async (offset: number): Promise<string> => {
    const { rows } = await fitting.database.superuser.query<{ day: string }>(
      `select ((clock_timestamp() at time zone 'Europe/Paris')::date + ${offset})::text as day`,
    )
    return rows[0]?.day ?? ''
  }
  const exempt = (name: string, review: string): string =>
    `    - { table: shop.${name}, why: none, review: ${review} }\n`
  const yesterday = await day(-1)

  const findings = await found(
    `  schemas: [shop]\n  exempt:\n${exempt('cart', await day(0))}${exempt('country', await day(1))}${exempt('line', yesterday)}${exempt('visit', '2100-01-01')}`,
  )

  expect(findings).toEqual([
    `coverage.exempt[2].review exemption_overdue: the exemption of shop.line was to be looked at by ${yesterday}`,
  ])
})

test('an exemption of a table that has gone is a finding', async () => {
  expect(
    (
      await found(
        '  schemas: [shop]\n  exempt: [{ table: shop.old, why: x, review: 2100-01-01 }]\n',
      )
    ).filter((finding) => !finding.includes('table_uncovered')),
  ).toEqual(['coverage.exempt[0] exemption_unused: there is no table shop.old to exempt'])
})

test('an exempt column of an anonymised table is kept like one with a reason', async () => {
  await fitting.run('alter table shop.customer add column tier text')
  const yaml = policyYaml(RULES).replace(
    'rules:',
    'coverage: { schemas: [empty], exempt: [] }\nrules:',
  )
  const exempt = yaml.replace(
    'schemas: [empty], exempt: []',
    'schemas: [shop], exempt: [{ table: shop.customer, column: tier, why: three words, review: 2100-01-01 }]',
  )

  expect(parsed(yaml).rules[0]?.action).toMatchObject({ masks: [{ column: 'name' }] })
  expect(parsed(exempt).rules[0]?.action).toMatchObject({
    masks: [{ column: 'name' }, { column: 'tier', strategy: { kind: 'keep', why: 'three words' } }],
  })
})
