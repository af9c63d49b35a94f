import { assert, integer, nat, property, record } from 'fast-check'
import { DateTime } from 'luxon'
import { expect, test } from 'vitest'
import { silentLog, type Log } from '../../src/base/log.ts'
import {
  isOpenAt,
  nextRows,
  restMs,
  sufferingFrom,
  untilOpenMs,
  type Cause,
  type Vitals,
} from '../../src/enforce/pace.ts'
import { Pacer, type PacerTools } from '../../src/enforce/pacer.ts'
import { PROGRAM_PACE, type Pace, type PauseWhen } from '../../src/policy/pace.ts'

const WELL: Vitals = {
  replicaLagMs: null,
  replicasHidden: false,
  slotWalBytes: null,
  slotInDanger: false,
  extraWalBytes: null,
  lockWaiters: 0,
  archiverFails: false,
  deadPercent: null,
  freezePercent: 90,
}

const LIMITS = PROGRAM_PACE.pauseWhen

test('a connection is at work for its share of the time and no longer', () => {
  assert(
    property(integer({ min: 1, max: 100 }), nat(5000), (share, ms) => {
      const rest = restMs({ ...PROGRAM_PACE, share }, { rows: 1, ms }, 1)
      expect((100 * ms) / Math.max(1, ms + rest)).toBeLessThanOrEqual(share)
      expect(rest - 1).toBeLessThanOrEqual((ms * (100 - share)) / share)
    }),
  )
})

test('a process that was stopped for hours does not rest for hours', () => {
  const threeHours = { rows: 1, ms: 3 * 3_600_000 }

  expect(restMs(PROGRAM_PACE, threeHours, 1)).toBe(5000)
})

test('all connections together take no more rows a second than allowed', () => {
  assert(
    property(
      record({
        rate: integer({ min: 1, max: 100_000 }),
        rows: nat(50_000),
        ms: nat(10_000),
        connections: integer({ min: 1, max: 8 }),
      }),
      ({ rate, rows, ms, connections }) => {
        const pace: Pace = { ...PROGRAM_PACE, share: 100, rowsPerSecond: rate }
        const rest = restMs(pace, { rows, ms }, connections)
        const seconds = (ms + rest) / 1000
        expect(rows * connections).toBeLessThanOrEqual(rate * seconds + 1e-6)
      },
    ),
  )
})

const SUFFERING: readonly (readonly [string, Partial<Vitals>, Cause])[] = [
  ['a replica is too far behind', { replicaLagMs: 30_001 }, 'replica_lag'],
  ['a slot retains too much log', { slotWalBytes: 10 * 1024 ** 3 + 1 }, 'slot_wal'],
  ['a slot is about to lose its log', { slotInDanger: true }, 'slot_wal'],
  ['the log cannot be archived', { archiverFails: true }, 'archiver'],
  ['the server keeps far more log than it is set to', { extraWalBytes: 11 * 1024 ** 3 }, 'wal'],
  ['ten sessions wait for locks', { lockWaiters: 10 }, 'lock_waiters'],
  ['most of the table are dead rows', { deadPercent: 61 }, 'dead_rows'],
]

test.for(SUFFERING)('a run waits while %s', ([, vitals, cause]) => {
  expect(sufferingFrom({ ...WELL, ...vitals }, LIMITS)).toBe(cause)
})

test('a run goes on at exactly what the server may suffer', () => {
  const bearable: Vitals = {
    ...WELL,
    replicaLagMs: 30_000,
    slotWalBytes: 10 * 1024 ** 3,
    lockWaiters: 9,
    deadPercent: 60,
  }

  expect(sufferingFrom(bearable, LIMITS)).toBeNull()
})

test('replicas that the role may not look at stop only a rule whose policy asks for their lag', () => {
  const hidden = { ...WELL, replicasHidden: true }
  const asked: PauseWhen = { ...LIMITS, explicit: ['replicaLagMs'] }

  expect(sufferingFrom(hidden, LIMITS)).toBeNull()
  expect(sufferingFrom(hidden, asked)).toBe('replicas_hidden')
})

