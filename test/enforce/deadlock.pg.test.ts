import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openBed, type Bed } from '../support/bed.ts'
import { openSession, type AppSession, type Outcome } from '../support/faults.ts'
import { openApplication, policyOf } from './application.ts'

/** Below deadlock_timeout (1 s), and long enough that a wait of its own length after it is not. */
const HELD_MS = 700

async function untilRunWaits(bed: Bed): Promise<void> {
  const waiting = `
    select from pg_stat_activity
    where datname = current_database() and usename = '${bed.roles.daemon}' and wait_event_type = 'Lock'`
  while ((await bed.rows(waiting)).length === 0);
}

/** Three tables of a migration in two sessions, in an order that crosses the one of a batch. */
async function migrate(bed: Bed, one: AppSession, other: AppSession): Promise<Outcome> {
  await untilRunWaits(bed)
  const crossing = new Promise<Outcome>((resolve) => {
    void one.send('lock table crm.contract in access exclusive mode', resolve)
  })
  await pause(HELD_MS)
  await other.send('commit')
  const outcome = await crossing
  await one.send('commit')
  return outcome
}

test('a migration that locks tables in another order than a batch is never the victim', async () => {
  await using bed = await openBed()
  await openApplication(bed, 6)
  await bed.govern(policyOf(['ticket'], 2))
  const { superuserUrl, superuser } = bed.database
  await using one = await openSession(superuserUrl, superuser)
  await using other = await openSession(superuserUrl, superuser)
  let begun = false

  const migrated: Promise<Outcome>[] = []
  const result = await bed.enforce({
    onStep: async (step) => {
      if (begun || step !== 'lease') return
      begun = true
      await one.send('begin')
      await one.send('lock table crm.survey in access exclusive mode')
      await other.send('begin')
      await other.send('lock table crm.message in access exclusive mode')
      migrated.push(migrate(bed, one, other))
    },
  })

  expect(await Promise.all(migrated)).toMatchObject([{ sqlstate: null }])
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 6 }] })
})
