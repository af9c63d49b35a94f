import { expect } from 'vitest'
import { test, type Bed } from '../support/bed.ts'
import { openSession } from '../support/faults.ts'

const HEAD = `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 }, batch: { rows: 7 } }
rules:
`

const PURGE = `${HEAD}
  - id: event
    table: crm.event
    start: started
    keep: 1 year
    then: purge
    references: { crm.detail: with_parent }
`

/** Range partitions by year, one of them divided again, and a default; each row has two details. */
async function openEvents(bed: Bed): Promise<void> {
  await bed.run(`
    create schema crm;
    create table crm.event (
      id int, started date not null, note text, primary key (id, started)
    ) partition by range (started);
    create table crm.event_old partition of crm.event
      for values from ('2010-01-01') to ('2020-01-01') partition by hash (id);
    create table crm.event_even partition of crm.event_old for values with (modulus 2, remainder 0);
    create table crm.event_odd partition of crm.event_old for values with (modulus 2, remainder 1);
    create table crm.event_2020 partition of crm.event for values from ('2020-01-01') to ('2021-01-01');
    create table crm.event_rest partition of crm.event default;
    create table crm.detail (
      id int primary key, event_id int, started date,
      foreign key (event_id, started) references crm.event on update cascade on delete cascade
    );
    insert into crm.event
      select n, case when n % 3 = 0 then current_date else date '2015-01-01' + n * 50 end, 'secret'
      from generate_series(1, 60) as n;
    insert into crm.detail select id * 10 + n, id, started from crm.event, generate_series(1, 2) as n`)
}

const KEPT = 'select count(*)::int as n from crm.event where id % 3 = 0'

test('rows of every partition are purged through the root, with what goes along', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.govern(PURGE)

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules[0]?.counts).toMatchObject({ due: 40, running: 20 })
  expect(plan.rules[0]?.children).toEqual([{ table: 'crm.detail', action: 'purge', rows: 80 }])
  expect(result.rules[0]).toMatchObject({ rows: 40, childRows: 80, left: 0, error: null })
  expect(await bed.rows('select count(*)::int as n from crm.event')).toEqual([{ n: 20 }])
  expect(await bed.rows(KEPT)).toEqual([{ n: 20 }])
})

test('rows of every partition are anonymised once', async ({ bed }) => {
  await openEvents(bed)
  await bed.govern(`${HEAD}
  - id: event
    table: crm.event
    start: started
    keep: 1 year
    then: { anonymise: { note: nothing } }
    references: { crm.detail: own_rule }
  - id: detail
    table: crm.detail
    start: started
    keep: 100 years
    then: purge
`)

  await bed.enforce()
  const again = await bed.plan()

  expect(again.rules.find(({ rule }) => rule === 'event')?.counts).toMatchObject({
    due: 0,
    done: 40,
  })
  expect(await bed.rows("select count(*)::int as n from crm.event where note = 'secret'")).toEqual([
    { n: 20 },
  ])
})

test('a row that is on its way to another partition is left alone, and found by the next run', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.govern(PURGE)
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  await session.send('begin')
  await session.send("update crm.event set started = '2020-06-01' where id = 1")
  await session.send('update crm.event set started = current_date where id = 2')

  const first = await bed.enforce()
  await session.send('commit')
  await session.drain()
  const second = await bed.enforce()

  expect(first.rules[0]).toMatchObject({ rows: 38, left: 2 })
  expect(first.exit).toBe(4)
  expect(second.rules[0]).toMatchObject({ rows: 1, left: 0 })
  expect(await bed.rows('select id from crm.event where id in (1, 2)')).toEqual([{ id: 2 }])
})

test('rows that are moved to and fro while a run is at work are neither lost nor purged early', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.run(
    `insert into crm.event select n, date '2016-01-01', 'secret' from generate_series(100, 399) as n`,
  )
  await bed.govern(PURGE)
  const wandering = { over: false }
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  const restless = (async () => {
    for (let round = 0; !wandering.over; round += 1) {
      // Old rows wander between old partitions; those of the last hundred become young, for good.
      const days = ['2011-01-01', '2020-03-01', '2018-05-05']
      await session.send(
        `update crm.event set started = '${days[round % 3]}' where id between 100 and 299 and id % 5 = ${round % 5}`,
      )
      await session.drain()
      await session.send(
        `update crm.event set started = current_date where id = ${300 + (round % 100)}`,
      )
      await session.drain()
    }
    return (
      await bed.rows<{ n: number }>(
        'select count(*)::int as n from crm.event where started = current_date and id >= 300',
      )
    )[0]?.n
  })()

  const first = await bed.enforce()
  wandering.over = true
  const young = await restless
  const second = await bed.enforce()

  expect(first.rules[0]?.error).toBeNull()
  expect(second.rules[0]?.left ?? 0).toBe(0)
  expect(
    await bed.rows("select count(*)::int as n from crm.event where started < '2021-01-01'"),
  ).toEqual([{ n: 0 }])
  expect(await bed.rows('select count(*)::int as n from crm.event')).toEqual([
    { n: 20 + (young ?? 0) },
  ])
})

