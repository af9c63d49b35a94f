import { expect } from 'vitest'
import { test } from '../support/bed.ts'
import { CASE, left, LITIGATION, openDesk, policy, row, SCHEMA } from './desk.ts'

const NOTHING = { customer: [], note: [], ticket: [], message: [] }

test('a held customer stays with everything that refers to it, and all else goes', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.customer', '2'))

  const plan = await bed.plan()
  const run = await bed.enforce()

  const counts = plan.rules.map(({ rule, counts: { due, held } }) => ({ rule, due, held }))
  expect(counts.toSorted((one, other) => (one.rule < other.rule ? -1 : 1))).toEqual([
    { rule: 'customer', due: 3, held: 1 },
    { rule: 'ticket', due: 6, held: 2 },
  ])
  expect(run).toMatchObject({ outcome: 'done', error: null })
  expect(await left(bed)).toEqual({
    customer: [2],
    note: [21, 22],
    ticket: [21, 22],
    message: [211, 212, 221, 222],
  })
})

test('a held row that would go along keeps its parent, and what that refers to waits for it', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.message', '322'))
  await desk.place(row('crm.note', '11'))

  await bed.enforce()

  expect(await left(bed)).toEqual({
    customer: [1, 3],
    note: [11, 12, 31, 32],
    ticket: [32],
    message: [321, 322],
  })
})

test('a hold on a rule keeps every record that the rule speaks of, and no other', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const where = '    where: { email: { not: e1@example.org } }'
  const { rules } = await bed.govern(policy({ customer: where }))
  await using desk = openDesk(bed, rules)
  await desk.place({ kind: 'rule', rule: 'customer' })

  await bed.enforce()

  const { customer, ticket } = await left(bed)
  expect(customer).toEqual([1, 2, 3, 4])
  expect(ticket).toEqual([21, 22, 31, 32, 41, 42])
})

test('a hold on a subject keeps the records about it, and those that refer to them', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place({ kind: 'subject', value: 'e4@example.org' })

  await bed.enforce()

  expect(await left(bed)).toMatchObject({ customer: [4], ticket: [41, 42], note: [41, 42] })
})

test('a lifted hold lets go what is due by then, without a new period', async ({ bed }) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.customer', '2'))
  await bed.enforce()

  await desk.lift()
  await bed.enforce()

  expect(await left(bed)).toEqual(NOTHING)
})

test('a hold whose day has passed still holds', async ({ bed }) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.customer', '2'), CASE, '2020-01-01')

  await bed.enforce()

  expect((await left(bed))['customer']).toEqual([2])
  expect(await desk.list()).toMatchObject([{ until: '2020-01-01', reminds: true }])
})

test('a row of a hold source holds what it names for as long as it matches', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.run(`insert into legal.litigation values
    (1, 1, null, null, null), (2, 2, null, '2020-01-01', null), (3, null, 31, null, null)`)
  await bed.govern(policy({ holds: LITIGATION }))

  await bed.enforce()
  const before = await left(bed)
  await bed.run("update legal.litigation set closed_on = '2021-01-01' where id = 1")
  await bed.enforce()

  expect(before).toMatchObject({ customer: [1, 3], ticket: [11, 12, 31] })
  expect(await left(bed)).toMatchObject({ customer: [3], ticket: [31] })
})

test('a hold goes on where its table is renamed, and where it was restored under its name', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.customer', '2'))
  await bed.run(`alter table retentiond.hold disable trigger only_lift`)

  await bed.run(`update retentiond.hold set table_oid = 1`)
  const restored = await bed.plan()
  await bed.run(
    `update retentiond.hold set table_oid = 'crm.customer'::regclass, table_name = 'crm.old'`,
  )
  const renamed = await bed.plan()
  await bed.run(`update retentiond.hold set table_name = 'crm.customer', key_columns = '{number}'`)
  const rekeyed = await bed.plan()

  const held = [restored, renamed, rekeyed].map(
    (plan) => plan.rules.find(({ rule }) => rule === 'customer')?.counts.held,
  )
  expect(held).toEqual([1, 1, 4])
})

test('a row of a hold source is not purged while what it holds is there', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.run(`insert into legal.litigation values
    (1, 1, null, null, '2001-02-03'), (2, 2, null, '2002-02-03', '2001-02-03'),
    (3, 77, null, null, '2001-02-03')`)
  await bed.govern(
    policy({
      holds: LITIGATION,
      more: `
  - id: litigation
    table: legal.litigation
    start: archived_on
    keep: 10 years
    then: purge`,
    }),
  )

  const plan = await bed.plan()
  await bed.enforce()

  const planned = plan.rules.find(({ rule }) => rule === 'litigation')
  expect(planned?.counts).toMatchObject({ due: 2, deciding: 1 })
  expect(await bed.rows('select id from legal.litigation')).toEqual([{ id: '1' }])
  expect((await left(bed))['customer']).toEqual([1])
})

test('a hold keeps what refers to its row at any distance, also within one table', async ({
  bed,
}) => {
  await bed.run(`
    create schema crm;
    create table crm.folder (
      id int primary key, parent_id int references crm.folder, copy_of_id int references crm.folder, closed_on date
    );
    create table crm.page (id int primary key, folder_id int references crm.folder, written_on date);
    insert into crm.folder values
      (1, null, null, current_date), (2, 1, null, current_date), (3, null, 2, current_date),
      (4, 3, null, '2001-02-03'), (5, null, null, '2001-02-03'), (6, 5, 6, '2001-02-03');
    insert into crm.page select id * 10, id, '2001-02-03' from crm.folder`)
  const { rules } = await bed.govern(`
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 100000, max_percent: 100 } }
rules:
  - { id: folder, table: crm.folder, start: closed_on, keep: 1 year, then: purge, references: { crm.folder: own_rule, crm.page: own_rule } }
  - { id: page, table: crm.page, start: written_on, keep: 1 year, then: purge }
`)
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.folder', '1'))

  const plan = await bed.plan()
  await bed.enforce({ plan, approval: plan.digest })

  expect(plan.rules).toMatchObject([
    { rule: 'page', counts: { held: 4, due: 2 } },
    { rule: 'folder', counts: { held: 1, due: 2, running: 3 } },
  ])
  expect(await bed.rows('select id from crm.page order by id')).toEqual(
    [10, 20, 30, 40].map((id) => ({ id })),
  )
  expect(await bed.rows('select id from crm.folder order by id')).toEqual(
    [1, 2, 3, 4].map((id) => ({ id })),
  )
})
