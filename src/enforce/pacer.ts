/**
 * Keeps a rule at its pace: rests after batches, waits while the server suffers, and ends the rule
 * when its time is over. It is asked between transactions only, so nothing is held while it waits.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Pace } from '../policy/pace.ts'
import type { BatchRows } from './batch-rows.ts'
import {
  isOpenAt,
  isVacuumBehind,
  nextRows,
  pauseMs,
  restMs,
  sufferingFrom,
  type Cause,
  type Paced,
  type Vitals,
} from './pace.ts'

export type PacerTools = {
  readonly pace: Pace
  readonly clock: Clock
  readonly log: Log
  readonly batch: BatchRows
  readonly connections: number
  readonly readVitals: () => Promise<Vitals>
  /** Keeps the lease while nothing is done. */
  readonly renewLease: () => Promise<void>
  /** Resolves after so many milliseconds, or as soon as the run is to stop. */
  readonly sleep: (ms: number) => Promise<void>
  readonly signal: AbortSignal
}

/** How often a run paused, by cause. */
export type Pauses = Readonly<Partial<Record<Cause, number>>>

/** A look at the server costs a few milliseconds; between two of them it is taken to do as it did. */
const LOOK_EVERY_MS = 2000

/** A lease runs out after half a minute; it is renewed well before. */
const RENEW_EVERY_MS = 10_000

/** A server that has not recovered by then needs a person: the rule ends, and the next run goes on. */
const MOST_WAITING_MS = 30 * 60_000

/** A batch is so much smaller than the first one otherwise while vacuum is behind. */
const BEHIND_DIVISOR = 4

export class Pacer {
  readonly #tools: PacerTools
  readonly #startedMs: number
  readonly #pauses: Partial<Record<Cause, number>> = {}
  #rows: number
  #lookedMs = -Infinity
  #vacuumIsBehind = false
  #waiting: Promise<Cause | null> | null = null

  constructor(tools: PacerTools) {
    this.#tools = tools
    this.#startedMs = tools.clock.monotonicMs()
    this.#rows = tools.batch.first
  }

  /** Rows that the next batch should take. */
  get rows(): number {
    const most = this.#vacuumIsBehind ? this.#tools.batch.first / BEHIND_DIVISOR : this.#rows
    return Math.max(1, Math.min(this.#rows, Math.floor(most)))
  }

  get pauses(): Pauses {
    return this.#pauses
  }

  /** Asked before the first batch: a rule does not begin outside its window, or on a server that suffers. */
  async begin(): Promise<Cause | null> {
    return this.#over() ?? this.#untilWell()
  }

  /** Rests after a batch. Says why the rule has to end before it is done, or null to go on. */
  async after(batch: Paced): Promise<Cause | null> {
    const { pace, batch: size, connections, signal } = this.#tools
    const rows = nextRows(this.#rows, batch, size.most, pace.pauseWhen)
    if (rows < this.#rows) this.#count('slow_batch')
    this.#rows = rows
    await this.#rest(restMs(pace, batch, connections))
    if (signal.aborted) return null
    return this.#over() ?? this.#untilWell()
  }

  #over(): Cause | null {
    const { pace, clock } = this.#tools
    const spentMs = clock.monotonicMs() - this.#startedMs
    if (pace.maxDurationMs !== null && spentMs >= pace.maxDurationMs) {
      return this.#count('max_duration')
    }
    return isOpenAt(pace.window, clock.now()) ? null : this.#count('window')
  }

  /** Waits for the server, once for all connections. */
  async #untilWell(): Promise<Cause | null> {
    this.#waiting ??= this.#wait().finally(() => {
      this.#waiting = null
    })
    return this.#waiting
  }

  async #wait(): Promise<Cause | null> {
    const { pace, clock, log, readVitals, signal } = this.#tools
    if (clock.monotonicMs() - this.#lookedMs < LOOK_EVERY_MS) return null
    const sinceMs = clock.monotonicMs()
    for (let inARow = 0; !signal.aborted; inARow += 1) {
      const vitals = await readVitals()
      this.#ease(vitals)
      const cause = sufferingFrom(vitals, pace.pauseWhen)
      this.#lookedMs = clock.monotonicMs()
      if (cause === null) return inARow === 0 ? null : this.#over()
      if (inARow === 0) {
        this.#count(cause)
        log.warn({ cause }, 'paused: the server has enough to do')
      }
      if (clock.monotonicMs() - sinceMs >= MOST_WAITING_MS) return cause
      await this.#rest(pauseMs(inARow))
    }
    return null
  }

  /** Smaller batches as long as vacuum is behind; said once each time that it falls behind. */
  #ease(vitals: Vitals): void {
    const { pace, log } = this.#tools
    const before = this.#vacuumIsBehind
    this.#vacuumIsBehind = isVacuumBehind(vitals, pace.pauseWhen)
    if (before || !this.#vacuumIsBehind) return
    this.#count('vacuum_behind')
    const { deadPercent, freezePercent } = vitals
    log.warn({ deadPercent, freezePercent }, 'smaller batches: vacuum is behind on this server')
  }

  async #rest(ms: number): Promise<void> {
    const { sleep, renewLease, signal } = this.#tools
    for (let left = ms; left > 0 && !signal.aborted; left -= RENEW_EVERY_MS) {
      await sleep(Math.min(left, RENEW_EVERY_MS))
      if (left > RENEW_EVERY_MS && !signal.aborted) await renewLease()
    }
  }

  #count(cause: Cause): Cause {
    this.#pauses[cause] = (this.#pauses[cause] ?? 0) + 1
    return cause
  }
}
