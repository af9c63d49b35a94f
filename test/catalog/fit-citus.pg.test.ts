/** Citus itself is not here: its catalog is, in a database of its own, as Citus 13 lays it out. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

let fitting: Fitting

/** A superuser may make tables in pg_catalog once this is on; the file's database is dropped after it. */
const CITUS = `
  set allow_system_table_mods = on;
  create table pg_catalog.pg_dist_partition (
    logicalrelid regclass, partmethod "char", partkey text, colocationid int, repmodel "char"
  );
  grant select on pg_catalog.pg_dist_partition to public;
  create function pg_catalog.column_to_column_name(regclass, text) returns text
    language sql strict as 'select $2';
  insert into pg_catalog.pg_dist_partition values
    ('crm.event', 'h', 'tenant', 3, 's'),
    ('crm.note', 'h', 'tenant', 3, 's'),
    ('crm.country', 'n', null, 5, 't'),
    ('crm.tenant_own', 'n', null, 7, 's'),
    ('crm.managed', 'n', null, 0, 's'),
    ('crm.measure_all', 'h', 'id', 9, 's')`

const INSTALLED = `
  insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  values (99999, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.2')`

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm; create schema retentiond;
    create table crm.event (tenant int, id int, started date, primary key (tenant, id));
    create table crm.country (id int primary key, started date);
    create table crm.tenant_own (id int primary key, started date);
    create table crm.managed (id int primary key, started date);
    create table crm.calm (id int primary key, started date);
    create table crm.person (id int primary key, started date);
    create table crm.note (tenant int, id int references crm.person, primary key (tenant, id));
    create table crm.measure (id int, started date, primary key (id, started)) partition by range (started);
    create table crm.measure_all partition of crm.measure default`)
  await fitting.run(CITUS)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

const REMEDY = 'leave the table out, or undistribute it; docs/scale.md says what is refused and why'

test('the catalog of Citus is read only where the extension is installed', async () => {
  await expect(fitting.problems(purgeRule('crm.event'))).resolves.toEqual([])

  await fitting.run(INSTALLED)
  const { catalog } = await fitting.catalogOf(purgeRule('crm.event'))

  expect(Object.fromEntries(catalog.placements)).toMatchObject({
    'crm.event': { kind: 'distributed', distributionColumn: 'tenant', colocation: 3 },
    'crm.country': { kind: 'reference', distributionColumn: null, colocation: 5 },
    'crm.tenant_own': { kind: 'single shard', distributionColumn: null, colocation: 7 },
    'crm.managed': { kind: 'managed', distributionColumn: null, colocation: 0 },
  })
})

test.for([
  [
    'crm.event',
    'citus_distributed: crm.event is distributed by Citus, by tenant (colocation group 3): its rows cannot be locked before they are decided about, since Citus locks no rows across shards',
  ],
  [
    'crm.country',
    'citus_reference: crm.country is a reference table of Citus: each machine has a copy, and a row lies elsewhere in each, so that a range of places names other rows on each',
  ],
  [
    'crm.tenant_own',
    'citus_distributed: crm.tenant_own is one shard of Citus (colocation group 7), on a machine of its own: no statement can ask it together with the holds, which are on the coordinator',
  ],
  [
    'crm.managed',
    'citus_managed: crm.managed is a local table that Citus manages: its rows are in a shard, and the table that statements name has none',
  ],
  [
    'crm.measure',
    'citus_distributed: crm.measure_all is distributed by Citus, by id (colocation group 9): its rows cannot be locked before they are decided about, since Citus locks no rows across shards',
  ],
] as const)('Citus refuses a rule on %s', async ([table, problem]) => {
  const [found = '', ...others] = await fitting.problems(purgeRule(table))

  expect(found.replace(/^\S+ /, '')).toBe(`${problem} > ${REMEDY}`)
  expect(others).toEqual([])
})

test('a rule on a local table is refused for a distributed table that refers to it', async () => {
  const rule = purgeRule('crm.person', '    references: { crm.note: with_parent }\n')

  const problems = await fitting.problems(rule)

  expect(problems).toEqual([expect.stringContaining('citus_distributed: crm.note is distributed')])
})

test('a local table beside the tables of Citus is governed as ever', async () => {
  await expect(fitting.problems(purgeRule('crm.calm'))).resolves.toEqual([])
})

test('own tables that Citus has taken over refuse every policy', async () => {
  await fitting.run(
    `insert into pg_catalog.pg_dist_partition values ('retentiond.hold', 'n', null, 5, 't')`,
  )

  const problems = await fitting.problems(purgeRule('crm.calm'))

  expect(problems).toEqual([
    expect.stringContaining(
      'citus_own_tables: Citus has taken over tables of the program: retentiond.hold',
    ),
  ])
})
