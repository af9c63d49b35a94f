import { expect } from 'vitest'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { test, type Bed } from '../support/bed.ts'

/** Persons n left long ago, each with a contract and a voucher that keeps no link to whom is blocked. */
const SCHEMA = `
  create schema crm;
  create schema store;
  create table crm.person (id int primary key, name text);
  create table crm.contract (id int primary key, person_id int not null references crm.person, ended_on date);
  create table crm.voucher (id int primary key, person_id int references crm.person);
  create table store.person (id int primary key, name text);
  create table store.contract (id int primary key, person_id int not null references store.person, ended_on date);
  insert into crm.person select n, 'as it was' from generate_series(1, 60) as n;
  insert into crm.contract select n, n, '2001-01-01' from generate_series(1, 60) as n;
  insert into crm.voucher select n, n from generate_series(1, 60) as n`

const POLICY = `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10000, max_percent: 100 }, batch: { rows: 4 } }
rules:
  - id: person
    table: crm.person
    start: { latest: crm.contract.ended_on, by: { person_id: id } }
    keep: 3 years
    then: { block: { archive: store.person, along: { crm.contract: store.contract } } }
    references: { crm.contract: with_parent, crm.voucher: detach }
`

/** What the application does to person `id`. */
const CHANGES: readonly ((id: number) => string)[] = [
  (id) => `update crm.contract set ended_on = null where person_id = ${id}`,
  (id) =>
    `insert into crm.contract select coalesce(max(id), 1000) + 1, ${id}, null from crm.contract where id > 1000`,
  (id) => `update crm.person set name = 'changed' where id = ${id}`,
  (id) =>
    `insert into crm.voucher select coalesce(max(id), 1000) + 1, ${id} from crm.voucher where id > 1000`,
  (id) => `update crm.voucher set person_id = ${id} where id = 60`,
]

const STEPS: readonly BatchStep[] = ['begun', 'rows', 'related', 'decided', 'acted', 'journalled']

/** True if it was committed; what waits for a batch gives up, as an application with a timeout does. */
async function commits(bed: Bed, change: string): Promise<boolean> {
  try {
    await bed.run(`begin; set local lock_timeout = '40ms'; ${change}; commit`)
    return true
  } catch {
    await bed.run('rollback')
    return false
  }
}

/** A person in the hands of the batch, if there is one; before that any that is left. */
async function oneOf(bed: Bed, at: number): Promise<number | undefined> {
  const all = await bed.rows<{ id: number }>('select id from crm.person where id < 60 order by id')
  const free = await bed.rows<{ id: number }>('select id from crm.person for update skip locked')
  const unlocked = new Set(free.map(({ id }) => id))
  const locked = all.filter(({ id }) => !unlocked.has(id))
  const pool = locked.length > 0 ? locked : all
  return pool[at % Math.max(1, pool.length)]?.id
}

test('whatever the application does at any step of a block, each row is in one place, as it was last, and none that is open is blocked', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(POLICY)
  const plan = await bed.plan()
  const changed = new Set<number>()
  let [at, committed] = [0, 0]

  const onStep = async (step: BatchStep): Promise<void> => {
    if (!STEPS.includes(step)) return
    const id = await oneOf(bed, at)
    // At each step of one batch after the other another change than before.
    const change = CHANGES[(at + Math.floor(at / STEPS.length)) % CHANGES.length]
    at += 1
    if (id === undefined || change === undefined || !(await commits(bed, change(id)))) return
    committed += 1
    if (change(id).startsWith('insert into crm.contract')) bed.forget('crm.contract', -1)
    if (change(id).includes("'changed'")) changed.add(id)
  }
  const result = await bed.enforce({ plan, connections: 1, onStep })

  expect(['done', 'partial']).toContain(result.outcome)
  expect(committed).toBeGreaterThan(15)
  const places = await bed.rows<{ id: number; places: number; name: string }>(`
    select id, count(*)::int as places, min(name) as name
    from (select * from crm.person union all select * from store.person) as person
    group by id order by id`)
  expect(places.filter((row) => row.places !== 1)).toEqual([])
  expect(places).toHaveLength(60)
  expect(places.filter(({ name }) => name === 'changed').map(({ id }) => id)).toEqual(
    [...changed].toSorted((one, other) => one - other),
  )
  expect(
    await bed.rows(`
      select person_id from store.contract where ended_on is null
      union all
      select person_id from crm.contract where not exists (select from crm.person where id = person_id)
      union all
      select person_id from crm.voucher join store.person on store.person.id = person_id`),
  ).toEqual([])
  expect((await bed.rows('select from store.person')).length).toBeGreaterThan(25)
})
