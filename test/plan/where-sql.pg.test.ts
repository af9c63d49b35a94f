import * as fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, type Connection } from '../../src/db/connect.ts'
import { inSnapshot } from '../../src/db/transaction.ts'
import { sqlFragment } from '../../src/plan/sql-condition.ts'
import { readWhereSql } from '../../src/policy/read-sql.ts'
import { SQL_FUNCTIONS, SQL_OPERATORS, SQL_TYPES } from '../../src/policy/sql-expression.ts'
import { loadGrammar } from '../../src/policy/sql-grammar.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let connection: Connection

beforeAll(async () => {
  await loadGrammar(['where_sql'])
  database = await openTestDatabase()
  await database.superuser.query(`
    create type public.mood as enum ('good', 'bad');
    create table public.sample (
      id int generated always as identity primary key,
      a int, x numeric, b text, c varchar(20), flag boolean, d date, t timestamptz, u uuid,
      j jsonb, m public.mood, ip inet, tags text[], "Odd ""Name""" int
    );
    insert into public.sample (a, x, b, c, flag, d, t, u, j, m, ip, tags, "Odd ""Name""")
    select a, a * 1.5, b, upper(b), flag, d, d,
      case when a = 1 then 'a3bb189e-8bf9-3888-9912-ace4e6543002'::uuid end,
      case when b <> '' then jsonb_build_object('kind', b, 'n', a) end,
      case when a > 0 then 'good'::public.mood end, '10.1.2.3', array[b], a
    from unnest(array[-1, 0, 1, 2, null]) as a,
      unnest(array['ab', 'Ab%', '', 'it''s', null]) as b,
      unnest(array[true, false, null]) as flag,
      unnest(array['2019-12-31', '2020-02-29', null]::date[]) as d`)
  connection = connect(database.superuserUrl)
})

afterAll(async () => {
  await connection[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** The rows by our fragment, in a transaction of ours. */
async function byFragment(text: string): Promise<readonly number[]> {
  const { value, faults } = readWhereSql(text)
  if (value === undefined) throw new Error(`${text}: ${faults[0]?.message}`)
  const { rows } = await inSnapshot(connection.db, async (trx) =>
    sql<{ id: number }>`
      select id from public.sample as row
      where ${sqlFragment(value.expression, 'row')} order by id`.execute(trx),
  )
  return rows.map(({ id }) => id)
}

/** The rows by PostgreSQL, which reads the text itself. */
async function byText(text: string): Promise<readonly number[]> {
  const { rows } = await database.superuser.query<{ id: number }>(
    `select id from public.sample where ${text} order by id`,
  )
  return rows.map(({ id }) => id)
}

const ATOMS = [
  'a = 1',
  'a <> -1',
  'a - 1 >= x / 2',
  'a % 2 = 0',
  'x > 1.25',
  'a < 99999999999',
  "b = 'ab'",
  "b = 'it''s'",
  "b || c = 'abAB'",
  'lower(b) = lower(c)',
  "b like 'a%'",
  "b not like '%b'",
  "b ilike 'AB'",
  "b ~ '^a'",
  "b in ('ab', '')",
  "b not in ('ab', '')",
  'a between 0 and 1',
  'a not between 0 and x',
  'a is null',
  'b is not null',
  'flag',
  'not flag',
  'flag is not true',
  'flag is false',
  "b is distinct from 'ab'",
  'b is not distinct from lower(c)',
  "coalesce(b, 'none') = 'none'",
  "nullif(b, '') is null",
  'greatest(a, x) > 1',
  "d < '2020-01-01'",
  "d::timestamp >= timestamp '2020-02-29 00:00'",
  "t < '2020-01-01 00:00+00'",
  'extract(year from d) = 2020',
  "date_trunc('month', d::timestamp) = '2020-02-01'",
  "u = 'A3BB189E-8BF9-3888-9912-ACE4E6543002'",
  "j ->> 'kind' = 'ab'",
  "(j ->> 'n')::int > 0",
  "j ? 'kind'",
  'j @> \'{"n": 1}\'',
  "m = 'good'",
  'length(b) > 2',
  "trim(b) = ''",
  "substring(b from 1 for 2) = 'ab'",
  "position('b' in b) = 2",
  'cardinality(tags) = 1',
  '"Odd ""Name""" = 1',
  "'2020-01-01' > d",
  'length(b) in (0, a)',
]

test.for(ATOMS)('PostgreSQL reads %s as we do', async (text) => {
  expect(await byFragment(text)).toEqual(await byText(text))
})

const { filter } = fc.letrec<{ filter: string }>((tie) => ({
  filter: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(...ATOMS),
    tie('filter').map((one) => `not (${one})`),
    fc.tuple(tie('filter'), tie('filter')).map(([one, other]) => `(${one}) and (${other})`),
    fc.tuple(tie('filter'), tie('filter')).map(([one, other]) => `(${one} or ${other})`),
    fc.tuple(tie('filter'), tie('filter')).map(([one, other]) => `${one} or ${other}`),
    tie('filter').map((one) => `(${one}) is true`),
  ),
}))

test('any filter covers the rows that its text covers, null being false', async () => {
  await fc.assert(
    fc.asyncProperty(filter, async (text) => {
      expect(await byFragment(text)).toEqual(await byText(text))
    }),
    { seed: 20_261_125, numRuns: 150 },
  )
})

test('nothing that a filter may call is volatile, and what is stable depends on the zone or a named encoding', async () => {
  const { rows } = await database.superuser.query<{ name: string; volatile: string }>(
    `select distinct proname::text as name, provolatile::text as volatile
     from pg_proc
     where pronamespace = 'pg_catalog'::regnamespace and proname = any($1)`,
    [SQL_FUNCTIONS],
  )
  const stable = rows.filter(({ volatile }) => volatile !== 'i').map(({ name }) => name)

  expect(new Set(rows.map(({ name }) => name))).toEqual(new Set(SQL_FUNCTIONS))
  expect(rows.filter(({ volatile }) => volatile === 'v')).toEqual([])
  expect(new Set(stable)).toEqual(new Set(['date_trunc', 'extract', 'length']))
})

test('every operator and type of a filter is one of PostgreSQL', async () => {
  const words = SQL_OPERATORS.filter((operator) => !operator.startsWith('is '))
  const operators = await database.superuser.query<{ name: string; volatile: string }>(
    `select distinct oprname::text as name, provolatile::text as volatile
     from pg_operator join pg_proc on pg_proc.oid = oprcode
     where oprnamespace = 'pg_catalog'::regnamespace and oprname = any($1)`,
    [words],
  )
  const types = await database.superuser.query<{ name: string }>(
    `select typname::text as name from pg_type
     where typnamespace = 'pg_catalog'::regnamespace and typname = any($1)`,
    [SQL_TYPES],
  )

  expect(new Set(operators.rows.map(({ name }) => name))).toEqual(new Set(words))
  expect(operators.rows.filter(({ volatile }) => volatile === 'v')).toEqual([])
  expect(new Set(types.rows.map(({ name }) => name))).toEqual(new Set(SQL_TYPES))
})
