import { afterAll, beforeAll, expect, test } from 'vitest'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm; create schema shop; create schema retentiond;
    create table crm.customer (id int primary key, started date);
    create table shop.zebra_crossing (id int primary key, started date);
    create table retentiond.entry (id int primary key, started date);
    create view crm.customers as select * from crm.customer;
    create materialized view crm.customer_sums as select * from crm.customer;
    create foreign data wrapper nowhere;
    create server elsewhere foreign data wrapper nowhere;
    create foreign table crm.remote (id int, started date) server elsewhere;
    create sequence crm.numbers;
    create table crm.measure (id int, started date, primary key (id, started)) partition by range (started);
    create table crm.measure_all partition of crm.measure default;
    create table crm.parent (id int primary key, started date);
    create table crm.heir (primary key (id)) inherits (crm.parent);

    create table crm.keyless (id int, started date);
    create table crm.half_key (id int unique, started date);
    create table crm.partial_key (id int not null, started date);
    create unique index on crm.partial_key (id) where started is not null;
    create table crm.late_key (id int not null unique deferrable initially deferred, started date);
    create table crm.unique_key (id int not null unique, started date);

    create function crm.nothing() returns trigger language plpgsql as 'begin return new; end';
    create table crm.triggered (id int primary key, started date);
    create trigger keep_copy after delete on crm.triggered for each row execute function crm.nothing();
    create trigger audit before update on crm.triggered for each row execute function crm.nothing();
    create table crm.calm (id int primary key, started date);
    create trigger asleep after delete on crm.calm for each row execute function crm.nothing();
    alter table crm.calm disable trigger asleep;
    create table crm.replica_only (id int primary key, started date);
    create trigger far after delete on crm.replica_only for each row execute function crm.nothing();
    alter table crm.replica_only enable replica trigger far;
    create table crm.rewritten (id int primary key, started date);
    create rule keep_all as on delete to crm.rewritten do instead nothing;
    create table crm.hidden (id int primary key, started date);
    alter table crm.hidden enable row level security`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

test.for([
  [
    'crm.custmer',
    'table_missing: there is no table crm.custmer in database DB > did you mean crm.customer or crm.customers?',
  ],
  [
    'crm.zebra_crossing',
    'table_missing: there is no table crm.zebra_crossing in database DB > did you mean shop.zebra_crossing?',
  ],
  ['crm.Calm', 'table_missing: there is no table crm.Calm in database DB > did you mean crm.calm?'],
  ['crm.zzzzzzzz', 'table_missing: there is no table crm.zzzzzzzz in database DB > nothing'],
  ['crm.numbers', 'table_missing: there is no table crm.numbers in database DB > nothing'],
  [
    'crm.customers',
    'not_a_table: crm.customers is a view > name the table below it: rows of a view are not stored',
  ],
  [
    'crm.customer_sums',
    'not_a_table: crm.customer_sums is a materialized view > name the table below it: rows of a view are not stored',
  ],
  [
    'crm.remote',
    'not_a_table: crm.remote is a foreign table > enforce retention where the rows are stored',
  ],
  [
    'crm.measure_all',
    'partition_named: crm.measure_all is a partition of crm.measure > name crm.measure: a row may move to another partition, and stays the same row',
  ],
  [
    'crm.parent',
    'inheritance_present: crm.heir inherit from crm.parent: their rows show in it, and are not its own > write `inheritance: only` to govern its own rows, and rules for the others',
  ],
  [
    'retentiond.entry',
    "own_schema: retentiond.entry is the program's own table > rules never govern it",
  ],
  [
    'pg_catalog.pg_class',
    'system_table: pg_catalog.pg_class belongs to PostgreSQL > name a table of the application',
  ],
  [
    'pg_temp.scratch',
    'system_table: pg_temp.scratch belongs to PostgreSQL > name a table of the application',
  ],
  [
    'information_schema.tables',
    'system_table: information_schema.tables belongs to PostgreSQL > name a table of the application',
  ],
  [
    'crm.triggered',
    'trigger_unacknowledged: trigger keep_copy of crm.triggered would fire: after delete, for each row, it calls crm.nothing() > read the function; if that may happen, write `triggers: { acknowledge: [keep_copy] }`',
  ],
  [
    'crm.rewritten',
    'rewrite_rules_present: crm.rewritten has rewrite rules: keep_all > a rewrite rule turns a statement into another one; drop it or leave the table out',
  ],
  [
    'crm.hidden',
    'row_security_active: row security on crm.hidden applies to our role: rows could be hidden from the count > give the role BYPASSRLS, or leave the table out',
  ],
] as const)('a rule about %s is refused at its table, with the reason', async ([table, said]) => {
  expect(await fitting.problems(purgeRule(table))).toEqual([
    `crm.yaml:7:12 ${said.replace('DB', fitting.database.name)}`,
  ])
})

test.for(['crm.keyless', 'crm.half_key', 'crm.partial_key', 'crm.late_key'])(
  'a rule about %s is refused: no key names each of its rows at once',
  async (table) => {
    expect(await fitting.problems(purgeRule(table))).toEqual([
      `crm.yaml:7:12 key_missing: ${table} has neither a primary key nor a unique key of columns that are not null > a row without a key cannot be named: alter table ${table} add primary key (…)`,
    ])
  },
)

test.for(['crm.customer', 'crm.unique_key', 'crm.calm', 'crm.replica_only', 'crm.heir'])(
  'a rule about %s fits: a key names its rows and no trigger fires',
  async (table) => {
    const [rule] = await fitting.fitted(purgeRule(table))
    expect(rule?.key).toEqual([{ name: 'id', type: { schema: 'pg_catalog', name: 'int4' } }])
  },
)

test('a column that is not there is reported where the rule names it, with the nearest names', async () => {
  const said = await fitting.problems(`  - id: rule
    table: crm.customer
    where: { any: [{ idd: 1 }, { started: null }], strated: { not: null } }
    start: startet
    keep: 1 year
    then: { anonymise: { colour: nothing, started: { keep: decides } } }
`)
  expect(said).toEqual([
    'crm.yaml:8:5 column_missing: crm.customer has no column idd > did you mean id?',
    'crm.yaml:8:61 column_missing: crm.customer has no column strated > did you mean started?',
    'crm.yaml:9:12 column_missing: crm.customer has no column startet > did you mean started?',
    'crm.yaml:11:34 column_missing: crm.customer has no column colour > its columns are id, started',
  ])
})

test('every rule of the set is heard before it is refused', async () => {
  const said =
    await fitting.problems(`  - { id: a, table: crm.customers, start: started, keep: 1 year, then: purge }
  - { id: b, table: crm.keyless, start: begun, keep: 1 year, then: purge }
  - { id: c, table: crm.calm, start: started, keep: 1 year, then: purge }
`)
  expect(said.map((problem) => problem.split(':', 4).slice(0, 3).join(':'))).toEqual([
    'crm.yaml:6:21 not_a_table',
    'crm.yaml:7:21 key_missing',
    'crm.yaml:7:41 column_missing',
  ])
})
