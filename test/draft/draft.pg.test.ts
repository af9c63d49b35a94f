import { afterAll, beforeAll, expect, test } from 'vitest'
import { inspectCatalog } from '../../src/catalog/inspect.ts'
import { listTables } from '../../src/catalog/inspect-scope.ts'
import type { Draft } from '../../src/draft/draft.ts'
import { settleDraft, type Settled } from '../../src/draft/settle.ts'
import { openFitting, type Fitting } from '../catalog/fitting.ts'

const SCHEMA = `
  create schema shop;
  create table shop.customer (
    id bigint primary key,
    created_at timestamptz not null,
    updated_at timestamptz,
    "Prénom" text not null,
    e_mail varchar(40) not null unique,
    telephone varchar(20),
    birth_date date not null,
    last_ip inet not null,
    badge varchar(4) not null unique,
    tier text,
    gender char(1) not null,
    photo bytea not null);
  create table shop.invoice (
    id bigint primary key, customer_id bigint references shop.customer, issued_on date not null);
  create table shop.line (id bigint primary key, invoice_id bigint references shop.invoice);

  create table shop.country (code text primary key, label text);
  create table shop.employee (id int primary key, first_name text, boss int references shop.employee);
  create table shop.shift (id int primary key, employee int references shop.employee, day date);
  create table shop.history (id bigint primary key, logged_at timestamptz);
  create table shop.click (id bigint primary key, made_at bigint not null, amount bigint);
  create view shop.everyone as select id from shop.customer;
  create function shop.note() returns trigger language plpgsql as 'begin return old; end';
  create trigger note before delete on shop.history for each row execute function shop.note();
  create trigger "odd name" before update on shop.customer for each row execute function shop.note();
  create schema "Odd";
  create table "Odd"."a.b ""c" (id int primary key, "on" date);
  create table "Odd"."line
break" (id int primary key);
  create table "Odd".ruled (id int primary key, at date);
  create rule keep as on delete to "Odd".ruled do instead nothing;`

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(SCHEMA)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

async function drafted(schemas: readonly string[] | null = null): Promise<Settled> {
  const { db } = fitting.connection
  const tables = await listTables(db, schemas)
  const catalog = await inspectCatalog(db, tables)
  return settleDraft(catalog, tables, { database: 'shop', today: '2026-11-24' })
}

function ruleOf({ rules }: Draft, table: string) {
  const rule = rules.find((each) => each.table.name === table)
  if (rule === undefined) throw new Error(`no rule for ${table}`)
  return rule
}

test('a table with a key and a date gets a rule, and a table without is exempt for a year', async () => {
  const { draft, text } = await drafted(['shop'])
  expect(draft.rules.map(({ id }) => id)).toEqual([
    'click',
    'customer',
    'employee',
    'history',
    'invoice',
    'shift',
  ])
  expect(draft.exempt.map(({ table, why }) => `${table.name}: ${why}`)).toEqual([
    'country: no column of it says when a period could start',
  ])
  expect(text).toContain('review: 2027-11-01')
})

test('a period is drafted from when a row was made, before what changes and never from a birth', async () => {
  const { draft } = await drafted(['shop'])

  expect(ruleOf(draft, 'customer').start).toMatchObject({
    source: null,
    column: 'created_at',
    others: ['updated_at'],
  })
  expect(ruleOf(draft, 'click').start).toMatchObject({ column: 'made_at', unit: 'seconds' })
})

test('a person without a date of their own is drafted with the last of what refers to them', async () => {
  const { draft, text } = await drafted(['shop'])

  expect(ruleOf(draft, 'employee').start).toMatchObject({
    source: { table: { name: 'shift' } },
    column: 'day',
  })
  expect(text).toContain('latest: shop.shift.day\n      by: { employee: id }')
})

test('likely personal columns get a mask that fits them, and every other a reason to look at', async () => {
  const { draft } = await drafted(['shop'])

  expect(
    ruleOf(draft, 'customer').masks?.map((mask) =>
      [mask.column, mask.kind, ...('text' in mask ? [mask.text] : [])].join(' '),
    ),
  ).toEqual([
    'created_at keep it says when the period starts',
    'updated_at keep review: does it say anything about a person?',
    'Prénom constant Anonymised',
    'e_mail template {key}@anonymised.invalid',
    'telephone nothing',
    'birth_date year',
    'last_ip network',
    'badge keep review: does it say anything about a person?',
    'tier keep review: does it say anything about a person?',
    'gender constant A',
    'photo keep review: likely personal, and nothing that could be guessed fits; choose a strategy',
  ])
})

test('every table that refers to a drafted one has its place among the references', async () => {
  const { draft } = await drafted(['shop'])
  const references = (table: string) =>
    ruleOf(draft, table).references.map(({ table: from, as }) => `${from.name}: ${as}`)

  expect(references('customer')).toEqual(['invoice: own_rule'])
  expect(references('invoice')).toEqual(['line: with_parent'])
  expect(references('employee')).toEqual(['employee: own_rule', 'shift: own_rule'])
})

test('a trigger that a drafted rule would fire is named, to be read before it enforces', async () => {
  const { draft, text } = await drafted(['shop'])

  expect(ruleOf(draft, 'history').triggers).toEqual(['note'])
  expect(ruleOf(draft, 'customer').triggers).toEqual(['odd name'])
  expect(text).toContain("triggers: { acknowledge: ['odd name'] }")
})

test('a draft of odd names loads, and says of what cannot be governed why', async () => {
  const { draft, text } = await drafted()

  expect(ruleOf(draft, 'a.b "c').id).toBe('a-b-c')
  expect(text).toContain(`table: 'Odd."a.b ""c"'`)
  expect(draft.exempt.map(({ table }) => table.name)).toContain('ruled')
  expect(text).toContain('rewrite rules: keep')
  expect(text.split('\n').filter((line) => line.startsWith('break'))).toEqual([])
})

test('the same database gives the same draft', async () => {
  expect((await drafted()).text).toBe((await drafted()).text)
})

test('a table whose rows are marked as deleted is drafted with what that means to decide', async () => {
  await fitting.run(`
    create schema soft;
    create table soft.account (id int primary key, created_at date, deleted_at timestamptz);
    create table soft.session (id int primary key, deleted_at timestamptz)`)

  const { draft, text } = await drafted(['soft'])

  expect(ruleOf(draft, 'account').softDeleted).toBe('deleted_at')
  expect(text).toContain('    soft_deleted: { column: deleted_at, rows: include }\n')
  expect(draft.rules).toHaveLength(2)
})
