import { afterAll, beforeAll, expect, test } from 'vitest'
import { needsOf, renderGrants } from '../../src/catalog/needs.ts'
import { makePlan } from '../../src/plan/make.ts'
import { openFitting, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create schema "order";
    create table crm.customer (id int primary key, started date, name text, notes text, secret text);
    create table crm.contract (id int primary key, customer_id int references crm.customer, state text, ended_on date, secret text);
    create table crm.ticket (id int primary key, customer_id int references crm.customer, secret text);
    create table crm.message (id int primary key, ticket_id int references crm.ticket, secret text);
    create table crm.badge (id int primary key, customer_id int references crm.customer, secret text);
    create table crm.visit (id int primary key, customer_id int, seen_at timestamptz, secret text);
    create table "order"."select" ("user" int primary key, "end" date, "Großer ""Name""" text);
    create table crm.unrelated (id int primary key, secret text)`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

const RULES = `  - id: customer
    table: crm.customer
    start: { latest: crm.visit.seen_at, by: { customer_id: id }, none: { use: started } }
    keep: 1 year
    mode: enforce
    then: { anonymise: { name: { constant: A }, notes: { keep: a }, secret: { keep: a }, started: { keep: a } } }
    references: { crm.contract: own_rule, crm.ticket: own_rule, crm.badge: own_rule }
  - id: contract
    table: crm.contract
    where: { state: closed }
    start: ended_on
    keep: 1 year
    mode: enforce
    then: purge
  - id: ticket
    table: crm.ticket
    start: { latest: crm.contract.ended_on, via: crm.customer, by: { customer_id: customer_id } }
    keep: 1 year
    mode: enforce
    then: purge
    references: { crm.message: with_parent }
  - id: odd
    table: order.select
    start: end
    keep: 1 year
    mode: enforce
    then: { anonymise: { '"Großer ""Name"""': nothing, end: { keep: a } } }
coverage:
  schemas: [crm]
  exempt: [{ table: crm.badge, why: no personal data, review: 2100-01-01 }]
`

/** Everything the role may do, as `right table column`; a right on the whole table has no column. */
async function rightsHeld(): Promise<readonly string[]> {
  const { rows } = await fitting.database.superuser.query<{ held: string }>(
    `select held from (
       select lower(privilege) || ' ' || attrelid::regclass || ' ' || attname as held
       from pg_attribute
       join pg_class on pg_class.oid = attrelid and relkind = 'r'
       cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) as privilege
       where relnamespace::regnamespace::text in ('crm', '"order"') and attnum > 0
         and has_column_privilege($1, attrelid, attnum, privilege)
         and not has_table_privilege($1, attrelid, privilege)
       union all
       select lower(privilege) || ' ' || pg_class.oid::regclass
       from pg_class
       cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as privilege
       where relnamespace::regnamespace::text in ('crm', '"order"') and relkind = 'r'
         and has_table_privilege($1, pg_class.oid, privilege)
     ) as matrix
     order by held collate "C"`,
    [fitting.role],
  )
  return rows.map(({ held }) => held)
}

async function takeRightsAway(): Promise<void> {
  await fitting.run(`drop owned by ${fitting.role} cascade`)
}

const ENOUGH = [
  'delete crm.contract',
  'delete crm.message',
  'delete crm.ticket',
  'select "order"."select" Großer "Name"',
  'select "order"."select" end',
  'select "order"."select" user',
  'select crm.badge customer_id',
  'select crm.contract customer_id',
  'select crm.contract ended_on',
  'select crm.contract id',
  'select crm.contract state',
  'select crm.customer id',
  'select crm.customer name',
  'select crm.customer started',
  'select crm.message id',
  'select crm.message ticket_id',
  'select crm.ticket customer_id',
  'select crm.ticket id',
  'select crm.visit customer_id',
  'select crm.visit seen_at',
  'update "order"."select" Großer "Name"',
  'update "order"."select" user',
  'update crm.contract customer_id',
  'update crm.contract id',
  'update crm.customer id',
  'update crm.customer name',
  'update crm.message id',
  'update crm.ticket id',
  'update crm.visit',
]

test('the grants that are printed are enough, and nothing more', async () => {
  await takeRightsAway()
  const fitted = await fitting.fitted(RULES)
  await fitting.run(
    renderGrants(
      fitted.flatMap((rule) => needsOf(rule, true)),
      fitting.role,
    ),
  )

  expect(await fitting.problems(RULES, 'asked')).toEqual([])
  expect(await rightsHeld()).toEqual(ENOUGH)
})

test('every remedy is a statement, and with all of them run the rules fit', async () => {
  await takeRightsAway()
  const problems = await fitting.problems(RULES, 'asked')
  expect(problems).toContain(
    `crm.yaml:7:12 privilege_missing: role ${fitting.role} may not select id, started, name of crm.customer, to find what is due > grant usage on schema crm to ${fitting.role}; grant select (id, started, name) on crm.customer to ${fitting.role};`,
  )

  for (const problem of problems) await fitting.run(problem.split(' > ')[1] ?? '')

  expect(await fitting.problems(RULES, 'asked')).toEqual([])
  expect(await rightsHeld()).toEqual(ENOUGH)
})

test('each right that is taken away again is missed', async () => {
  const survivors: string[] = []
  for (const held of ENOUGH) {
    await takeRightsAway()
    for (const problem of await fitting.problems(RULES, 'asked')) {
      await fitting.run(problem.split(' > ')[1] ?? '')
    }
    const [right, table, ...column] = held.split(' ')
    const list = column.length === 0 ? '' : ` ("${column.join(' ').replaceAll('"', '""')}")`
    await fitting.run(`revoke ${right}${list} on ${table} from ${fitting.role}`)
    if ((await fitting.problems(RULES, 'asked')).length === 0) survivors.push(held)
  }
  expect(survivors).toEqual([])
})

test('rights on tables are worth nothing without the use of their schema', async () => {
  await takeRightsAway()
  await fitting.run(`grant all on all tables in schema crm, "order" to ${fitting.role}`)
  for (const schema of ['crm', '"order"']) {
    const problems = await fitting.problems(RULES, 'asked')
    expect(problems).not.toEqual([])
    await fitting.run(`grant usage on schema ${schema} to ${fitting.role}`)
  }
  expect(await fitting.problems(RULES, 'asked')).toEqual([])
})

test('a rule that only reports asks for the right to read, and a plan needs no more', async () => {
  await takeRightsAway()
  const reporting = RULES.replaceAll('mode: enforce', 'mode: report')
  for (const problem of await fitting.problems(reporting, 'asked')) {
    await fitting.run(problem.split(' > ')[1] ?? '')
  }
  const held = await rightsHeld()
  expect(held.filter((right) => !right.startsWith('select'))).toEqual([])

  const { set, catalog } = await fitting.catalogOf(reporting)
  const rules = await fitting.fitted(reporting)
  const plan = await makePlan(fitting.connection.db, {
    policyDigest: set.digest,
    catalog,
    rules: rules.filter(({ rule }) => rule.action.kind === 'purge'),
    stand: { kind: 'now' },
    approved: null,
  })
  expect(plan.rules.map(({ rule }) => rule)).toEqual(['contract', 'ticket'])
})
