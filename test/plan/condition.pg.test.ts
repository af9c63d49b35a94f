import * as fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Table } from '../../src/catalog/catalog.ts'
import { inspectTables } from '../../src/catalog/inspect.ts'
import { connect, type Connection } from '../../src/db/connect.ts'
import { matches } from '../../src/plan/condition.ts'
import type { Condition } from '../../src/policy/policy.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

type Row = {
  readonly id: number
  readonly text: string | null
  readonly number: number | null
  readonly flag: boolean | null
  readonly day: string | null
}

const TEXTS = ['open', 'closed', '', "O'Brien", 'null', 'Ab']
const NUMBERS = [-1, 0, 1, 2.5]
const FLAGS = [true, false]
const DAYS = ['2020-02-29', '2021-01-01', '9999-12-31']

/** Every combination of a few values and null. */
const ROWS: readonly Row[] = [...TEXTS, null].flatMap((text, t) =>
  [...NUMBERS, null].flatMap((number, n) =>
    [...FLAGS, null].flatMap((flag, f) =>
      [...DAYS, null].map((day, d): Row => ({
        id: ((t * 5 + n) * 3 + f) * 4 + d,
        text,
        number,
        flag,
        day,
      })),
    ),
  ),
)

let database: TestDatabase
let connection: Connection
let table: Table

beforeAll(async () => {
  database = await openTestDatabase()
  await database.superuser.query(`
    create table public.sample (
      id int primary key, text text collate "C", number numeric, flag boolean, day date
    )`)
  await database.superuser.query(
    `insert into public.sample
     select * from jsonb_to_recordset($1) as row (id int, text text, number numeric, flag boolean, day date)`,
    [JSON.stringify(ROWS)],
  )
  connection = connect(database.superuserUrl)
  const [found] = await inspectTables(connection.db, [{ schema: 'public', name: 'sample' }])
  table = found as Table
})

afterAll(async () => {
  await connection[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

test('a filter covers a row by the logic of true and false, in which null compares with nothing', async () => {
  await fc.assert(
    fc.asyncProperty(conditions, async (condition) => {
      const { rows } = await sql<{ id: number }>`
        select id from public.sample as row
        where ${matches(condition, table, 'row')} order by id`.execute(connection.db)

      expect(rows.map(({ id }) => id)).toEqual(
        ROWS.filter((row) => holds(condition, row)).map(({ id }) => id),
      )
    }),
    { seed: 20_261_122, numRuns: 400 },
  )
})

const leaf: fc.Arbitrary<Condition> = fc.oneof(
  fc
    .tuple(fc.constantFrom('flag', 'day'), fc.boolean())
    .map(([column, deleted]): Condition => ({ kind: 'soft_deleted', column, deleted })),
  ...(
    [
      ['text', TEXTS],
      ['number', NUMBERS],
      ['flag', FLAGS],
      ['day', DAYS],
    ] as const
  ).flatMap(([column, values]): fc.Arbitrary<Condition>[] => {
    const value = fc.constantFrom(...values)
    return [
      fc.constant<Condition>({ kind: 'is_null', column }),
      value.map((one): Condition => ({ kind: 'equals', column, value: one })),
      fc
        .array(value, { minLength: 1, maxLength: 3 })
        .map((several): Condition => ({ kind: 'one_of', column, values: several })),
      fc
        .tuple(fc.constantFrom('<', '<=', '>', '>='), value)
        .map(([operator, one]): Condition => ({ kind: 'compares', column, operator, value: one })),
    ]
  }),
)

const { condition: conditions } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('condition').map((condition): Condition => ({ kind: 'not', condition })),
    fc
      .tuple(
        fc.constantFrom('all', 'any'),
        fc.array(tie('condition'), { minLength: 1, maxLength: 3 }),
      )
      .map(([kind, parts]): Condition => ({ kind, conditions: parts })),
  ),
}))

/** The law of filters: nothing but true and false. */
function holds(condition: Condition, row: Row): boolean {
  switch (condition.kind) {
    case 'all':
      return condition.conditions.every((part) => holds(part, row))
    case 'any':
      return condition.conditions.some((part) => holds(part, row))
    case 'not':
      return !holds(condition.condition, row)
    case 'is_null':
      return held(row, condition.column) === null
    case 'equals':
      return held(row, condition.column) === condition.value
    case 'one_of':
      return condition.values.some((value) => held(row, condition.column) === value)
    case 'compares': {
      const [one, other] = [held(row, condition.column), condition.value]
      if (one === null) return false
      const order = one < other ? -1 : one > other ? 1 : 0
      return { '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[
        condition.operator
      ]
    }
    case 'soft_deleted': {
      const value = held(row, condition.column)
      return (value !== null && value !== false) === condition.deleted
    }
    case 'sql':
      throw new Error('it has an oracle of its own')
    default:
      return condition satisfies never
  }
}

function held(row: Row, column: string): Row[keyof Row] {
  return row[column as keyof Row]
}
