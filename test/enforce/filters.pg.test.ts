import { expect } from 'vitest'
import { PolicyError } from '../../src/base/errors.ts'
import { inSnapshot } from '../../src/db/transaction.ts'
import { findConflicts } from '../../src/plan/conflicts.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import { readInstant } from '../../src/plan/make.ts'
import { test, type Bed } from '../support/bed.ts'

const SCHEMA = `
  create schema crm;
  create table crm.customer (
    id int primary key, state text, score int, left_on date, deleted_at timestamptz, gone boolean
  );
  insert into crm.customer values
    (1, 'Gone', 1, '2010-01-01', null, false),
    (2, 'gone', 9, '2010-01-01', null, null),
    (3, null, 1, '2010-01-01', null, true),
    (4, 'GONE', null, '2010-01-01', '2012-01-01', true),
    (5, 'GONE', 1, '2010-01-01', '2012-01-01', true),
    (6, 'GONE', 1, current_date, '2012-01-01', true)`

const policy = (filter: string) => `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10, max_percent: 100 } }
rules:
  - id: customer
    table: crm.customer
    ${filter}
    start: left_on
    keep: 10 years
    then: purge
`

const left = async (bed: Bed) =>
  (await bed.rows<{ id: number }>('select id from crm.customer order by id')).map(({ id }) => id)

test('a run under SQL purges what the SQL is true of, and a null spares', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.govern(
    policy(`where_sql: lower(state) = 'gone' and score < 5
    soft_deleted: { column: deleted_at, rows: include }`),
  )
  const plan = await bed.plan()

  const result = await bed.enforce({ plan })

  expect(plan.rules[0]?.counts).toMatchObject({ due: 2, running: 1, outside: 3 })
  expect(plan.rules[0]?.remarks).toContainEqual({
    code: 'filtered_by_sql',
    message: "SQL of the policy says which rows are meant: lower(state) = 'gone' and score < 5",
    remedy: 'read it in review, and hold the count of rows outside of the class against it',
  })
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2 }] })
  expect(await left(bed)).toEqual([2, 3, 4, 6])
})

test('the negation of SQL is true where the SQL is null, as that of a filter', async ({ bed }) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(
    policy('where_sql: (score < 5) is not true\n    soft_deleted: { column: gone, rows: include }'),
  )
  const [fitted] = rules
  if (fitted === undefined) throw new Error('no rule')
  const explained = async (id: string) =>
    inSnapshot(bed.connection.db, async (trx) =>
      explainRecord(trx, {
        rules,
        table: fitted.table,
        key: fitted.key,
        values: [id],
        at: await readInstant(trx),
      }),
    )

  const [outside, due] = [await explained('1'), await explained('2')]
  await bed.enforce()

  expect(outside.rules[0]?.verdict).toBe('outside')
  expect(due.rules[0]?.verdict).toBe('due')
  expect(await left(bed)).toEqual([1, 3, 5, 6])
})

test.for([
  ['deleted_at, rows: only', [1, 2, 3, 6]],
  ['deleted_at, rows: exclude', [4, 5, 6]],
  ['deleted_at, rows: include', [6]],
  ['gone, rows: only', [1, 2, 6]],
  ['gone, rows: exclude', [3, 4, 5, 6]],
] as const)(
  'rows that are marked as deleted are meant as the rule says: %s',
  async ([mark, ids], { bed }) => {
    await bed.run(SCHEMA)
    await bed.govern(policy(`soft_deleted: { column: ${mark} }`))

    await bed.enforce()

    expect(await left(bed)).toEqual(ids)
  },
)

test('a row that is restored while a batch decides stays', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.govern(policy('soft_deleted: { column: deleted_at, rows: only }'))
  const plan = await bed.plan()
  await bed.run('update crm.customer set deleted_at = null where id = 4')

  await bed.enforce({ plan })

  expect(await left(bed)).toEqual([1, 2, 3, 4, 6])
})

test.for([
  ['state > 3', 'operator does not exist: text > integer'],
  ['score', 'argument of IS TRUE must be type boolean, not type integer'],
  ["score = 'many'", 'a value in it is not of the type it is read as (22P02)'],
  ["left_on < '2020-02-30'", 'a value in it is not of the type it is read as (22008)'],
  ['lower(score) is null', 'function pg_catalog.lower(integer) does not exist'],
] as const)(
  'SQL whose types do not fit is a problem of the policy: %s',
  async ([sql, said], { bed }) => {
    await bed.run(SCHEMA)
    const refused = bed.govern(
      policy(`where_sql: ${sql}\n    soft_deleted: { column: gone, rows: include }`),
    )

    const error = await refused.catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(PolicyError)
    const [problem, ...more] = (error as PolicyError).problems
    expect(more).toEqual([])
    expect(problem).toMatchObject({ code: 'sql_unfit', at: 'policy.yaml:10:16' })
    expect(problem?.message).toContain(said)
  },
)

test('a day that is another one tomorrow is refused in a filter on dates, and is text elsewhere', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const include = '\n    soft_deleted: { column: gone, rows: include }'
  const refused = bed.govern(policy(`where: { left_on: { lt: Today } }${include}`))

  const error = await refused.catch((caught: unknown) => caught)
  const word = await bed.govern(policy(`where: { state: today }${include}`))

  expect((error as PolicyError).problems).toMatchObject([
    { code: 'value_moves', at: 'policy.yaml:10:23', message: '"Today" is another date tomorrow' },
  ])
  expect(word.rules).toHaveLength(1)
})

test('SQL that fails on one row refuses its rule and says where, and the other rules go on', async ({
  bed,
}) => {
  await bed.run(`${SCHEMA};
    create table crm.visit (id int primary key, at date);
    insert into crm.visit values (1, '2010-01-01')`)
  const { rules } = await bed.govern(`${policy(`where_sql: state::int > 0
    soft_deleted: { column: gone, rows: include }`)}
  - { id: visit, table: crm.visit, start: at, keep: 10 years, then: purge }
`)

  const plan = await bed.plan()
  const result = await bed.enforce({ plan, approval: plan.digest })

  expect(
    plan.rules.map(({ rule, refusal, counts: { due } }) => [rule, refusal?.code, due]),
  ).toEqual([
    ['customer', 'filter_fails', 0],
    ['visit', undefined, 1],
  ])
  expect(plan.rules[0]?.refusal?.message).toMatch(
    /^where_sql of rule customer fails on a row of crm\.customer \(SQLSTATE 22P02\).*compare as text/,
  )
  expect(result).toMatchObject({ outcome: 'refused', rules: [{ rule: 'visit', rows: 1 }] })
  const conflicts = inSnapshot(bed.connection.db, async (trx) =>
    findConflicts(trx, rules, { kind: 'instant', at: plan.createdAt }),
  )
  await expect(conflicts).rejects.toMatchObject({
    problems: [{ code: 'sql_fails', at: expect.stringMatching(/:\d+:\d+$/) }],
  })
})
