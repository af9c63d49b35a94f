import { expect, test } from 'vitest'
import { openFitting } from './fitting.ts'

/** Types whose equality PostgreSQL only finds through a search path, which a batch does not have. */
const SCHEMA = `
  create extension citext;
  create schema crm;
  create domain crm.short as text;
  create domain crm.loud as citext;
  create type crm.mood as enum ('fair', 'foul');
  create table crm.person (id int primary key, email citext unique not null, loud crm.loud, short crm.short unique, mood crm.mood unique, started date);
  create table crm.letter (id int primary key, email citext, loud crm.loud, short crm.short, mood crm.mood, sent date);
  create table crm.account (name citext primary key, started date);
  create table crm.parent (id int primary key, name citext unique, started date);
  create table crm.child (id int primary key, parent citext references crm.parent (name) on delete cascade)`

const rule = (table: string, start: string, more = '') => `  - id: rule
    table: ${table}
    start: ${start}
    keep: 1 year
    then: purge
${more}`

test('what is compared has a type whose equality needs no search path', async () => {
  await using fitting = await openFitting(SCHEMA)
  const linked = (column: string) =>
    fitting.problems(
      rule('crm.person', `{ latest: crm.letter.sent, by: { ${column}: ${column} } }`),
    )

  expect(await linked('email')).toEqual(
    ['crm.letter.email', 'crm.person.email'].map(
      (column) =>
        `crm.yaml:8:52 equality_unknown: ${column} is public.citext, which the program cannot compare safely > link, key and filter by columns of types that PostgreSQL itself has`,
    ),
  )
  expect(await linked('loud')).toHaveLength(2)
  expect(await linked('short')).toEqual([])
  expect(await linked('mood')).toEqual([])
  expect(await fitting.problems(rule('crm.account', 'started'))).toHaveLength(1)
  expect(
    await fitting.problems(
      rule('crm.parent', 'started', '    references: { crm.child: with_parent }\n'),
    ),
  ).toHaveLength(1)
  expect(
    await fitting.problems(rule('crm.person', 'started', '    where: { email: a@example.org }\n')),
  ).toHaveLength(1)
  expect(await fitting.problems(rule('crm.person', 'started'))).toEqual([])
})
