import { expect, test } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { takeLease } from '../../src/db/lease.ts'
import { connect } from '../../src/db/connect.ts'
import type { RunResult } from '../../src/enforce/run.ts'
import { openBed, type Bed } from '../support/bed.ts'
import { openLink, openSession, type Cut } from '../support/faults.ts'

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults:
  mode: enforce
  limits: { max_rows: 1000, max_percent: 100 }
  batch: { rows: 5 }
  pace: { share: 100 }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

async function openVisits(bed: Bed): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at timestamptz);
    insert into site.visit select n, now() - interval '2 years' from generate_series(1, 20) as n`)
  await bed.govern(POLICY)
}

async function left(bed: Bed): Promise<number> {
  return (await bed.rows('select from site.visit')).length
}

async function expire(bed: Bed): Promise<void> {
  await bed.run("update retentiond.lease set expires_at = clock_timestamp() - interval '1 second'")
}

/** From here on nobody but the holder can write the lease: its batch has it locked. */
const SOON =
  "update retentiond.lease set expires_at = clock_timestamp() + interval '300 milliseconds'"

async function untilExpired(bed: Bed): Promise<void> {
  while (
    (await bed.rows('select from retentiond.lease where expires_at > clock_timestamp()')).length > 0
  );
}

test('a run whose lease was taken over by another run has one end in the journal', async () => {
  await using bed = await openBed()
  await openVisits(bed)
  let batch = 0
  const second: RunResult[] = []

  const first = await bed.enforce({
    onStep: async (step) => {
      if (step === 'begun') batch += 1
      if (batch !== 2 || step !== 'begun') return
      await expire(bed)
      second.push(await bed.enforce())
    },
  })

  expect(first).toMatchObject({ outcome: 'lease', error: { code: 'LEASE_LOST' } })
  expect(second).toMatchObject([{ outcome: 'done', rules: [{ rows: 15 }] }])
  expect(await left(bed)).toBe(0)
})

test('a lease that ran out in the middle of a batch is held until the batch has ended', async () => {
  await using bed = await openBed()
  await openVisits(bed)
  let refusal: unknown
  // The lease is made to run out in 300 ms: to the run it must look like a batch of half a minute.
  const passed = { ms: 0 }
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + passed.ms }

  const result = await bed.enforce({
    holder: 'the first',
    clock,
    connections: 1,
    onStep: async (step) => {
      if (step === 'begun' && refusal === undefined) await bed.run(SOON)
      if (step !== 'decided' || refusal !== undefined) return
      await untilExpired(bed)
      refusal = await takeLease(bed.connection.db, 'the second').catch((error: unknown) => error)
      passed.ms = 30_000
    },
  })

  expect(refusal).toMatchObject({ code: 'LEASE_HELD', exit: 75 })
  expect(String(refusal)).toContain('the first')
  expect(result.outcome).toBe('done')
})

/** The answer to the commit of the first batch is lost in this way. */
async function enforceOver(bed: Bed, cut: Cut): Promise<RunResult & { readonly cuts: number }> {
  await using link = await openLink(bed.database.urlOf(bed.roles.daemon))
  await using connection = connect(link.url, { max: 4 })
  // Nothing but a batch keeps persons from placing holds.
  link.arm(cut, 'retentiond.close_holds()')
  const result = await bed.enforce({ db: connection.db })
  return { ...result, cuts: link.cuts }
}

test('a batch whose answer to the commit was lost counts, since its entry is there', async () => {
  await using bed = await openBed()
  await openVisits(bed)

  const result = await enforceOver(bed, 'answer to commit')

  expect(result).toMatchObject({ cuts: 1, outcome: 'done', rules: [{ rows: 20, batches: 4 }] })
  expect(await left(bed)).toBe(0)
})

test('a batch whose commit never arrived does not count, and is done again once that is known', async () => {
  await using bed = await openBed()
  await openVisits(bed)

  const result = await enforceOver(bed, 'before commit')

  expect(result).toMatchObject({ cuts: 1, outcome: 'done', rules: [{ rows: 20, batches: 4 }] })
  expect(await left(bed)).toBe(0)
})

/** A commit of a batch that takes as long as somebody holds an advisory lock. */
const SLOW_COMMIT = `
  create function site.linger() returns trigger language plpgsql security definer as $$
  begin
    if position('"type":"batch"' in convert_from(new.body, 'UTF8')) > 0 then
      perform pg_catalog.pg_advisory_xact_lock(7);
    end if;
    return null;
  end $$;
  create constraint trigger linger after insert on retentiond.entry
  deferrable initially deferred for each row execute function site.linger();
  -- A batch makes every constraint immediate; this one is about its commit.
  create function site.defer() returns trigger language plpgsql security definer as $$
  begin
    set constraints retentiond.linger deferred;
    return new;
  end $$;
  create trigger defer before insert on retentiond.entry
  for each row execute function site.defer();
  grant usage on schema site to public`

/** Looks until as many sessions wait for locks, or until there is nothing to look for any more. */
async function untilWaiting(bed: Bed, sessions: number, isOver: () => boolean): Promise<void> {
  for (;;) {
    const waiting = await bed.rows(`
      select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`)
    if (isOver() || waiting.length >= sessions) return
  }
}

test('a batch that is still being committed when the link is lost is waited for', async () => {
  await using bed = await openBed()
  await openVisits(bed)
  await bed.run(SLOW_COMMIT)
  const { superuserUrl, superuser } = bed.database
  await using blocker = await openSession(superuserUrl, superuser)
  await blocker.send('select pg_advisory_lock(7)')
  let over = false

  const [result] = await Promise.all([
    enforceOver(bed, 'during commit').finally(() => {
      over = true
    }),
    // One of them commits, the other wants to know what became of it.
    untilWaiting(bed, 2, () => over).then(async () => blocker.send('select pg_advisory_unlock(7)')),
  ])

  expect(result).toMatchObject({ cuts: 1, outcome: 'done', rules: [{ rows: 20, batches: 4 }] })
  expect(await left(bed)).toBe(0)
})
