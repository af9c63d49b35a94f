import { expect, test } from 'vitest'
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
