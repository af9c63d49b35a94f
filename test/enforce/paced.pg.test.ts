/** Runs at the pace that a policy gives them: faults.md R2 and R6. */
import { expect } from 'vitest'
import { silentLog } from '../../src/base/log.ts'
import { openSession } from '../support/faults.ts'
import { test, type Bed } from '../support/bed.ts'

const policy = (pace: string): string => `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults:
  mode: enforce
  limits: { max_rows: 100000, max_percent: 100 }
  batch: { rows: 100, walk: key }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge, pace: ${pace} }
`

async function openVisits(bed: Bed, pace: string): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at timestamptz);
    insert into site.visit select n, now() - interval '2 years' from generate_series(1, 500) as n`)
  await bed.govern(policy(pace))
}

test('a rule whose window is closed does nothing, and says that its rows are left', async ({
  bed,
}) => {
  const hour = new Date().getUTCHours()
  const at = (later: number): string => `"${String((hour + later) % 24).padStart(2, '0')}:00"`
  await openVisits(bed, `{ window: { from: ${at(3)}, to: ${at(5)} } }`)

  expect(await bed.enforce()).toMatchObject({
    outcome: 'partial',
    exit: 4,
    rules: [{ rows: 0, left: 500, ended: 'window' }],
  })
})

test('a rule whose time is over stops at the border of a batch, and the next run goes on from there', async ({
  bed,
}) => {
  await openVisits(bed, '{ max_duration: 1 second }')
  const begunMs = performance.now()

  const first = await bed.enforce({
    connections: 1,
    onStep: async (step) => {
      if (step !== 'begun') return
      // The first batch takes longer than the rule may.
      while (performance.now() - begunMs < 1500) await bed.rows('select')
    },
  })
  const second = await bed.enforce()

  expect(first).toMatchObject({ outcome: 'partial', rules: [{ ended: 'max_duration' }] })
  expect(first.rules[0]?.rows).toBeGreaterThan(0)
  expect((first.rules[0]?.rows ?? 0) % 100).toBe(0)
  expect(second).toMatchObject({ outcome: 'done', rules: [{ left: 0, ended: null }] })
  expect((first.rules[0]?.rows ?? 0) + (second.rules[0]?.rows ?? 0)).toBe(500)
})

test('a run waits outside of any transaction while sessions wait for locks, and goes on by itself', async ({
  bed,
}) => {
  await openVisits(bed, '{ share: 100, pause_when: { lock_waiters: 1 } }')
  await bed.run('create table site.other (id int)')
  const { superuserUrl, superuser } = bed.database
  await using holder = await openSession(superuserUrl, superuser)
  await using waiter = await openSession(superuserUrl, superuser)
  await holder.send('begin')
  await holder.send('lock table site.other')
  await waiter.send('select from site.other')

  const paused = Promise.withResolvers<void>()
  const run = bed.enforce({ log: { ...silentLog, warn: () => paused.resolve() } })
  await paused.promise
  const open = await bed.rows(
    `select from pg_stat_activity where usename = '${bed.roles.daemon}' and xact_start is not null`,
  )
  const before = (await bed.rows('select from site.visit')).length
  await holder.send('rollback')
  await waiter.drain()

  expect(await run).toMatchObject({
    outcome: 'done',
    rules: [{ rows: 500, pauses: { lock_waiters: 1 } }],
  })
  expect([before, open.length]).toEqual([500, 0])
})
