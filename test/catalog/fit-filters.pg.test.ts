import { afterAll, beforeAll, expect, test } from 'vitest'
import { needsOf } from '../../src/catalog/needs.ts'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

const NAMES =
  'deleted_at deletedAt deleted_on deleted is_deleted isDeleted soft_deleted soft_deleted_at deleted_date discarded_at trashed_at DELETED_TS'.split(
    ' ',
  )

const OTHERS = ['undeleted_at', 'deleted_by', 'delete_after', 'deletion', 'deleted_at_store']

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create extension if not exists citext schema public;
    ${NAMES.map((name, at) => `create table crm.t${at} (id int primary key, started date, "${name}" timestamptz);`).join('\n')}
    create table crm.flagged (id int primary key, started date, is_deleted boolean, deleted_at date);
    create table crm.said (id int primary key, started date, deleted_at text, deleted text);
    create table crm.plain (id int primary key, started date, ${OTHERS.map((name) => `${name} date`).join(', ')});
    create table crm.typed (
      id int primary key, started date, state text, score int, doc json, mail public.citext, at point
    )`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

test.for(NAMES.map((name, at) => [name, `crm.t${at}`] as const))(
  'a table with a column %s is refused until the rule says what it means',
  async ([name, table]) => {
    const said = (rows: string) =>
      purgeRule(table, `    soft_deleted: { column: '${name}', rows: ${rows} }\n`)

    expect(await fitting.problems(purgeRule(table))).toEqual([
      `crm.yaml:7:12 soft_delete_undecided: ${table} has a column ${name}, and nothing says whether rows that it marks are meant > write soft_deleted: { column: ${name}, rows: include }, or only, or exclude`,
    ])
    for (const rows of ['include', 'only', 'exclude']) {
      expect(await fitting.problems(said(rows))).toEqual([])
    }
  },
)

test('a rule that filters by the mark, or counts from it, has said what it means', async () => {
  const filtered = purgeRule('crm.t0', '    where: { deleted_at: { not: null } }\n')
  const bySql = purgeRule('crm.t0', '    where_sql: deleted_at is not null\n')
  const counted = purgeRule('crm.t0').replace('start: started', 'start: deleted_at')

  for (const rule of [filtered, bySql, counted]) expect(await fitting.problems(rule)).toEqual([])
})

test('one of two marks is enough, and other words or types are none', async () => {
  const flagged = purgeRule('crm.flagged', '    soft_deleted: { column: is_deleted, rows: only }\n')

  expect(await fitting.problems(flagged)).toEqual([])
  expect(await fitting.problems(purgeRule('crm.plain'))).toEqual([])
  expect(await fitting.problems(purgeRule('crm.said'))).toEqual([])
})

test.for([
  [
    'deletd_at',
    'include',
    'column_missing: crm.t0 has no column deletd_at > did you mean deleted_at?',
  ],
  [
    'deletd_at',
    'only',
    'column_missing: crm.t0 has no column deletd_at > did you mean deleted_at?',
  ],
  [
    'id',
    'include',
    'soft_delete_type: id is integer, which does not say whether a row is deleted > name a boolean, a date or a timestamp; or use where',
  ],
  [
    'id',
    'exclude',
    'soft_delete_type: id is integer, which does not say whether a row is deleted > name a boolean, a date or a timestamp; or use where',
  ],
] as const)(
  'a column that cannot mark rows as deleted is refused: %s, %s',
  async ([column, rows, said]) => {
    const rule = purgeRule('crm.t0', `    soft_deleted: { column: ${column}, rows: ${rows} }\n`)

    expect(await fitting.problems(rule)).toEqual([`crm.yaml:11:29 ${said}`])
  },
)

const withSql = (sql: string) => purgeRule('crm.typed', `    where_sql: ${sql}\n`)

test.for([
  ['stat = 1', 'column_missing: crm.typed has no column stat > did you mean state?'],
  ['ctid is null', 'column_missing: crm.typed has no column ctid'],
  [
    "mail = 'a@b'",
    'equality_unknown: crm.typed.mail is public.citext, which the program cannot compare',
  ],
  ['at is null', 'equality_unknown: crm.typed.at is point, which the program cannot compare'],
] as const)(
  'SQL on a column that is missing or of a foreign type is refused: %s',
  async ([sql, said]) => {
    const problems = await fitting.problems(withSql(sql))

    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`crm.yaml:11:16 ${said}`)
  },
)

test('what SQL reads is granted', async () => {
  const [fitted] = await fitting.fitted(
    withSql("lower(state) = 'gone' and score > 3 and doc ->> 'kind' = 'x'"),
  )
  if (fitted === undefined) throw new Error('it fits')
  const read = needsOf(fitted, true).filter(({ right }) => right === 'select')

  expect(read[0]?.columns).toEqual(['id', 'started', 'state', 'score', 'doc'])
})
