import { expect, test } from 'vitest'
import { fingerprint } from '../../src/catalog/fingerprint.ts'
import { inspectCatalog } from '../../src/catalog/inspect.ts'
import { connect } from '../../src/db/connect.ts'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

const RULES = purgeRule('crm.customer', '    references: { crm.contract: with_parent }\n')

async function openCrm(): Promise<Fitting> {
  return openFitting(`
    create schema crm;
    create table crm.country (id int primary key);
    create table crm.customer (id int primary key, country_id int, name varchar(20), started date);
    create table crm.contract (id int primary key, customer_id int references crm.customer, ended_on date);
    create table crm.bystander (id int primary key);
    create function crm.nothing() returns trigger language plpgsql as 'begin return new; end';
    insert into crm.customer values (1, null, 'A', '2020-01-01')`)
}

async function shapeOf(fitting: Fitting): Promise<string> {
  const { catalog } = await fitting.catalogOf(RULES)
  return fingerprint([...catalog.tables.values()])
}

/** The fingerprint before and after each statement, which is undone. */
async function moves(fitting: Fitting, statements: readonly string[]): Promise<readonly string[]> {
  const before = await shapeOf(fitting)
  const moved: string[] = []
  for (const statement of statements) {
    const [change, undo] = statement.split(' // ')
    await fitting.run(change ?? '')
    if ((await shapeOf(fitting)) !== before) moved.push(statement)
    await fitting.run(undo ?? '')
  }
  return moved
}

const CHANGES = [
  'alter table crm.customer add phone text // alter table crm.customer drop phone',
  'alter table crm.customer rename name to label // alter table crm.customer rename label to name',
  'alter table crm.customer alter name type varchar(30) // alter table crm.customer alter name type varchar(20)',
  'alter table crm.customer alter name set not null // alter table crm.customer alter name drop not null',
  'alter table crm.customer alter name type text // alter table crm.customer alter name type varchar(20)',
  'alter table crm.customer add constraint one_name unique (name) // alter table crm.customer drop constraint one_name',
  'alter table crm.customer add constraint fk foreign key (country_id) references crm.country // alter table crm.customer drop constraint fk',
  'create table crm.note (id int references crm.customer) // drop table crm.note',
  'alter table crm.contract disable trigger all // alter table crm.contract enable trigger all',
  'create trigger copy after delete on crm.contract for each row execute function crm.nothing() // drop trigger copy on crm.contract',
  'create rule nope as on delete to crm.contract do instead nothing // drop rule nope on crm.contract',
  'alter table crm.customer enable row level security // alter table crm.customer disable row level security',
  'create table crm.heir () inherits (crm.customer) // drop table crm.heir',
  'alter table crm.contract drop constraint contract_customer_id_fkey; alter table crm.contract add constraint contract_customer_id_fkey foreign key (customer_id) references crm.customer on delete cascade // alter table crm.contract drop constraint contract_customer_id_fkey; alter table crm.contract add constraint contract_customer_id_fkey foreign key (customer_id) references crm.customer',
] as const

const INDIFFERENT = [
  'create index customer_name on crm.customer (name) // drop index crm.customer_name',
  "comment on table crm.customer is 'people' // comment on table crm.customer is null",
  "comment on column crm.customer.name is 'of a person' // comment on column crm.customer.name is null",
  'analyze crm.customer // analyze crm.contract',
  'vacuum full crm.customer // select 1',
  'grant select on crm.customer to public // revoke select on crm.customer from public',
  'grant update (name) on crm.customer to public // revoke update (name) on crm.customer from public',
  "insert into crm.customer values (2, null, 'B', '2021-01-01') // delete from crm.customer where id = 2",
  'alter table crm.customer alter name set default 1 // alter table crm.customer alter name drop default',
  'alter table crm.bystander add phone text // alter table crm.bystander drop phone',
  'create trigger copy after delete on crm.contract for each row execute function crm.nothing(); alter table crm.contract disable trigger copy // drop trigger copy on crm.contract',
] as const

test('whatever changes what a statement does to a table gives it another fingerprint', async () => {
  await using fitting = await openCrm()
  expect(await moves(fitting, CHANGES)).toEqual(CHANGES)
})

test('what changes no meaning leaves the fingerprint alone', async () => {
  await using fitting = await openCrm()
  expect(await moves(fitting, INDIFFERENT)).toEqual([])
})

test('a table that was dropped and made again is another one', async () => {
  await using fitting = await openCrm()
  const before = await shapeOf(fitting)
  await fitting.run(`
    drop table crm.contract;
    create table crm.contract (id int primary key, customer_id int references crm.customer, ended_on date)`)
  expect(await shapeOf(fitting)).not.toBe(before)
})

test('another role and another session see the same shape', async () => {
  await using fitting = await openCrm()
  const before = await shapeOf(fitting)
  await fitting.run(`
    alter role ${fitting.role} set search_path = crm;
    alter role ${fitting.role} set datestyle = 'German';
    alter role ${fitting.role} set quote_all_identifiers = on;
    grant all on schema crm to ${fitting.role};
    grant all on all tables in schema crm to ${fitting.role}`)
  await using other = connect(fitting.database.urlOf(fitting.role))
  const catalog = await inspectCatalog(other.db, [
    { schema: 'crm', name: 'customer' },
    { schema: 'crm', name: 'contract' },
  ])
  expect(fingerprint([...catalog.tables.values()])).toBe(before)
})
