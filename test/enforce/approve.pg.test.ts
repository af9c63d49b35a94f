import { expect, test } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { approvePlan } from '../../src/enforce/approve.ts'
import { approvals, enforceNow } from '../../src/enforce/requests.ts'
import { silentLog } from '../../src/base/log.ts'
import { openBed, type Bed } from '../support/bed.ts'

const policy = (keep: string): string => `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
  - { id: connection, table: site.connection, start: at, keep: ${keep}, then: purge }
`

async function connections(bed: Bed): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.connection (id int primary key, at date);
    insert into site.connection values (1, '2015-01-01'), (2, '2016-01-01')`)
}

async function enforceUnattended(bed: Bed, prepared: Awaited<ReturnType<Bed['govern']>>) {
  return enforceNow(
    {
      ...prepared,
      db: bed.connection.db,
      signer: bed.signer,
      clock: systemClock,
      log: silentLog,
      trigger: 'schedule',
      acceptClock: false,
      holder: 'test',
      signal: new AbortController().signal,
    },
    await approvals(bed.connection.db, prepared.set),
  )
}

test('a rule that nobody approved does not act by itself', async () => {
  await using bed = await openBed()
  await connections(bed)
  const prepared = await bed.govern(policy('1 year'))

  const result = await enforceUnattended(bed, prepared)

  expect(result.outcome).toBe('refused')
  expect(result.exit).toBe(3)
  expect(result.refused.map(({ rule }) => rule)).toEqual(['connection'])
  expect(await bed.rows('select id from site.connection')).toHaveLength(2)
})

test('approving a plan destroys nothing, and lets the rule act from its next run on', async () => {
  await using bed = await openBed()
  await connections(bed)
  const prepared = await bed.govern(policy('1 year'))
  const request = { ...prepared, db: bed.connection.db, signer: bed.signer, clock: systemClock }

  const approved = await approvePlan(request, await bed.plan())
  const again = await approvePlan(request, await bed.plan())
  const before = await bed.rows('select id from site.connection')
  const result = await enforceUnattended(bed, prepared)

  expect([approved, again]).toEqual([['connection'], []])
  expect(before).toHaveLength(2)
  expect(result.outcome).toBe('done')
  expect(await bed.rows('select id from site.connection')).toEqual([])
})

test('a shortened period needs an approval of its own', async () => {
  await using bed = await openBed()
  await connections(bed)
  await bed.run("insert into site.connection values (3, (now() - interval '8 months')::date)")
  await bed.govern(policy('1 year'))
  await bed.enforce()

  const shortened = await bed.govern(policy('6 months'))
  const result = await enforceUnattended(bed, shortened)

  expect(result.outcome).toBe('refused')
  expect(await bed.rows('select id from site.connection')).toEqual([{ id: 3 }])
})
