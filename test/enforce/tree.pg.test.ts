import { expect, test } from 'vitest'
import { explainRecord } from '../../src/plan/explain.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { openBed } from '../support/bed.ts'

const POLICY = `
version: 1
policy: shop
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 3 } }
rules:
  - { id: category, table: shop.category, start: closed_on, keep: 1 year, then: purge, references: { shop.category: own_rule } }
`

const SCHEMA = `
  create schema shop;
  create table shop.category (id int primary key, parent_id int references shop.category, closed_on date)`

test('a tree goes from its leaves to its root in one run', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  await bed.run(`
    insert into shop.category
    select n, nullif(n / 2, 0), '2001-01-01' from generate_series(1, 31) as n`)
  await bed.govern(POLICY)

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules).toMatchObject([{ counts: { due: 31 } }])
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 31, left: 0 }] })
})

test('a branch with a leaf that is kept stays up to the root, and the others go', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  await bed.run(`
    insert into shop.category
    select n, nullif(n / 2, 0), '2001-01-01' from generate_series(1, 15) as n;
    update shop.category set closed_on = current_date where id = 9`)
  await bed.govern(POLICY)

  const result = await bed.enforce()

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 11, left: 0 }] })
  expect(await bed.rows('select id from shop.category order by id')).toEqual(
    [1, 2, 4, 9].map((id) => ({ id })),
  )
})

test('a row that refers to itself does not stand in its own way', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  await bed.run("insert into shop.category values (1, 1, '2001-01-01'), (2, 1, '2001-01-01')")
  await bed.govern(POLICY)

  const result = await bed.enforce()

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2 }] })
})

test('a plan of a tree counts as blocked whatever a row that stays is below', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  await bed.run(`
    insert into shop.category
    select n, nullif(n / 2, 0), '2001-01-01' from generate_series(1, 15) as n;
    update shop.category set closed_on = current_date where id = 9`)
  await bed.govern(POLICY)

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules).toMatchObject([{ counts: { due: 11, blocked: 3, running: 1 } }])
  expect(result).toMatchObject({ rules: [{ rows: 11 }] })
})

test('a tree whose rows wait for those of another tree is planned to the end', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  await bed.run(`
    create table shop.article (
      id int primary key, of_id int references shop.article, category_id int references shop.category,
      sold_on date
    );
    insert into shop.category values (1, null, '2001-01-01'), (2, 1, '2001-01-01'), (3, null, '2001-01-01');
    insert into shop.article values
      (1, null, 2, '2001-01-01'), (2, 1, 2, '2001-01-01'), (3, null, 3, '2001-01-01'), (4, 3, 3, null)`)
  await bed.govern(`${POLICY.replace('own_rule }', 'own_rule, shop.article: own_rule }')}
  - { id: article, table: shop.article, start: sold_on, keep: 1 year, then: purge, references: { shop.article: own_rule } }
`)

  const plan = await bed.plan()
  const result = await bed.enforce({ plan, approval: plan.digest })

  expect(plan.rules).toMatchObject([
    { rule: 'article', counts: { due: 2, blocked: 1, open: 1 } },
    { rule: 'category', counts: { due: 2, blocked: 1 } },
  ])
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2 }, { rows: 2 }] })
})

test('rows that wait for each other in a circle stay with what waits for them, in plan, run and explanation', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  await bed.run(`
    alter table shop.category add sees_id int references shop.category;
    insert into shop.category (id, parent_id, sees_id, closed_on) values
      (1, null, null, '2001-01-01'), (2, 4, 1, '2001-01-01'), (3, 2, null, '2001-01-01'),
      (4, 3, null, '2001-01-01'), (5, 2, null, '2001-01-01'), (6, 6, 6, '2001-01-01')`)
  const { rules } = await bed.govern(POLICY)

  const plan = await bed.plan()
  const result = await bed.enforce({ plan, approval: plan.digest })

  expect(plan.rules).toMatchObject([
    {
      counts: { due: 2, blocked: 4 },
      remarks: [{ code: 'start_nullable' }, { code: 'rows_in_circles' }],
    },
  ])
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2, left: 0 }] })
  expect(await bed.rows('select id from shop.category order by id')).toEqual(
    [1, 2, 3, 4].map((id) => ({ id })),
  )
  const said = async (id: string) => {
    const [rule] = rules
    if (rule === undefined) throw new Error('no rule')
    const { table, key } = rule
    const asked = { rules, table, key, values: [id], at: plan.createdAt }
    return renderExplanation(await explainRecord(bed.connection.db, asked), 'en')
  }
  expect(await said('3')).toContain('IN A CIRCLE')
  expect(await said('1')).not.toContain('IN A CIRCLE')
  expect(await said('1')).toContain('spared: 1 row of shop.category still refers to it.')
})

const THREADS = `
version: 1
policy: forum
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, pace: { share: 100 } }
rules:
  - id: post
    table: forum.post
    start: { latest: forum.post.made_on, by: { thread: id } }
    keep: 1 year
    then: purge
`

test('records whose starts are read from each other go in their order, and those in a circle stay', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema forum;
    create table forum.post (id int primary key, thread int, made_on date);
    insert into forum.post values
      (1, 1, '2001-01-01'), (2, 1, '2001-01-01'), (3, 2, '2001-01-01'), (4, 3, null),
      (7, 8, '2001-01-01'), (8, 7, '2001-01-01')`)
  await bed.govern(THREADS)

  const plan = await bed.plan()
  const result = await bed.enforce({ plan, approval: plan.digest })
  const after = await bed.plan()

  // 2 says when 1 starts, and goes after it; 7 and 8 say when the other one starts.
  expect(plan.rules).toMatchObject([
    {
      counts: { due: 2, deciding: 2, open: 1, neverExpires: 1 },
      remarks: [{ code: 'rows_in_circles' }],
    },
  ])
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2, left: 0 }] })
  expect(after.rules).toMatchObject([{ counts: { due: 0, deciding: 2 } }])
})