test('a batch that took too long is followed by one of half the rows, and quick ones grow back', () => {
  expect(nextRows(5000, { rows: 5000, ms: 5001 }, 5000, LIMITS)).toBe(2500)
  expect(nextRows(1, { rows: 1, ms: 5001 }, 5000, LIMITS)).toBe(1)
  expect(nextRows(2500, { rows: 2500, ms: 4000 }, 5000, LIMITS)).toBe(2500)
  expect(nextRows(2500, { rows: 2500, ms: 100 }, 5000, LIMITS)).toBe(5000)
  expect(nextRows(4000, { rows: 4000, ms: 100 }, 5000, LIMITS)).toBe(5000)
})

test('a window is open from its first minute to the last before its end, on the clock of its zone', () => {
  const night = { from: 22 * 60, to: 6 * 60, zone: 'Europe/Paris' }
  const at = (local: string): Date => DateTime.fromISO(local, { zone: 'Europe/Paris' }).toJSDate()

  const open = ['22:00', '23:59', '00:00', '05:59'].map((time) =>
    isOpenAt(night, at(`2026-07-14T${time}:00`)),
  )
  const closed = ['06:00', '12:00', '21:59'].map((time) =>
    isOpenAt(night, at(`2026-07-14T${time}:00`)),
  )

  expect([open, closed]).toEqual([
    [true, true, true, true],
    [false, false, false],
  ])
  expect(isOpenAt({ from: 540, to: 600, zone: 'UTC' }, new Date('2026-07-14T09:00:00Z'))).toBe(true)
  expect(isOpenAt({ from: 540, to: 600, zone: 'UTC' }, new Date('2026-07-14T10:00:00Z'))).toBe(
    false,
  )
  expect(isOpenAt(null, new Date())).toBe(true)
})

test('a closed window opens at its next beginning, also over the change to summer time', () => {
  const night = { from: 22 * 60, to: 6 * 60, zone: 'Europe/Paris' }
  const skipped = { from: 2 * 60 + 30, to: 4 * 60, zone: 'Europe/Paris' }

  expect(untilOpenMs(night, new Date('2026-07-14T04:00:00Z'))).toBe(16 * 3_600_000)
  expect(untilOpenMs(night, new Date('2026-07-14T21:00:00Z'))).toBe(0)
  // On 2026-03-29 there is no half past two: the window opens as the hour that follows begins.
  const ms = untilOpenMs(skipped, new Date('2026-03-28T12:00:00Z'))
  expect(isOpenAt(skipped, new Date(Date.parse('2026-03-28T12:00:00Z') + ms))).toBe(true)
  expect(ms).toBeLessThan(14 * 3_600_000)
})

/** A pacer whose sleep moves its clock, on a server that does as it is told. */
function pacerOf(
  pace: Partial<Pace>,
  vitals: (elapsedMs: number) => Vitals = () => WELL,
  batch = { first: 5000, most: 5000 },
  log: Log = silentLog,
) {
  const state = { ms: 0, looks: 0, renewals: 0, stop: new AbortController() }
  const tools: PacerTools = {
    pace: { ...PROGRAM_PACE, share: 100, ...pace },
    clock: {
      now: () => new Date(Date.UTC(2026, 6, 14, 5, 0, 0) + state.ms),
      monotonicMs: () => state.ms,
    },
    log,
    batch,
    connections: 1,
    readVitals: async () => {
      state.looks += 1
      return vitals(state.ms)
    },
    renewLease: async () => {
      state.renewals += 1
    },
    sleep: async (ms) => {
      state.ms += ms
    },
    signal: state.stop.signal,
  }
  return { pacer: new Pacer(tools), state }
}

