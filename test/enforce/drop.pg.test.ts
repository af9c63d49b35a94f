/** Partitions that are dropped whole: faults.md D8, with an application that works on them meanwhile. */
import { CompiledQuery } from 'kysely'
import { expect } from 'vitest'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { silentLog, type LogFields } from '../../src/base/log.ts'
import { connect } from '../../src/db/connect.ts'
import { sqlstateOf } from '../../src/db/sqlstate.ts'
import { parseEntry } from '../../src/journal/entry.ts'
import { EvidenceKey } from '../../src/journal/evidence.ts'
import { readEntries, readWithTokens } from '../../src/journal/read.ts'
import { openDesk } from '../hold/desk.ts'
import { test, type Bed } from '../support/bed.ts'
import { openSession, type Outcome } from '../support/faults.ts'

const policy = (partitions = 'drop'): string => `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults:
  mode: enforce
  limits: { max_rows: 100000, max_percent: 100 }
  batch: { rows: 20, partitions: ${partitions} }
  pace: { share: 100 }
rules:
  - id: event
    table: site.event
    where: { kind: visit }
    start: at
    keep: 12 months
    then: purge
`

/** Months of 2020, one of them divided by kind; a year to come; a default partition with old rows. */
async function openEvents(bed: Bed): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.event (id int, at timestamptz, kind text) partition by range (at);
    create table site.event_01 partition of site.event for values from ('2020-01-01') to ('2020-02-01');
    create table site.event_02 partition of site.event for values from ('2020-02-01') to ('2020-03-01');
    create table site.event_03 partition of site.event for values from ('2020-03-01') to ('2020-04-01')
      partition by list (kind);
    create table site.event_03_visit partition of site.event_03 for values in ('visit');
    create table site.event_03_order partition of site.event_03 for values in ('order');
    create table site.event_now partition of site.event for values from ('2020-04-01') to ('2100-01-01');
    create table site.event_rest partition of site.event default;
    alter table site.event add primary key (id, at, kind);
    insert into site.event
    select n, timestamptz '2020-01-10 00:00Z' + (n % 3) * interval '31 days', 'visit'
    from generate_series(0, 89) as n;
    insert into site.event values
      (100, '2020-02-10', 'order'), (101, '2020-03-10', 'order'), (102, now(), 'visit'),
      (103, '2020-04-10', 'visit'), (104, '2001-01-01', 'visit')`)
}

async function partitions(bed: Bed): Promise<readonly string[]> {
  const rows = await bed.rows<{ name: string }>(
    "select relid::regclass::text as name from pg_partition_tree('site.event') where isleaf order by 1",
  )
  return rows.map(({ name }) => name.replace('site.event_', ''))
}

async function left(bed: Bed): Promise<readonly number[]> {
  return (await bed.rows<{ id: number }>('select id from site.event order by id')).map(
    ({ id }) => id,
  )
}

async function methods(bed: Bed): Promise<readonly string[]> {
  await using reader = connect(bed.database.superuserUrl)
  const found: string[] = []
  for await (const { body } of readEntries(reader.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type === 'batch') found.push(`${entry.method} ${entry.rows}`)
  }
  return found
}

test('a partition of which every row is due is dropped whole, and rows of others are swept', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.govern(policy())

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules[0]?.walk.drops).toEqual({
    partitions: 4,
    why: 'each of which every row is due when it is locked; 2 are swept: default partition, not bounded by a day that is over',
  })
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 92, dropped: 2, left: 0 }] })
  expect(await partitions(bed)).toEqual(['02', '03_order', 'now', 'rest'])
  expect(await left(bed)).toEqual([100, 101, 102])
  expect(await methods(bed)).toEqual(expect.arrayContaining(['sql-drop 30', 'sql-drop 30']))
})

test('without being told to, a run drops no partition', async ({ bed }) => {
  await openEvents(bed)
  await bed.govern(policy('sweep'))

  expect((await bed.plan()).rules[0]?.walk.drops).toBeNull()
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [{ rows: 92, dropped: 0 }] })
  expect((await partitions(bed)).length).toBe(6)
})

/** Tells a run's steps apart by the partition: the first attempt is on `event_01`. */
function once(at: BatchStep, act: () => Promise<void>) {
  let done = false
  return async (step: BatchStep): Promise<void> => {
    if (step !== at || done) return
    done = true
    await act()
  }
}

test.for<[BatchStep, readonly boolean[], string, string | undefined]>([
  // Seen as soon as some rows are decided, and then nothing more is.
  ['catalog', [true, false], 'site.event_01', 'somebody waits for it'],
  // The run does not wait for whoever waits for it: the partition is left, with the row.
  ['decided', [true, false], 'site.event_01', 'another session uses it'],
  ['acted', [true, true], 'site.event_rest', undefined],
])(
  'no row comes into a partition between its decision and its end: one that comes at %s waits, and is kept',
  async ([step, waits, stands, why], { bed }) => {
    await openEvents(bed)
    await bed.govern(policy())
    const { superuserUrl, superuser } = bed.database
    await using writer = await openSession(superuserUrl, superuser)
    await using reader = await openSession(superuserUrl, superuser)
    const outcomes: Outcome[] = []
    const waited: boolean[] = []
    const reasons: unknown[] = []
    const info = ({ reason, partition }: LogFields): void => {
      if (partition === 'site.event_01') reasons.push(reason)
    }

    await bed.enforce({
      log: { ...silentLog, info },
      onStep: once(step, async () => {
        bed.forget('site.event', -1)
        await writer.send("insert into site.event values (500, '2020-01-20', 'order')", (outcome) =>
          outcomes.push(outcome),
        )
        await reader.send('select from site.event')
        waited.push(writer.busy, reader.busy)
      }),
    })
    await writer.drain()
    await reader.drain()

    expect(waited).toEqual(waits)
    expect(reasons[0]).toBe(why)
    expect(outcomes).toMatchObject([{ rows: 1, sqlstate: null }])
    expect(
      await bed.rows('select tableoid::regclass::text as at from site.event where id = 500'),
    ).toEqual([{ at: stands }])
  },
)

test.for(['committed', 'not committed', 'committed, and repeatable read is the default'])(
  'a row that stays and came before the lock keeps its partition: %s',
  async (kind, { bed }) => {
    await openEvents(bed)
    // What is decided after a lock is decided on a snapshot that is newer than the lock.
    const level = kind.includes('repeatable') ? 'repeatable read' : 'read committed'
    await bed.run(`alter role ${bed.roles.daemon} set default_transaction_isolation = '${level}'`)
    await bed.govern(policy())
    const { superuserUrl, superuser } = bed.database
    await using writer = await openSession(superuserUrl, superuser)

    const result = await bed.enforce({
      onStep: once('shape', async () => {
        if (kind === 'not committed') await writer.send('begin')
        await writer.send("insert into site.event values (500, '2020-01-20', 'order')")
        bed.forget('site.event', -1)
      }),
    })
    if (kind === 'not committed') await writer.send('commit')

    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 92, dropped: 1 }] })
    expect(await left(bed)).toEqual([100, 101, 102, 500])
  },
)

test.for<BatchStep>(['rows', 'decided', 'acted', 'journalled'])(
  'a crash in the middle of a drop leaves the partition and no entry: at %s',
  async (step, { bed }) => {
    await openEvents(bed)
    await bed.govern(policy())
    const stopping = new AbortController()

    const first = await bed.enforce({
      // A run that is to stop does not wait for the database.
      signal: stopping.signal,
      onStep: once(step, async () => {
        stopping.abort()
        await bed.run(`
          select pg_terminate_backend(pid, 5000) from pg_stat_activity
          where usename = '${bed.roles.daemon}' and xact_start is not null`)
      }),
    })
    const after = [await partitions(bed), await methods(bed)]
    const second = await bed.enforce()

    expect(first).toMatchObject({ outcome: 'failed' })
    expect(after).toEqual([['01', '02', '03_order', '03_visit', 'now', 'rest'], []])
    expect(second).toMatchObject({ outcome: 'done', rules: [{ rows: 92, dropped: 2 }] })
  },
)

test('a hold keeps its partition, and one that is lifted does so no longer', async ({ bed }) => {
  await openEvents(bed)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place({
    kind: 'row',
    table: 'site.event',
    key: ['0', '2020-01-10 00:00:00+00', 'visit'],
  })

  const held = await bed.enforce()
  await desk.lift()
  const lifted = await bed.enforce()

  expect(held.rules).toMatchObject([{ rows: 91, dropped: 0 }])
  expect(lifted.rules).toMatchObject([{ rows: 1, dropped: 1 }])
})

const KEY = new EvidenceKey('ek-2026', Buffer.alloc(32, 7))

test('each row of a partition that was dropped is committed to, and the markers of its rows go with it', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.govern(policy())
  await bed.run(`
    insert into retentiond.anonymised (table_oid, key, rule, mask_digest, seq)
    select 'site.event'::regclass, array[id::text, at::text, kind], 'former', '', 0 from site.event`)

  const result = await bed.enforce({ evidenceKey: KEY })

  const dropped: (readonly [unknown, number | undefined])[] = []
  await using reader = connect(bed.database.superuserUrl)
  for await (const { body, tokens } of readWithTokens(reader.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type !== 'batch' || entry.method !== 'sql-drop') continue
    dropped.push([entry.evidence.alg, tokens?.length])
  }
  expect(result.rules).toMatchObject([{ rows: 92, dropped: 2 }])
  expect(dropped).toEqual([
    ['pj1', 30 * 32],
    ['pj1', 30 * 32],
  ])
  expect(await bed.rows('select from retentiond.anonymised')).toHaveLength(3)
})

test('a table whose deletes are listened to, or without the function of its owner, loses no partition', async ({
  bed,
}) => {
  await openEvents(bed)
  const why = async (): Promise<string | undefined> => {
    await bed.govern(policy())
    return (await bed.plan()).rules[0]?.walk.drops?.why
  }
  await bed.run(`create publication feed for table site.event`)
  const reasons = [await why()]
  await bed.run('drop publication feed')
  await bed.govern(policy())
  await bed.run(
    `revoke execute on function site.retentiond_drop_of_event(oid) from ${bed.roles.daemon}`,
  )
  reasons.push((await bed.plan()).rules[0]?.walk.drops?.why)
  const swept = await bed.enforce()

  expect(reasons).toEqual([
    'publication feed passes on deletes, and not that a table is dropped',
    'the role may not: run what retentiond grants prints',
  ])
  expect(swept).toMatchObject({ outcome: 'done', rules: [{ rows: 92, dropped: 0 }] })
})

test('the function of the owner drops no default partition, no table of its own, and not the whole', async ({
  bed,
}) => {
  await openEvents(bed)
  await bed.govern(policy())
  await bed.run('create table site.other (id int)')
  const codes: unknown[] = []
  for (const table of ['site.event_rest', 'site.event', 'site.event_03', 'site.other']) {
    const call = CompiledQuery.raw(`select site.retentiond_drop_of_event('${table}'::regclass)`)
    codes.push(
      await bed.connection.db.executeQuery(call).then(
        () => 'dropped',
        (error: unknown) => sqlstateOf(error),
      ),
    )
  }

  expect(codes).toEqual(['42501', '42501', '42501', '42501'])
})
