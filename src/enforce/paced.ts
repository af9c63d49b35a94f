/** A rule that is carried out at its pace: what its connections ask between their batches. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { sleep } from '../base/sleep.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import type { BatchRows } from './batch-rows.ts'
import type { Cause } from './pace.ts'
import { Pacer, type Pauses } from './pacer.ts'
import type { Turns } from './turns.ts'
import { readVitals } from './vitals.ts'

type Tools = {
  readonly db: Db
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

type Order = {
  readonly fitted: FittedRule
  readonly batch: BatchRows
  readonly connections: number
}

export class PacedRule {
  readonly #clock: Clock
  readonly #pacer: Pacer
  readonly #over = new AbortController()
  /** Aborted when the run is told to stop, or when the time of the rule is over. */
  readonly signal: AbortSignal
  #ended: Cause | null = null

  constructor({ db, clock, log, signal }: Tools, order: Order, turns: Turns) {
    const { rule, table } = order.fitted
    this.#clock = clock
    this.signal = AbortSignal.any([signal, this.#over.signal])
    this.#pacer = new Pacer({
      pace: rule.pace,
      clock,
      log,
      batch: order.batch,
      connections: order.connections,
      readVitals: async () => readVitals(db, table.oid),
      renewLease: async () => turns.take(async () => {}, true),
      sleep: async (ms) => sleep(ms, this.signal),
      signal: this.signal,
    })
  }

  /** What ended the rule before it was done; null if nothing did. */
  get ended(): Cause | null {
    return this.#ended
  }

  get pauses(): Pauses {
    return this.#pacer.pauses
  }

  /** Rows that the next batch should take. */
  get rows(): number {
    return this.#pacer.rows
  }

  async begin(): Promise<void> {
    this.#end(await this.#pacer.begin())
  }

  /** Runs a batch, then rests as long as the pace asks; `rowsOf` counts what it acted on. */
  async batch<T>(act: () => Promise<T>, rowsOf: (result: T) => number): Promise<T> {
    const begunMs = this.#clock.monotonicMs()
    const result = await act()
    const ms = this.#clock.monotonicMs() - begunMs
    this.#end(await this.#pacer.after({ rows: rowsOf(result), ms }))
    return result
  }

  #end(cause: Cause | null): void {
    if (cause === null || this.#ended !== null) return
    this.#ended = cause
    this.#over.abort()
  }
}
