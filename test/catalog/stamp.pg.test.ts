import { expect, test } from 'vitest'
import { printTable } from '../../src/base/names.ts'
import { fingerprint } from '../../src/catalog/fingerprint.ts'
import { inspectTables } from '../../src/catalog/inspect.ts'
import { isStamped, takeStamp } from '../../src/catalog/stamp.ts'
import { openFitting, type Fitting } from './fitting.ts'

const NAMES = ['country', 'customer', 'contract', 'event'].map((name) => ({ schema: 'crm', name }))

async function openCrm(): Promise<Fitting> {
  return openFitting(`
    create schema crm;
    create domain crm.label as varchar(20) check (value <> '');
    create type crm.state as enum ('open', 'closed');
    create function crm.norm(label text) returns text immutable language sql as 'select lower(label)';
    create function crm.nothing() returns trigger language plpgsql as 'begin return new; end';
    create table crm.region (id int primary key);
    create table crm.country (id int primary key, region_id int references crm.region);
    create table crm.customer (id int primary key, country_id int, name crm.label, started date default now());
    create index lower_name on crm.customer (crm.norm(name));
    create table crm.contract (id int primary key, state crm.state, customer_id int references crm.customer, ended_on date);
    create trigger look after delete on crm.contract for each row execute function crm.nothing();
    create table crm.event (id int, at date not null, primary key (id, at)) partition by range (at);
    create table crm.event_1 partition of crm.event for values from ('2020-01-01') to ('2021-01-01');
    create table crm.event_2 (id int not null, at date not null);
    create table crm.survey (id int primary key, contract_id int);
    create publication everything`)
}

/** Each moves the fingerprint of the tables; ` // ` stands before what undoes it. */
const CHANGES = [
  'alter table crm.customer add phone text // alter table crm.customer drop phone',
  'alter table crm.customer rename name to label // alter table crm.customer rename label to name',
  'alter table crm.contract alter ended_on type timestamptz // alter table crm.contract alter ended_on type date',
  'alter table crm.customer alter started set not null // alter table crm.customer alter started drop not null',
  'alter table crm.customer add check (started is not null) // alter table crm.customer drop constraint customer_started_check',
  'alter table crm.customer add constraint one_name unique (name) // alter table crm.customer drop constraint one_name',
  'alter index crm.customer_pkey rename to names_customers // alter index crm.names_customers rename to customer_pkey',
  'alter table crm.customer add constraint fk foreign key (country_id) references crm.country // alter table crm.customer drop constraint fk',
  'create table crm.note (id int references crm.customer) // drop table crm.note',
  'alter table crm.survey add constraint fk foreign key (contract_id) references crm.contract // alter table crm.survey drop constraint fk',
  'alter table crm.contract disable trigger all // alter table crm.contract enable trigger all',
  'alter table crm.contract disable trigger look // alter table crm.contract enable trigger look',
  'create trigger copy after delete on crm.contract for each row execute function crm.nothing() // drop trigger copy on crm.contract',
  "create or replace function crm.nothing() returns trigger language plpgsql as 'begin return null; end' // create or replace function crm.nothing() returns trigger language plpgsql as 'begin return new; end'",
  'alter function crm.norm(text) rename to spelled // alter function crm.spelled(text) rename to norm',
  'alter domain crm.label rename to tag // alter domain crm.tag rename to label',
  'alter type crm.state rename to stage // alter type crm.stage rename to state',
  'create rule nope as on delete to crm.contract do instead nothing // drop rule nope on crm.contract',
  'alter table crm.customer enable row level security // alter table crm.customer disable row level security',
  'create table crm.heir () inherits (crm.customer) // drop table crm.heir',
  'alter schema crm rename to moved // alter schema moved rename to crm',
  'alter table crm.region rename to area // alter table crm.area rename to region',
  'alter table crm.region rename id to number // alter table crm.region rename number to id',
  'alter table crm.contract replica identity nothing; alter publication everything add table crm.contract // alter publication everything drop table crm.contract; alter table crm.contract replica identity default',
  'create trigger odd before update on crm.event_1 for each row execute function crm.nothing() // drop trigger odd on crm.event_1',
  'create rule odd as on delete to crm.event_1 do instead nothing // drop rule odd on crm.event_1',
  'alter table crm.event_1 enable row level security // alter table crm.event_1 disable row level security',
  'alter table crm.event_1 add foreign key (id) references crm.country // alter table crm.event_1 drop constraint event_1_id_fkey',
] as const

const INDIFFERENT = [
  'analyze crm.customer',
  'vacuum crm.customer',
  "insert into crm.customer values (1, null, 'A', '2020-01-01')",
  'create table crm.bystander (id int primary key)',
  'create temporary table passing (id int)',
]

test('whatever moves the fingerprint of tables moves their stamp', async () => {
  await using fitting = await openCrm()
  const { db } = fitting.connection
  const shapeOf = async (): Promise<string> => {
    const own = new Set(NAMES.map((name) => printTable(name)))
    const found = await inspectTables(db, NAMES)
    return fingerprint(found.filter((table) => own.has(printTable(table))))
  }
  const before = await shapeOf()
  const moved: (readonly [string, boolean, boolean])[] = []
  for (const statement of CHANGES) {
    const stamp = await takeStamp(db, NAMES)
    expect(await isStamped(db, stamp)).toBe(true)
    const [change, undo] = statement.split(' // ')
    await fitting.run(change ?? '')
    moved.push([statement, (await shapeOf()) !== before, !(await isStamped(db, stamp))])
    await fitting.run(undo ?? '')
    expect(await shapeOf()).toBe(before)
  }
  expect(moved).toEqual(CHANGES.map((statement) => [statement, true, true]))
})

test('a table that was dropped and made again has another stamp, and so has one with a new partition', async () => {
  await using fitting = await openCrm()
  const { db } = fitting.connection
  const stamp = await takeStamp(db, NAMES)
  await fitting.run(
    "alter table crm.event attach partition crm.event_2 for values from ('2021-01-01') to ('2022-01-01')",
  )
  expect(await isStamped(db, stamp)).toBe(false)

  const attached = await takeStamp(db, NAMES)
  await fitting.run(`
    drop table crm.contract;
    create table crm.contract (id int primary key, state crm.state, customer_id int references crm.customer, ended_on date)`)
  expect(await isStamped(db, attached)).toBe(false)
})

test('rows, statistics and other tables leave the stamp alone', async () => {
  await using fitting = await openCrm()
  const { db } = fitting.connection
  const stamp = await takeStamp(db, NAMES)
  for (const statement of INDIFFERENT) {
    await fitting.run(statement)
    expect([statement, await isStamped(db, stamp)]).toEqual([statement, true])
  }
})
