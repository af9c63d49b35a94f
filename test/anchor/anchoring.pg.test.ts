import { expect, test } from 'vitest'
import { openAnchored } from '../../src/anchor/anchored.ts'
import { openAnchoring, takenBySink, type AnchoringTools } from '../../src/anchor/anchoring.ts'
import { fileSink } from '../../src/anchor/file-sink.ts'
import { readSinkStatus, renderSinks } from '../../src/anchor/sink-status.ts'
import type { Sink } from '../../src/anchor/sink.ts'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { RestoredError, SinkError } from '../../src/base/errors.ts'
import { silentLog, type Log } from '../../src/base/log.ts'
import { deliver } from '../../src/daemon/pulse.ts'
import { makeCheckpoint } from '../../src/journal/checkpointer.ts'
import { openBed } from '../support/bed.ts'
import { openJournalBench, type JournalBench } from '../journal/bench.ts'
import { fixedClock, policy, runStart, testSigner } from '../journal/builders.ts'
import { checkpointSigner, temporaryFolder } from './journal.ts'

/** A sink in memory that fails as long as it is told to. */
function sinkCalled(name: string, required = true) {
  const calls: { readonly size: number; readonly from: number }[] = []
  const state = { failing: false, forked: false, calls }
  const sink: Sink = {
    name,
    required,
    accept: async ({ size }, from) => {
      calls.push({ size, from })
      if (state.forked) throw new RestoredError('FORKED', 'another one')
      if (state.failing) throw new SinkError('down')
      return { receipt: null }
    },
  }
  return Object.assign(state, { sink })
}

/** A clock that stands until it is moved. */
function movable() {
  const at = { ms: 0 }
  const clock: Clock = {
    now: () => new Date(systemClock.now().getTime() + at.ms),
    monotonicMs: () => at.ms,
  }
  return { clock, pass: (seconds: number) => (at.ms += seconds * 1000) }
}

function toolsOf({ db }: JournalBench) {
  return { db, signer: testSigner, checkpoints: checkpointSigner, clock: fixedClock }
}

const WAYS: Omit<AnchoringTools, 'db' | 'clock' | 'sinks'> = {
  log: silentLog,
  quorum: 1,
  maxLagMs: 24 * 3_600_000,
}

test('a sink that fails is asked again after ten seconds, twenty and forty, and then for the newest', async () => {
  await using bench = await openJournalBench()
  const { clock, pass } = movable()
  const [good, bad] = [sinkCalled('good'), sinkCalled('bad')]
  bad.failing = true
  const warned: unknown[] = []
  const log: Log = { ...silentLog, warn: (fields) => warned.push(fields) }
  const tools = { ...WAYS, db: bench.db, clock, log, sinks: [good.sink, bad.sink] }
  const anchoring = openAnchoring(tools)

  await anchoring.publish(await makeCheckpoint(toolsOf(bench), null))
  await bench.append(policy)
  await anchoring.publish(await makeCheckpoint(toolsOf(bench), null))
  for (const seconds of [9, 1, 19, 1, 39, 1]) {
    pass(seconds)
    await anchoring.retry()
  }
  expect(good.calls).toEqual([
    { size: 2, from: 0 },
    { size: 3, from: 2 },
  ])
  expect(bad.calls.map(({ size }) => size)).toEqual([2, 3, 3, 3])
  expect(warned).toMatchObject([{ seconds: 10 }, { seconds: 20 }, { seconds: 40 }, { seconds: 80 }])
  const looked = async () => readSinkStatus(bench.db, ['bad', 'new'], clock.now())
  const status = await looked()
  expect(status).toMatchObject([
    { sink: 'bad', taken: null, behind: { entries: 3 }, failing: { failures: 4, message: 'down' } },
    { sink: 'good', taken: { size: 3 }, behind: { entries: 0, ms: 0 }, failing: null },
    { sink: 'new', taken: null, behind: { entries: 3 }, failing: null },
  ])
  expect(status[0]?.behind.ms).toBeGreaterThan(60_000)
  expect(renderSinks(status)).toMatch(
    /^sink +bad: nothing taken, 3 behind for 0\.0 h; failed 4 times, last \S+: down\n/,
  )

  bad.failing = false
  pass(80)
  // Another process, which knows what was taken from the database.
  await openAnchoring(tools).retry()
  await anchoring.retry()
  expect(bad.calls.at(-1)).toEqual({ size: 3, from: 0 })
  expect((await looked())[0]).toMatchObject({ taken: { size: 3 }, failing: null })
  expect(await takenBySink(bench.db)).toEqual(
    new Map([
      ['good', 3],
      ['bad', 3],
    ]),
  )
  expect(good.calls).toHaveLength(2)
})

