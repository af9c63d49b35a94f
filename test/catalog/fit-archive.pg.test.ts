import { afterAll, beforeAll, expect, test } from 'vitest'
import { missingArchives } from '../../src/catalog/fit-archive.ts'
import { needsOf, renderGrants } from '../../src/catalog/needs.ts'
import { openFitting, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create schema store;
    create table crm.person (id int primary key, name varchar(40), started date);
    create table crm.note (id int primary key, person_id int references crm.person, body text);
    create function crm.nothing() returns trigger language plpgsql as 'begin return new; end'`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

const rule = (archive: string, along = ''): string => `  - id: person
    table: crm.person
    start: started
    then:
      - after: 1 year
        block: { archive: ${archive}${along} }
      - after: 2 years
        purge: true
    references: { crm.note: ${along === '' ? 'own_rule' : 'with_parent'} }
${along === '' ? '  - { id: note, table: crm.note, start: body, keep: 1 year, then: purge }\n' : ''}`

test('an archive has the columns and the key of its table, and nothing that fires or shows elsewhere', async () => {
  await fitting.run("alter table crm.note alter body type date using '2001-01-01'::date")
  const like = 'create table store.person (like crm.person)'
  const keyed = `${like}; alter table store.person add primary key (id)`
  const said: (string | undefined)[] = []
  for (const made of [
    'select 1',
    like,
    `${keyed}, drop column name`,
    `${keyed}, add column moved_at date`,
    `${keyed}, alter name type text`,
    `${like}; alter table store.person add primary key (id, started)`,
    'create table store.person (id int generated always as identity primary key, name varchar(40), started date)',
    'create table store.person (primary key (id)) inherits (crm.person)',
    `${keyed}; create trigger t before insert on store.person for each row execute function crm.nothing()`,
    `${keyed}; create table crm.reader (person_id int references store.person)`,
    'create view store.person as select * from crm.person',
    keyed,
  ]) {
    await fitting.run(made)
    said.push(
      (await fitting.problems(rule('store.person')))[0]?.replace(/^[^ ]+ /, '').split(' > ')[0],
    )
    await fitting.run(
      `drop table if exists crm.reader; drop ${made.startsWith('create view') ? 'view' : 'table'} if exists store.person`,
    )
  }
  expect(said).toEqual([
    'archive_missing: there is no table store.person',
    'archive_differs: store.person is not named by id',
    'archive_differs: store.person has no column name',
    'archive_differs: store.person has a column moved_at of its own',
    'archive_differs: store.person has name of type text, not character varying(40)',
    'archive_differs: store.person is not named by id',
    'archive_differs: store.person generates id by itself',
    'inheritance_present: store.person inherit from crm.person: their rows show in it, and are not its own',
    'archive_differs: store.person has triggers: t',
    'archive_referenced: crm.reader refers to store.person (foreign key reader_person_id_fkey)',
    'not_a_table: store.person is a view',
    undefined,
  ])
})

test('what goes along needs an archive that refers to that of its parent', async () => {
  const along = ', along: { crm.note: store.note }'
  await fitting.run(`
    create table store.person (like crm.person, primary key (id));
    create table store.note (like crm.note, primary key (id))`)

  expect(await fitting.problems(rule('store.person', along))).toContainEqual(
    expect.stringContaining(
      'archive_foreign_key_missing: store.note does not refer to store.person as crm.note does to crm.person > alter table store.note add foreign key (person_id) references store.person (id);',
    ),
  )
  await fitting.run('drop table store.note, store.person')
})

test('the SQL that is suggested makes archives that fit, and grants say what is needed there', async () => {
  const rules = rule('"Archive".person', ', along: { crm.note: "Archive".note }').replaceAll(
    /("Archive".\w+)/g,
    "'$1'",
  )
  const { set, catalog } = await fitting.catalogOf(rules)
  const made = missingArchives(set, catalog)
  await fitting.run(made)

  const fitted = await fitting.fitted(rules)
  const block = fitted.find(({ rule: { id } }) => id === 'person.block')
  const grants = renderGrants(block === undefined ? [] : needsOf(block, true), 'daemon')

  expect(made).toContain('create table "Archive".note (like crm.note);')
  expect(missingArchives(set, (await fitting.catalogOf(rules)).catalog)).toBe('')
  expect(fitted.map(({ rule: { id } }) => id)).toEqual([
    'person.block',
    'person.purge',
    'person.purge.archive',
  ])
  expect(grants).toContain('grant insert (body, id, person_id) on "Archive".note to daemon;')
  expect(grants).toContain('grant delete on crm.person to daemon;')
  expect(grants).not.toContain('grant delete on "Archive"')
})