test('an ordinary partition that is attached between plan and run is swept too', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.govern(PURGE)
  await bed.run(`
    create table crm.event_2009 (like crm.event including all);
    insert into crm.event_2009 values (1000, '2009-01-01', 'secret');
    alter table crm.event attach partition crm.event_2009 for values from ('2009-01-01') to ('2010-01-01')`)

  const result = await bed.enforce()

  expect(result.rules[0]).toMatchObject({ rows: 41, left: 0 })
})

test('a partition that is attached with a trigger of its own ends the run before anything is gone', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.govern(PURGE)
  const plan = await bed.plan()
  await bed.run(`
    create table crm.event_2009 (like crm.event including all);
    create function crm.keep() returns trigger language plpgsql as 'begin return null; end';
    create trigger keep before delete on crm.event_2009 for each row execute function crm.keep();
    alter table crm.event attach partition crm.event_2009 for values from ('2009-01-01') to ('2010-01-01')`)

  const result = await bed.enforce({ plan })

  expect(result.exit).toBe(3)
  expect(result.error).toMatchObject({ code: 'CATALOG_MOVED' })
  expect(await bed.rows('select count(*)::int as n from crm.event')).toEqual([{ n: 60 }])
})

test('a partition of the source waits to be attached while a batch decides by a common parent', async ({
  bed,
}) => {
  await bed.run(`
    create schema crm;
    create table crm.customer (id int primary key);
    create table crm.contract (
      id int, customer_id int references crm.customer, ended_on date, primary key (id)
    ) partition by range (id);
    create table crm.contract_1 partition of crm.contract for values from (0) to (100);
    create table crm.contract_2 (id int primary key, customer_id int, ended_on date);
    create table crm.ticket (id int primary key, customer_id int references crm.customer);
    insert into crm.customer values (1);
    insert into crm.contract values (1, 1, '2001-01-01');
    insert into crm.contract_2 values (101, 1, null);
    insert into crm.ticket values (1, 1)`)
  await bed.govern(`${HEAD}
  - id: ticket
    table: crm.ticket
    start: { latest: crm.contract.ended_on, by: { customer_id: customer_id }, via: crm.customer }
    keep: 5 years
    then: purge
`)
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  let waited = false

  const result = await bed.enforce({
    onStep: async (step) => {
      if (step !== 'decided') return
      await session.send(
        'alter table crm.contract attach partition crm.contract_2 for values from (100) to (200)',
      )
      waited = session.busy
    },
  })
  await session.drain()

  expect(waited).toBe(true)
  expect(result.rules[0]).toMatchObject({ rows: 1 })
})

test('heirs are not touched by a rule on the own rows of their parent', async ({ bed }) => {
  await bed.run(`
    create schema crm;
    create table crm.journey (id int primary key, ended_on date, driver text);
    create table crm.abroad (primary key (id)) inherits (crm.journey);
    create table crm.stop (id int primary key, journey_id int references crm.journey);
    create table crm.stop_abroad (primary key (id)) inherits (crm.stop);
    insert into crm.journey select n, '2001-01-01', 'A' from generate_series(1, 10) as n;
    insert into crm.abroad select n, '2001-01-01', 'A' from generate_series(1, 10) as n;
    insert into crm.stop select n, n from generate_series(1, 10) as n;
    insert into crm.stop_abroad select n, n from generate_series(1, 10) as n`)
  await bed.govern(`${HEAD}
  - id: journey
    table: crm.journey
    inheritance: only
    start: ended_on
    keep: 3 years
    then: purge
    references: { crm.stop: with_parent }
`)

  const result = await bed.enforce()

  expect(result.rules[0]).toMatchObject({ rows: 10, childRows: 10, left: 0 })
  expect(
    await bed.rows(`
      select (select count(*)::int from only crm.journey) as own, (select count(*)::int from crm.abroad) as heirs,
        (select count(*)::int from crm.stop_abroad) as stops`),
  ).toEqual([{ own: 0, heirs: 10, stops: 10 }])
})
