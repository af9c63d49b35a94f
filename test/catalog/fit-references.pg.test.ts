import { afterAll, beforeAll, expect, test } from 'vitest'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create table crm.customer (id int primary key, started date);
    create table crm.contract (id int primary key, note text, customer_id int references crm.customer, started date);
    create table crm.invoice (id int primary key, contract_id int references crm.contract on delete cascade, started date);
    create table crm.line (id int primary key, invoice_id int references crm.invoice, customer_id int references crm.customer);
    create table crm.stray (id int primary key, started date);

    create table crm.house (id int primary key, started date);
    create table crm.unchecked (id int primary key, house_id int);
    alter table crm.unchecked add foreign key (house_id) references crm.house not valid;
    create table crm.asleep (id int primary key, house_id int references crm.house);
    alter table crm.asleep disable trigger all;

    create table crm.town (id int primary key, started date);
    create table crm.street (town_id int references crm.town);
    create table crm.post (id int primary key, town_id int references crm.town);
    create function crm.nothing() returns trigger language plpgsql as 'begin return new; end';
    create trigger copy after delete on crm.post for each row execute function crm.nothing();
    create table crm.sensor (id int, town_id int references crm.town, primary key (id)) partition by hash (id);

    create table crm.person (id int primary key, boss_id int references crm.person, started date);
    create table crm.hen (id int primary key, started date);
    create table crm.egg (id int primary key, hen_id int references crm.hen, of_id int);
    create table crm.chick (id int primary key, egg_id int references crm.egg);
    alter table crm.egg add foreign key (of_id) references crm.chick`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

async function problems(table: string, references: string): Promise<readonly string[]> {
  return fitting.problems(
    purgeRule(table, references === '' ? '' : `    references: ${references}\n`),
  )
}

function undeclared(name: string, parent: string, key: string): string {
  return `reference_undeclared: ${name} refers to ${parent} (foreign key ${key}) and is not declared > add \`${name}: own_rule\` (its rows have a rule of their own), \`with_parent\` (they go along), \`detach\` (their link becomes null) or \`block\` (the record stays)`
}

test('a rule is refused that is silent about a table that refers to its own', async () => {
  expect(await problems('crm.customer', '')).toEqual([
    `crm.yaml:6:5 ${undeclared('crm.contract', 'crm.customer', 'contract_customer_id_fkey')}`,
    `crm.yaml:6:5 ${undeclared('crm.line', 'crm.customer', 'line_customer_id_fkey')}`,
  ])
})

test('what refers to a table that goes along is declared too, however deep', async () => {
  expect(
    await problems('crm.customer', '{ crm.contract: with_parent, crm.line: with_parent }'),
  ).toEqual([
    `crm.yaml:11:17 ${undeclared('crm.invoice', 'crm.contract', 'invoice_contract_id_fkey')}`,
  ])
  expect(await problems('crm.contract', '{ crm.invoice: with_parent }')).toEqual([
    `crm.yaml:11:17 ${undeclared('crm.line', 'crm.invoice', 'line_invoice_id_fkey')}`,
  ])
})

test('each child comes after the tables that it refers to', async () => {
  const [rule] = await fitting.fitted(
    purgeRule(
      'crm.contract',
      '    references: { crm.line: with_parent, crm.invoice: with_parent }\n',
    ),
  )
  expect(
    rule?.children.map(({ table, foreignKeys }) => [
      table.name,
      ...foreignKeys.map((key) => key.to.name),
    ]),
  ).toEqual([
    ['invoice', 'contract'],
    ['line', 'invoice'],
  ])
  expect(rule?.blockers).toEqual([])
})

test('rows with a rule of their own hinder a purge, and not an anonymisation', async () => {
  const rules = (then: string) => `  - id: contract
    table: crm.contract
    start: started
    keep: 1 year
    then: ${then}
    references: { crm.invoice: own_rule }
  - id: invoice
    table: crm.invoice
    start: started
    keep: 1 year
    then: purge
    references: { crm.line: with_parent }
`
  const [purging] = await fitting.fitted(rules('purge'))
  const [masking] = await fitting.fitted(
    rules('{ anonymise: { note: nothing, started: { keep: it decides } } }'),
  )

  expect(purging?.blockers.map(({ key }) => key.name)).toEqual(['invoice_contract_id_fkey'])
  expect(masking?.blockers).toEqual([])
})

test('a reference without a foreign key is refused, so that nobody relies on it', async () => {
  expect(await problems('crm.stray', '{ crm.contract: with_parent }')).toEqual([
    'crm.yaml:11:33 reference_unused: crm.contract has no foreign key to crm.stray or to a table that goes along > remove it, or declare the link under `logical`',
  ])
})

test('a foreign key that is not enforced is refused: rows could appear while their parent goes', async () => {
  const refused = (name: string) =>
    `foreign_key_not_enforced: foreign key ${name}_house_id_fkey of crm.${name} is not enforced: rows could appear while their parent goes > validate it and enable its triggers, or drop it and declare the link under \`logical\``
  expect(
    await problems('crm.house', '{ crm.unchecked: with_parent, crm.asleep: with_parent }'),
  ).toEqual([`crm.yaml:11:59 ${refused('asleep')}`, `crm.yaml:11:34 ${refused('unchecked')}`])
})

test('a child is as governable as the table of a rule', async () => {
  expect(
    await problems(
      'crm.town',
      '{ crm.street: with_parent, crm.post: with_parent, crm.sensor: with_parent }',
    ),
  ).toEqual([
    'crm.yaml:11:31 key_missing: crm.street has neither a primary key nor a unique key of columns that are not null > a row without a key cannot be named: alter table crm.street add primary key (…)',
    'crm.yaml:11:54 trigger_unacknowledged: trigger copy of crm.post would fire: after delete, for each row, it calls crm.nothing() > read the function; if that may happen, write `triggers: { acknowledge: [crm.post.copy] }`',
  ])
})

test('tables that refer to each other go along together', async () => {
  const [rule] = await fitting.fitted(
    purgeRule('crm.hen', '    references: { crm.egg: with_parent, crm.chick: with_parent }\n'),
  )
  expect(
    rule?.children.map(({ table, foreignKeys }) => [
      table.name,
      ...foreignKeys.map((key) => key.to.name),
    ]),
  ).toEqual([
    ['egg', 'hen', 'chick'],
    ['chick', 'egg'],
  ])
})

test('a table that refers to itself waits for its own rows', async () => {
  expect(await problems('crm.person', '')).toEqual([
    `crm.yaml:6:5 ${undeclared('crm.person', 'crm.person', 'person_boss_id_fkey')}`,
  ])
  const [rule] = await fitting.fitted(
    purgeRule('crm.person', '    references: { crm.person: own_rule }\n'),
  )
  expect(rule?.blockers.map(({ table }) => table.name)).toEqual(['person'])
})
