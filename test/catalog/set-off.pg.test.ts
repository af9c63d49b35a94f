import { afterAll, beforeAll, expect, test } from 'vitest'
import { setOffRemarks } from '../../src/plan/set-off.ts'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create function crm.nothing() returns trigger language plpgsql as 'begin return old; end';
    create table crm.customer (id int primary key, name text, born date, city text, started date);
    create trigger on_delete after delete on crm.customer for each statement execute function crm.nothing();
    create trigger on_insert after insert on crm.customer for each row execute function crm.nothing();
    create trigger on_name after update of name, city on crm.customer for each row execute function crm.nothing();
    create trigger "on.""any" before update or insert on crm.customer for each row execute function crm.nothing();
    create trigger asleep after delete on crm.customer for each row execute function crm.nothing();
    alter table crm.customer disable trigger asleep;
    create table crm.note (id int primary key, customer_id int references crm.customer);
    create trigger gone after delete on crm.note for each row execute function crm.nothing();

    create table crm.made (id int primary key, raw text, cooked text generated always as (raw || '!') stored, started date);
    create trigger on_cooked after update of cooked on crm.made for each row execute function crm.nothing();

    create table crm.published (id int not null unique, started date);
    create table crm.named (id int primary key, started date);
    create table crm.whole (id int not null unique, started date);
    alter table crm.whole replica identity full;
    create table crm.nameless (id int primary key, started date);
    alter table crm.nameless replica identity nothing;
    create table crm.inserts (id int not null unique, started date);
    create unlogged table crm.unlogged (id int not null unique, started date);
    create table crm.parted (id int not null, started date, unique (id)) partition by list (id);
    create table crm.part partition of crm.parted for values in (1);
    create publication deletes for table crm.published, crm.named, crm.whole, crm.nameless, crm.parted;
    create publication inserts for table crm.inserts with (publish = 'insert');

    create function crm.is_fit(int) returns boolean immutable language sql as 'select true';
    create function crm.code(text) returns text immutable language sql as 'select $1';
    create domain crm.score as int check (crm.is_fit(value));
    create table crm.odd (
      id int primary key, started date, score crm.score, name text default crm.code('x'),
      label text generated always as (crm.code('y')) stored,
      constraint fit check (crm.is_fit(id))
    );
    create index odd_name on crm.odd (crm.code(name));
    create index odd_plain on crm.odd (lower(name))`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

const ALONG = '    references: { crm.note: with_parent }\n'

function maskRule(table: string, masks: string, more = ''): string {
  return purgeRule(table, more).replace('then: purge', `then: { anonymise: { ${masks} } }`)
}

test('a deletion fires delete triggers, also of what goes along, and each has to be named', async () => {
  expect(await fitting.problems(purgeRule('crm.customer', ALONG))).toEqual([
    'crm.yaml:7:12 trigger_unacknowledged: trigger on_delete of crm.customer would fire: after delete, for each statement, it calls crm.nothing() > read the function; if that may happen, write `triggers: { acknowledge: [on_delete, crm.note.gone] }`',
    'crm.yaml:11:29 trigger_unacknowledged: trigger gone of crm.note would fire: after delete, for each row, it calls crm.nothing() > read the function; if that may happen, write `triggers: { acknowledge: [on_delete, crm.note.gone] }`',
  ])
  const named = '    triggers: { acknowledge: [on_delete, crm.note.gone] }\n'
  expect(await fitting.problems(purgeRule('crm.customer', ALONG + named))).toEqual([])
})

test('an anonymisation fires update triggers, those of columns only if it writes one of them', async () => {
  const kept = 'started: { keep: x }'
  const fired = async (masks: string) =>
    (await fitting.problems(maskRule('crm.customer', `${masks}, ${kept}`, ALONG))).flatMap(
      (problem) => /trigger (.*) of crm.customer would/.exec(problem)?.[1] ?? [],
    )

  expect(await fired('name: nothing, born: nothing, city: { keep: x }')).toEqual([
    '"on.""any"',
    'on_name',
  ])
  expect(await fired('name: { keep: x }, born: nothing, city: { keep: x }')).toEqual(['"on.""any"'])
})

test('a trigger on a generated column fires for an update of what it is made of', async () => {
  expect(
    await fitting.problems(maskRule('crm.made', 'raw: nothing, started: { keep: x }')),
  ).toEqual([
    'crm.yaml:7:12 trigger_unacknowledged: trigger on_cooked of crm.made would fire: after update of cooked, for each row, it calls crm.nothing() > read the function; if that may happen, write `triggers: { acknowledge: [on_cooked] }`',
  ])
})

test('an acknowledged trigger that is not there is refused', async () => {
  const named =
    '    triggers: { acknowledge: [on_delete, crm.note.gone, on_delet, asleep, crm.made.on_cooked] }\n'
  expect(await fitting.problems(purgeRule('crm.customer', ALONG + named))).toEqual([
    'crm.yaml:12:57 trigger_missing: crm.customer has no enabled trigger on_delet > did you mean on_delete?',
    'crm.yaml:12:67 trigger_missing: crm.customer has no enabled trigger asleep > remove it',
    'crm.yaml:12:75 trigger_missing: the rule does not act on crm.made > remove it: only triggers of the governed table and of those that go along fire',
  ])
})

test.for(['crm.published', 'crm.nameless', 'crm.parted'])(
  'a rule about %s is refused: PostgreSQL would not delete rows that nothing names for a subscriber',
  async (table) => {
    expect(await fitting.problems(purgeRule(table))).toEqual([
      `crm.yaml:7:12 replica_identity_missing: PostgreSQL would refuse the delete: ${table} is published by deletes and has no replica identity > alter table ${table} replica identity full, or give it a primary key`,
    ])
    await expect(fitting.run(`delete from ${table} where id = 1`)).rejects.toMatchObject({
      code: '55000',
    })
  },
)

test.for(['crm.named', 'crm.whole', 'crm.inserts', 'crm.unlogged'])(
  'a rule about %s fits: its deletions can be published, or are not',
  async (table) => {
    expect(await fitting.problems(purgeRule(table))).toEqual([])
    await fitting.run(`delete from ${table} where id = 1`)
  },
)

test('functions of the application that PostgreSQL calls by itself are remarks of the plan', async () => {
  const [rule] = await fitting.fitted(purgeRule('crm.odd'))
  const remarks = rule === undefined ? [] : setOffRemarks(rule)

  expect(remarks.map(({ message }) => message).toSorted()).toEqual([
    'check fit of crm.odd calls crm.is_fit()',
    'check score_check of crm.odd calls crm.is_fit()',
    'default of name of crm.odd calls crm.code()',
    'generated column label of crm.odd calls crm.code()',
    'index odd_name of crm.odd calls crm.code()',
  ])
})
