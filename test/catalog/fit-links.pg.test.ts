import { afterAll, beforeAll, expect, test } from 'vitest'
import { needsOf } from '../../src/catalog/needs.ts'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create extension citext schema public;
    create table crm.customer (id int primary key, code text unique, alias public.citext, started date);
    create table crm.bound (id int primary key, customer_id int not null references crm.customer, started date);
    create table crm.checked (id int primary key, customer_id int references crm.customer check (customer_id is not null));
    create table crm.named (customer_id int primary key references crm.customer);
    create table crm.derived (id int primary key, customer_id int generated always as (id) stored references crm.customer);
    create table crm.single (id int primary key, customer_id int unique nulls not distinct references crm.customer);
    create table crm.place (id int, customer_id int references crm.customer, primary key (id), unique (id, customer_id), unique (customer_id));
    create table crm.room (id int primary key, place int references crm.place (customer_id));
    create table crm.shared (
      id int primary key, customer_id int references crm.customer,
      foreign key (id, customer_id) references crm.place (id, customer_id)
    );
    create table crm.read (id int primary key, customer_id int references crm.customer, started date);
    create table crm.free (id int primary key, customer_id int references crm.customer, note text);
    create table crm.whole (id int primary key, customer_id int, code text);
    create table crm.asset (id int primary key, kind text, owner int, owner_code text, owner_alias public.citext);
    create view crm.assets as select * from crm.asset`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

const OTHERS = 'bound checked named derived single place shared read free'.split(' ')

/** All tables with a foreign key are declared to stay, but one. */
function references(table: string): string {
  const each = OTHERS.map((name) => `crm.${name}: ${name === table ? 'detach' : 'block'}`)
  return `    references: { ${each.join(', ')} }\n`
}

const READER = `  - id: reader
    table: crm.read
    start: started
    where: { customer_id: { not: null } }
    keep: 1 year
    then: purge
`

test.for([
  ['bound', 'customer_id is not null'],
  ['checked', 'customer_id is not null'],
  ['named', 'customer_id is part of the key of the table'],
  ['derived', 'customer_id is generated'],
  ['single', 'customer_id is unique, and nulls count as the same'],
  ['place', 'customer_id is referred to by other tables'],
  ['shared', 'customer_id is part of the foreign key shared_id_customer_id_fkey too'],
  ['read', 'customer_id is in the filter of rule reader'],
] as const)(
  'a link that cannot be null, or must not change, is not cut: %s',
  async ([table, why]) => {
    const problems = await fitting.problems(
      `${purgeRule('crm.customer', references(table))}${READER}`,
    )

    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(
      `detach_impossible: crm.${table} cannot let go of crm.customer (${table}_customer_id_fkey): ${why} > write \`block\``,
    )
  },
)

test('to detach rows their link may be updated, and nothing else of them', async () => {
  const [rule] = await fitting.fitted(purgeRule('crm.customer', references('free')))

  const needs = rule === undefined ? [] : needsOf(rule, true)

  expect(
    needs
      .filter(({ table, right }) => table.name === 'free' && right !== 'select')
      .map(({ right, columns }) => [right, ...columns]),
  ).toEqual([['update', 'customer_id']])
})

function logical(link: string): string {
  return purgeRule('crm.whole', `    logical: [${link}]\n`)
}

test.for([
  [
    '{ table: crm.asset, by: { owner: code }, as: block }',
    'link_types_differ: crm.asset.owner is integer, crm.whole.code is text',
  ],
  [
    '{ table: crm.asset, by: { owner_alias: code }, as: block }',
    'equality_unknown: crm.asset.owner_alias is public.citext, which the program cannot compare safely',
  ],
  [
    '{ table: crm.asset, by: { owner: id }, where: { knd: x }, as: block }',
    'column_missing: crm.asset has no column knd',
  ],
  ['{ table: crm.assets, by: { owner: id }, as: block }', 'not_a_table: crm.assets is a view'],
  [
    '{ table: crm.asset, to: crm.free, by: { owner: id }, as: block }',
    'reference_unused: crm.free is neither crm.whole nor a table that goes along',
  ],
] as const)('a logical link that cannot be followed is refused: %s', async ([link, problem]) => {
  const rule = logical(link).replace('start: started', 'start: { column: id, unit: seconds }')
  const problems = await fitting.problems(rule)

  expect(problems).toHaveLength(1)
  expect(problems[0]).toContain(problem)
})

test('the table of a logical link is closed to writers, and that of a foreign key is not', async () => {
  const rule = logical('{ table: crm.asset, by: { owner: id }, as: block }')
  const [loose] = await fitting.fitted(
    rule.replace('start: started', 'start: { column: id, unit: seconds }'),
  )
  const [kept] = await fitting.fitted(purgeRule('crm.customer', references('free')))

  expect(loose?.closed.map(({ name }) => name)).toEqual(['asset'])
  expect(kept?.closed).toEqual([])
})

test('a record that would wait for itself is refused with what to write instead', async () => {
  await fitting.run(`
    create table crm.desk (id int primary key, started date, main int);
    create table crm.drawer (id int primary key, desk_id int references crm.desk);
    alter table crm.desk add foreign key (main) references crm.drawer`)
  const problems = await fitting.problems(
    purgeRule('crm.desk', '    references: { crm.drawer: with_parent, crm.desk: block }\n'),
  )

  expect(problems).toEqual([
    'crm.yaml:11:54 reference_blocks_itself: crm.desk refers to crm.drawer, which goes along with it (desk_main_fkey): a record would wait for itself > write `crm.desk: detach` or `crm.desk: with_parent`',
  ])
})

test('a record that goes together with others cannot start at rows that go with them', async () => {
  await fitting.run(`
    create table crm.player (id int primary key);
    create table crm.match (
      id int primary key, home int references crm.player, guest int references crm.player, played date
    )`)
  const rule = purgeRule('crm.player', '    references: { crm.match: with_parent }\n').replace(
    'start: started',
    'start: { latest: crm.match.played, by: { home: id } }',
  )

  expect(await fitting.problems(rule)).toEqual([
    'crm.yaml:8:12 start_goes_along: the period starts at rows of crm.match, which may go along with other records of this rule > read the start from another table, or give the rows that go along a rule of their own',
  ])
})