test('batches grow from the first one to the largest as long as they are fast, and shrink where one is slow', async () => {
  const { pacer } = pacerOf({}, () => WELL, { first: 5000, most: 20_000 })
  const sizes = [pacer.rows]

  for (const ms of [100, 100, 100, 2000, 6000, 2000, 100]) {
    await pacer.after({ rows: pacer.rows, ms })
    sizes.push(pacer.rows)
  }

  expect(sizes).toEqual([5000, 10_000, 20_000, 20_000, 20_000, 10_000, 10_000, 20_000])
})

test.for<Partial<Vitals>>([{ deadPercent: 31 }, { freezePercent: 201 }])(
  'batches are small and the log says so while vacuum is behind, and grow back: %o',
  async (behind) => {
    const said: object[] = []
    const log = { ...silentLog, warn: (fields: object) => void said.push(fields) }
    const vitals = (ms: number) => ({ ...WELL, ...(ms < 10_000 ? behind : {}) })
    const { pacer, state } = pacerOf({}, vitals, { first: 5000, most: 20_000 }, log)
    const sizes: number[] = []

    expect(await pacer.begin()).toBeNull()
    for (const ms of [0, 5000, 5000, 5000]) {
      sizes.push(pacer.rows)
      state.ms += ms
      await pacer.after({ rows: pacer.rows, ms: 100 })
    }

    expect(sizes).toEqual([1250, 1250, 1250, 20_000])
    expect(said).toMatchObject([behind])
    expect(pacer.pauses).toEqual({ vacuum_behind: 1 })
  },
)

test('a run that waits for the server goes on by itself, keeps its lease and counts one pause', async () => {
  const { pacer, state } = pacerOf({}, (ms) => ({ ...WELL, lockWaiters: ms < 60_000 ? 50 : 0 }))

  expect(await pacer.begin()).toBeNull()

  expect(state.ms).toBeGreaterThanOrEqual(60_000)
  expect(state.ms).toBeLessThan(100_000)
  expect(state.renewals).toBeGreaterThan(1)
  expect(pacer.pauses).toEqual({ lock_waiters: 1 })
})

test('a server that does not recover within half an hour ends the rule for this run', async () => {
  const { pacer, state } = pacerOf({}, () => ({ ...WELL, archiverFails: true }))

  expect(await pacer.begin()).toBe('archiver')
  expect(state.ms).toBeGreaterThanOrEqual(30 * 60_000)
  expect(state.ms).toBeLessThan(32 * 60_000)
})

test('a rule ends at the batch after its longest duration', async () => {
  const { pacer, state } = pacerOf({ maxDurationMs: 10_000 })

  expect(await pacer.begin()).toBeNull()
  state.ms = 9999
  expect(await pacer.after({ rows: 1, ms: 10 })).toBeNull()
  state.ms = 10_000
  expect(await pacer.after({ rows: 1, ms: 10 })).toBe('max_duration')
})

test('a rule ends at the batch after its window has closed, and does not begin outside of it', async () => {
  const window = { from: 22 * 60, to: 6 * 60, zone: 'UTC' }
  const { pacer, state } = pacerOf({ window })

  expect(await pacer.begin()).toBeNull()
  state.ms = 3_599_000
  expect(await pacer.after({ rows: 1, ms: 10 })).toBeNull()
  state.ms = 3_600_000
  expect(await pacer.after({ rows: 1, ms: 10 })).toBe('window')
  expect(await pacerOf({ window: { ...window, to: 5 * 60 } }).pacer.begin()).toBe('window')
})

test('a run that is told to stop while it rests does not look at the server again', async () => {
  const { pacer, state } = pacerOf({ share: 1 })
  state.stop.abort()

  expect(await pacer.after({ rows: 1, ms: 1000 })).toBeNull()
  expect([state.ms, state.looks]).toEqual([0, 0])
})

test('the server is looked at every two seconds at most, once for all connections', async () => {
  const { pacer, state } = pacerOf({})

  await Promise.all([pacer.begin(), pacer.begin(), pacer.begin()])
  for (let batch = 0; batch < 100; batch += 1) {
    state.ms += 100
    await pacer.after({ rows: 1, ms: 100 })
  }

  expect(state.looks).toBe(6)
})
