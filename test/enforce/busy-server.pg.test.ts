/** A server and an application that are busy: faults.md C6, L6, L8, R1 and R3. */
import { expect } from 'vitest'
import { silentLog } from '../../src/base/log.ts'
import { connect } from '../../src/db/connect.ts'
import { test, type Bed } from '../support/bed.ts'
import { openSession, terminate, type Outcome } from '../support/faults.ts'

const policy = (rules: string, batch = '{ rows: 5 }', pace = '{ share: 100 }'): string => `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: ${batch}, pace: ${pace} }
rules:
${rules}`

const VISIT = '  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }'

async function openVisits(bed: Bed, rows: number): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at timestamptz);
    insert into site.visit select n, now() - interval '2 years' from generate_series(1, ${rows}) as n`)
}

async function left(bed: Bed): Promise<number> {
  return (await bed.rows('select from site.visit')).length
}

test('a server that ends idle sessions loses no run, and none has a transaction open while it rests', async ({
  bed,
}) => {
  await openVisits(bed, 12)
  await bed.govern(policy(VISIT, '{ rows: 4, walk: key }', '{ share: 30 }'))
  const { daemon } = bed.roles
  await bed.run(`
    alter role ${daemon} set idle_session_timeout = '50ms';
    alter role ${daemon} set idle_in_transaction_session_timeout = '50ms'`)
  await using through = connect(bed.database.urlOf(daemon), { max: 1 })
  const sessions = new Set<number>()
  const open: Promise<readonly unknown[]>[] = []

  const result = await bed.enforce({
    db: through.db,
    onStep: async (step) => {
      if (step !== 'rows') return
      // A transaction of ours has a limit of its own.
      const found = await bed.rows<{ pid: number }>(
        `select pid, pg_sleep(0.1) from pg_stat_activity where usename = '${daemon}' and xact_start is not null`,
      )
      for (const { pid } of found) sessions.add(pid)
    },
    log: {
      ...silentLog,
      info: (_fields, message) => {
        if (message !== 'batch committed') return
        open.push(
          bed.rows(
            `select from pg_stat_activity where usename = '${daemon}' and xact_start is not null`,
          ),
        )
      },
    },
  })

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 12, left: 0 }] })
  expect(sessions.size).toBeGreaterThan(1)
  expect(await Promise.all(open)).toEqual([[], [], []])
})

test('a run takes no more sessions than it was told to, and waits where the server has none left', async ({
  bed,
}) => {
  await openVisits(bed, 40)
  await bed.govern(policy(VISIT))
  const { superuser } = bed.database
  const { daemon } = bed.roles
  await using through = connect(bed.database.urlOf(daemon), { max: 2 })
  const plan = await bed.plan()
  await terminate(superuser, daemon)
  await bed.run(`alter role ${daemon} connection limit 2`)
  const attempts: unknown[] = []
  let batches = 0

  const result = await bed.enforce({
    plan,
    db: through.db,
    connections: 2,
    onStep: async (step) => {
      if (step !== 'begun') return
      batches += 1
      if (batches !== 3) return
      await bed.run(`alter role ${daemon} connection limit 0`)
      await terminate(superuser, daemon)
    },
    log: {
      ...silentLog,
      warn: ({ attempt }) => {
        attempts.push(attempt)
        if (attempt === 2) void bed.run(`alter role ${daemon} connection limit 2`)
      },
    },
  })

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 40, left: 0 }] })
  expect(attempts.slice(0, 2)).toEqual([1, 2])
  expect(await left(bed)).toBe(0)
})

test('rows that the application keeps locked are skipped and counted, and go in the next run', async ({
  bed,
}) => {
  await openVisits(bed, 100)
  await bed.govern(policy(VISIT, '{ rows: 50 }'))
  const { superuserUrl, superuser } = bed.database
  await using application = await openSession(superuserUrl, superuser)
  await application.send('begin')
  await application.send('select from site.visit where id between 31 and 40 for update')

  const first = await bed.enforce()
  await application.send('rollback')
  const second = await bed.enforce()

  expect(first).toMatchObject({ outcome: 'partial', exit: 4, rules: [{ rows: 90, left: 10 }] })
  expect(second).toMatchObject({ outcome: 'done', exit: 0, rules: [{ rows: 10, left: 0 }] })
})

test('behind a migration that waits for a table a run gives up, comes back and finishes', async ({
  bed,
}) => {
  await openVisits(bed, 10)
  await bed.govern(policy(VISIT))
  const { superuserUrl, superuser } = bed.database
  await using reader = await openSession(superuserUrl, superuser)
  await using migration = await openSession(superuserUrl, superuser)
  const given: string[] = []
  let begun = false

  const result = await bed.enforce({
    onStep: async (step) => {
      if (begun || step !== 'lease') return
      begun = true
      await reader.send('begin')
      await reader.send('select from site.visit')
      await migration.send('begin')
      await migration.send('lock table site.visit in access exclusive mode')
    },
    log: {
      ...silentLog,
      warn: (_fields, message) => {
        given.push(message)
        void reader.send('commit').then(async () => migration.send('commit'))
      },
    },
  })

  expect(given).toEqual(['batch given up by the database, tried again'])
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 10 }] })
})

test('nobody waits for longer than a second behind a lock that a batch wants and does not get', async ({
  bed,
}) => {
  await bed.run(`
    create schema site;
    create table site.ticket (id int primary key, customer int);
    create table site.contract (id int primary key, customer int, ended_on date);
    insert into site.ticket values (1, 1);
    insert into site.contract values (1, 1, '2001-01-01'), (2, 2, '2001-01-01')`)
  // Nothing but a lock on all of the contracts keeps one from being inserted.
  await bed.govern(
    policy(
      '  - { id: ticket, table: site.ticket, start: { latest: site.contract.ended_on, by: { customer: customer } }, keep: 1 year, then: purge }',
    ),
  )
  const { superuserUrl, superuser } = bed.database
  await using writer = await openSession(superuserUrl, superuser)
  await using other = await openSession(superuserUrl, superuser)
  const waited = Promise.withResolvers<{ outcome: Outcome; ms: number; behindUs: boolean }>()
  let begun = false

  const running = bed.enforce({
    onStep: async (step) => {
      if (begun || step !== 'lease') return
      begun = true
      await writer.send('begin')
      await writer.send('update site.contract set ended_on = ended_on where id = 2')
      void behind()
    },
  })
  const behind = async () => {
    const asks = `select from pg_locks where not granted and mode = 'ShareLock'`
    while ((await bed.rows(asks)).length === 0);
    const sinceMs = performance.now()
    let behindUs = false
    await other.send('update site.contract set ended_on = ended_on where id = 1', (outcome) => {
      waited.resolve({ outcome, ms: performance.now() - sinceMs, behindUs })
    })
    behindUs = other.busy
    await waited.promise
    await writer.send('commit')
  }
  const { outcome, ms, behindUs } = await waited.promise

  expect(await running).toMatchObject({ outcome: 'done', rules: [{ rows: 1 }] })
  expect([outcome.sqlstate, behindUs]).toEqual([null, true])
  expect(ms).toBeLessThan(1000)
})

test('a server without disk space is asked for nothing more: neither the batch again nor the next rule', async ({
  bed,
}) => {
  await openVisits(bed, 10)
  await bed.run(`create table site.click (id int primary key, at date);
    insert into site.click values (1, '2001-01-01')`)
  await bed.govern(
    policy(`${VISIT}\n  - { id: click, table: site.click, start: at, keep: 1 year, then: purge }`),
  )
  let batches = 0

  const result = await bed.enforce({
    onStep: (step) => {
      if (step !== 'begun') return
      batches += 1
      throw Object.assign(new Error('could not extend file'), { code: '53100' })
    },
  })

  expect(result).toMatchObject({ outcome: 'failed', exit: 1, rules: [] })
  expect(batches).toBe(1)
  expect([await left(bed), (await bed.rows('select from site.click')).length]).toEqual([10, 1])
})
