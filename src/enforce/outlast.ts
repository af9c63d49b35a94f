/**
 * A database that goes away in the middle of a run: it crashed, was restarted, failed over, or cut the
 * link. What is done is derived from what is there, so that whoever waits and asks again goes on.
 */
import type { Clock } from '../base/clock.ts'
import { TransientDatabaseError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { sleep } from '../base/sleep.ts'
import { classify, saysAway } from '../db/sqlstate.ts'

type Tools = {
  readonly clock: Clock
  readonly log: Log
  /** Aborted: nothing is waited for any more. */
  readonly signal: AbortSignal
}

type Waiting = {
  /** Milliseconds without any progress after which the run is over. */
  readonly mostMs?: number
  /** Grows with what was done: whoever gets on starts to wait anew. */
  readonly done?: () => number
  /** The link was lost before: locks of the session that it had may still be held. */
  readonly lost?: boolean
}

/** Longer than a restart with recovery or a failover takes; then a person has to look. */
const MOST_MS = 5 * 60_000

/** Runs `work`, which may be run again, until the database let it come to its end. */
export async function outlasting<T>(
  { clock, log, signal }: Tools,
  work: () => Promise<T>,
  { mostMs = MOST_MS, done = () => 0, lost = false }: Waiting = {},
): Promise<T> {
  let waiting = { sinceMs: clock.monotonicMs(), attempt: 0, done: done(), lost }
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const nowMs = clock.monotonicMs()
      if (done() > waiting.done) waiting = { sinceMs: nowMs, attempt: 0, done: done(), lost: false }
      else if (waiting.attempt === 0) waiting.sinceMs = nowMs
      waiting.lost ||= saysAway(error)
      if (!waiting.lost || !goesBy(error) || signal.aborted) throw error
      if (nowMs - waiting.sinceMs > mostMs) throw error
      waiting.attempt += 1
      // Attempts 1, 2, 4, 8, …: minutes of silence are a dozen lines.
      if (Number.isInteger(Math.log2(waiting.attempt))) {
        log.warn({ attempt: waiting.attempt }, 'the database went away, tried again')
      }
      await sleep(waitMs(waiting.attempt), signal)
    }
  }
}

/** A session that was left behind holds its locks until the server finds out. */
function goesBy(error: unknown): boolean {
  return saysAway(error) || classify(error) instanceof TransientDatabaseError
}

/** 100 ms, 200 ms, 400 ms, … 10 s. */
function waitMs(attempt: number): number {
  return Math.min(10_000, 50 * 2 ** Math.min(attempt, 8))
}
