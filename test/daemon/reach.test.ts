import { assert, double, nat, property } from 'fast-check'
import { expect, test } from 'vitest'
import { ConfigError, UnreachableError } from '../../src/base/errors.ts'
import { untilReachable, waitMs, type Reaching } from '../../src/daemon/reach.ts'

/** A database that answers from the given attempt on. */
function waitingFor(answersAt: number, failure: Error = new UnreachableError('nobody there')) {
  const state = { asked: 0, lines: 0, waitedMs: 0, stop: new AbortController() }
  const count = (): void => {
    state.lines += 1
  }
  const reaching: Reaching = {
    ask: async () => {
      state.asked += 1
      if (state.asked < answersAt) throw failure
    },
    log: { debug: count, info: count, warn: count, error: count },
    signal: state.stop.signal,
    sleep: async (ms) => {
      state.waitedMs += ms
    },
    random: () => 0.5,
  }
  return { state, reached: async () => untilReachable(reaching) }
}

test('a daemon waits ten minutes for its database in a handful of lines', async () => {
  const { state, reached } = waitingFor(25)

  expect(await reached()).toBe(true)
  expect(state.waitedMs).toBeGreaterThan(600_000)
  expect(state.lines).toBeLessThanOrEqual(6)
})

test('what only another configuration mends is not waited for', async () => {
  const { state, reached } = waitingFor(9, new ConfigError('another password'))

  await expect(reached()).rejects.toThrow('another password')
  expect(state.asked).toBe(1)
})

test('a daemon that is told to stop waits no longer', async () => {
  const { state, reached } = waitingFor(9)
  state.stop.abort()

  expect(await reached()).toBe(false)
})

test('sidecars that start together do not come back together, nor later than half a minute', () => {
  assert(
    property(nat(1000), double({ min: 0, max: 1, noNaN: true }), (attempt, chance) => {
      expect(waitMs(attempt, chance)).toBeGreaterThanOrEqual(750)
      expect(waitMs(attempt, chance)).toBeLessThanOrEqual(37_500)
    }),
  )
  expect(waitMs(3, 0)).not.toBe(waitMs(3, 1))
})
