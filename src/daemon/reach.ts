import { UnreachableError, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'

export type Reaching = {
  /** Asks the database for one answer; throws what is in the way of it. */
  readonly ask: () => Promise<void>
  readonly log: Log
  readonly signal: AbortSignal
  /** Resolves after so many milliseconds, or when the daemon is told to stop. */
  readonly sleep: (ms: number) => Promise<void>
  /** From 0 up to 1: many sidecars that start together must not come back together. */
  readonly random: () => number
}

/**
 * Waits for a database that takes no connection, as one does that still starts. What only another
 * configuration mends is thrown at once. Returns false if it was told to stop before.
 */
export async function untilReachable(reaching: Reaching): Promise<boolean> {
  const { ask, log, signal, sleep, random } = reaching
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      await ask()
      if (attempt > 0) log.info({ attempts: attempt + 1 }, 'the database answers')
      return true
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error
      // Attempts 1, 2, 4, 8, …: ten minutes of silence are a dozen lines.
      if (Number.isInteger(Math.log2(attempt + 1))) {
        log.warn({ err: tell(error), attempt: attempt + 1 }, 'waiting for the database')
      }
      await sleep(waitMs(attempt, random()))
    }
  }
  return false
}

/** One second, two, four, … half a minute, each a quarter more or less by chance. */
export function waitMs(attempt: number, chance: number): number {
  return Math.round(1000 * Math.min(30, 2 ** Math.min(attempt, 5)) * (0.75 + chance / 2))
}