test('an entry is anchored once a quorum of the required sinks has a checkpoint over it', async () => {
  await using bench = await openJournalBench()
  const { clock, pass } = movable()
  const [one, two, other] = [sinkCalled('one'), sinkCalled('two'), sinkCalled('other', false)]
  const sinks = [one.sink, two.sink, other.sink]
  const anchoring = openAnchoring({ ...WAYS, db: bench.db, clock, sinks, quorum: 2 })
  pass(3600)
  expect(await anchoring.lagMs()).toBeGreaterThan(3_500_000)
  two.failing = true
  await anchoring.publish(await makeCheckpoint(toolsOf(bench), null))
  expect(await anchoring.lagMs()).toBeGreaterThan(3_500_000)
  two.failing = false
  anchoring.hurry()
  await anchoring.retry()
  expect(await anchoring.lagMs()).toBe(0)

  pass(25 * 3600)
  await anchoring.requireAnchored()
  await bench.append(policy)
  pass(25 * 3600)
  await expect(anchoring.requireAnchored()).rejects.toMatchObject({ code: 'ANCHOR_LAG', exit: 3 })
})

test('a sink that contradicts the journal stops the daemon, also while the others take it', async () => {
  await using bench = await openJournalBench()
  const [good, forked] = [sinkCalled('good'), sinkCalled('forked')]
  forked.forked = true
  const sinks = [forked.sink, good.sink]
  const anchoring = openAnchoring({ ...WAYS, db: bench.db, clock: systemClock, sinks })
  const checkpointer = openAnchored(toolsOf(bench), anchoring, () => {})

  await expect(checkpointer.sign()).rejects.toMatchObject({ code: 'FORKED', exit: 5 })
  expect(await takenBySink(bench.db)).toEqual(new Map([['good', 2]]))
  const tools = { db: bench.db, signer: testSigner, clock: systemClock, log: silentLog }
  expect(await deliver({ ...tools, checkpointer })).toMatchObject({ code: 'FORKED' })
})

test('what was taken cannot be unsaid by the role of the daemon', async () => {
  await using bench = await openJournalBench()
  const folder = await temporaryFolder()
  const sink = fileSink({ name: 'worm', required: true, folder, evidence: true })
  const anchoring = openAnchoring({ ...WAYS, db: bench.db, clock: systemClock, sinks: [sink] })
  await bench.append(runStart)
  await anchoring.publish(await makeCheckpoint(toolsOf(bench), null))

  expect(await takenBySink(bench.db)).toEqual(new Map([['worm', 3]]))
  await expect(
    bench.db.updateTable('retentiond.anchor').set({ sink: 'x' }).execute(),
  ).rejects.toMatchObject({ code: '42501' })
})

const SITE = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, pace: { share: 100 } }
rules:
  - { id: connection, table: site.connection, start: at, keep: 1 year, then: purge }
`

test('J-T54: enforcement stops when no required sink took a checkpoint for too long, and goes on by itself', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.connection (id int primary key, at date);
    insert into site.connection select n, '2015-01-01' from generate_series(1, 4) as n`)
  await bed.govern(SITE)
  const { db } = bed.connection
  const { clock, pass } = movable()
  const worm = sinkCalled('worm')
  worm.failing = true
  const anchoring = openAnchoring({ ...WAYS, db, clock, sinks: [worm.sink] })
  const checkpointer = openAnchored(
    { db, signer: bed.signer, checkpoints: checkpointSigner, clock },
    anchoring,
    () => {},
  )
  pass(23 * 3600)
  await expect(bed.enforce({ checkpointer })).resolves.toMatchObject({ outcome: 'done' })
  await bed.run("insert into site.connection values (9, '2015-01-01')")

  pass(3600 + 60)
  await expect(bed.enforce({ checkpointer })).rejects.toMatchObject({ code: 'ANCHOR_LAG', exit: 3 })
  expect(await bed.rows('select id from site.connection')).toEqual([{ id: 9 }])

  worm.failing = false
  await expect(bed.enforce({ checkpointer })).resolves.toMatchObject({ outcome: 'done', exit: 0 })
  expect(await bed.rows('select id from site.connection')).toEqual([])
})
