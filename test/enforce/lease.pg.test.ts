import { expect } from 'vitest'
import { LeaseError, TransientDatabaseError } from '../../src/base/errors.ts'
import { releaseLease, renewLease, takeLease, type Lease } from '../../src/db/lease.ts'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { readEntries } from '../../src/journal/read.ts'
import { parseEntry } from '../../src/journal/entry.ts'
import { test, type Bed } from '../support/bed.ts'
import { openSession, STEPS } from '../support/faults.ts'

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 5 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

async function openVisits(bed: Bed, due: number): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at timestamptz);
    create table site.seen (rows int);
    insert into site.visit select n, now() - interval '2 years' from generate_series(1, ${due}) as n`)
  await bed.govern(POLICY)
}

async function left(bed: Bed): Promise<number> {
  return (await bed.rows('select from site.visit')).length
}

/** The lease runs out although its holder is still at work, as after a long pause of its process. */
async function expire(bed: Bed): Promise<void> {
  await bed.run("update retentiond.lease set expires_at = clock_timestamp() - interval '1 second'")
}

async function outcomes(bed: Bed): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { body } of readEntries(bed.connection.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type === 'run' && entry.phase === 'end') found.push(entry.outcome)
  }
  return found
}

const TAKE_OVER = `
  update retentiond.lease
  set
    token = token + 1,
    holder = 'another instance',
    expires_at = clock_timestamp() + interval '1 hour'`

/** What whoever takes over finds. */
const LOOK = 'insert into site.seen select count(*) from site.visit'

/** Calls `act` after a step of one batch, the first being 1. */
function inBatch(
  number: number,
  at: BatchStep,
  act: () => Promise<void>,
): (step: BatchStep) => Promise<void> {
  let batch = 0
  return async (step) => {
    if (step === 'begun') batch += 1
    if (batch === number && step === at) await act()
  }
}

test('a second enforcer is told who holds the lease and since when, and does nothing', async ({
  bed,
}) => {
  await openVisits(bed, 12)
  let refusal: unknown
  const first = await bed.enforce({
    holder: 'enforce on one, process 1',
    onStep: inBatch(2, 'decided', async () => {
      refusal = await bed
        .enforce({ holder: 'enforce on two, process 2' })
        .catch((error: unknown) => error)
    }),
  })

  expect(first).toMatchObject({ outcome: 'done', exit: 0 })
  expect(refusal).toBeInstanceOf(LeaseError)
  expect(refusal).toMatchObject({ code: 'LEASE_HELD', exit: 75 })
  expect((refusal as LeaseError).message).toMatch(
    /^enforce on one, process 1 holds the lease since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/,
  )
  expect(await outcomes(bed)).toEqual(['done'])
})

test('the lease is free again when a run has ended, however it ended', async ({ bed }) => {
  await openVisits(bed, 12)
  const broken = new Error('broken')

  const failed = await bed.enforce({
    onStep: () => {
      throw broken
    },
  })

  expect(failed).toMatchObject({ outcome: 'failed', exit: 1, error: broken })
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0 })
})

test('a lease that ran out is taken over with a higher token, and its first holder acts no more', async ({
  bed,
}) => {
  await openVisits(bed, 20)
  const { db } = bed.connection
  const taken: Lease[] = []
  const first = await bed.enforce({
    onStep: inBatch(2, 'begun', async () => {
      await expire(bed)
      taken.push(await takeLease(db, 'another instance'))
    }),
  })

  expect(first).toMatchObject({ outcome: 'lease', exit: 75, error: { code: 'LEASE_LOST' } })
  expect(await left(bed)).toBe(15)
  expect(await bed.rows('select token::int, holder from retentiond.lease')).toEqual([
    { token: 2, holder: 'another instance' },
  ])
  for (const lease of taken) await releaseLease(db, lease)
  expect(await bed.enforce()).toMatchObject({ outcome: 'done' })
})

test('a lease that ran out is no right to act, even if nobody took it over', async ({ bed }) => {
  await openVisits(bed, 20)

  const result = await bed.enforce({ onStep: inBatch(2, 'begun', async () => expire(bed)) })

  expect(result).toMatchObject({ outcome: 'lease', exit: 75, error: { code: 'LEASE_LOST' } })
  expect(await left(bed)).toBe(15)
})

test.for(STEPS.filter((step) => step !== 'begun'))(
  'a take-over after step %s waits for the batch in hand, and nothing goes after it',
  async (step, { bed }) => {
    await openVisits(bed, 20)
    const { superuserUrl, superuser } = bed.database
    await using other = await openSession(superuserUrl, superuser)
    let waits = false
    const result = await bed.enforce({
      onStep: inBatch(2, step, async () => {
        for (const statement of ['begin', TAKE_OVER, LOOK, 'commit']) await other.send(statement)
        waits = other.busy
      }),
    })
    await other.drain()

    expect(waits).toBe(true)
    // Renewals may be faster than the one that waits, up to the end of the run.
    expect(['lease', 'done']).toContain(result.outcome)
    expect(await left(bed)).toBeLessThanOrEqual(10)
    expect(await bed.rows('select rows from site.seen')).toEqual([{ rows: await left(bed) }])
    await bed.run('update retentiond.lease set holder = null, expires_at = null')
  },
)

test('a lease that was taken over can be neither renewed nor given back by its first holder', async ({
  bed,
}) => {
  await openVisits(bed, 1)
  const { db } = bed.connection
  const first = await takeLease(db, 'one')
  await expire(bed)
  const second = await takeLease(db, 'two')

  await expect(renewLease(db, first)).rejects.toMatchObject({ code: 'LEASE_LOST' })
  await releaseLease(db, first)

  expect(second.token).toBeGreaterThan(first.token)
  expect(await bed.rows('select holder from retentiond.lease')).toEqual([{ holder: 'two' }])
  await renewLease(db, second)
  await releaseLease(db, second)
})

test('the lease is renewed before each attempt at a batch', async ({ bed }) => {
  await openVisits(bed, 20)
  let attempts = 0

  const result = await bed.enforce({
    onStep: async (step) => {
      if (step !== 'begun') return
      attempts += 1
      if (attempts !== 2) return
      await expire(bed)
      throw new TransientDatabaseError('given up')
    },
  })

  expect(result).toMatchObject({ outcome: 'done', exit: 0 })
  expect(await left(bed)).toBe(0)
})

test.for([
  ['renewed', renewLease],
  ['given back', releaseLease],
] as const)(
  'a lease is not waited for longer than a batch waits for a lock when it is %s',
  async ([, change], { bed }) => {
    await openVisits(bed, 1)
    const { superuserUrl, superuser } = bed.database
    const lease = await takeLease(bed.connection.db, 'one')
    await using other = await openSession(superuserUrl, superuser)
    await other.send('begin')
    await other.send('select from retentiond.lease for update')

    await expect(change(bed.connection.db, lease)).rejects.toMatchObject({ code: '55P03' })

    await other.send('rollback')
    await releaseLease(bed.connection.db, lease)
  },
)

test('of many enforcers that come at once, one gets the lease', async ({ bed }) => {
  await openVisits(bed, 1)
  const { db } = bed.connection

  const tries = await Promise.allSettled(
    Array.from({ length: 8 }, async (_, n) => takeLease(db, `instance ${n}`)),
  )

  const got = tries.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
  const refused = tries.flatMap((attempt): unknown[] =>
    attempt.status === 'rejected' ? [attempt.reason] : [],
  )
  expect(got).toHaveLength(1)
  expect(refused).toEqual(
    Array.from(refused, () => expect.objectContaining({ code: 'LEASE_HELD' })),
  )
  for (const lease of got) await releaseLease(db, lease)
})
