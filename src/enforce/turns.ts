/**
 * Batches of several connections take turns with the renewal of the lease: a batch holds the lease's
 * row locked, so that a renewal has to wait for those in hand, and the next ones for the renewal.
 */
import type { Clock } from '../base/clock.ts'
import type { Db } from '../db/connect.ts'
import { LEASE_SECONDS, renewLease, type Lease } from '../db/lease.ts'

/** Early enough that a batch as long as the rest of the lease is no right that ran out. */
const RENEW_AFTER_MS = (LEASE_SECONDS / 3) * 1000

type Tools = { readonly db: Db; readonly clock: Clock; readonly lease: Lease }

export class Turns {
  readonly #tools: Tools
  readonly #inHand = new Set<Promise<unknown>>()
  #renewal: Promise<void> | null = null
  /** By the monotonic clock; the first batch renews. */
  #renewedMs = Number.NEGATIVE_INFINITY

  constructor(tools: Tools) {
    this.#tools = tools
  }

  /** Runs a batch under a lease that holds on for a while; one that is tried `again` renews it. */
  async take<T>(batch: () => Promise<T>, again: boolean): Promise<T> {
    if (again || this.#isDue()) {
      this.#renewal ??= this.#renew().finally(() => {
        this.#renewal = null
      })
    }
    while (this.#renewal !== null) await this.#renewal
    // Nothing is awaited from here on: no renewal begins before this batch is known to be in hand.
    const running = batch()
    this.#inHand.add(running)
    return running.finally(() => this.#inHand.delete(running))
  }

  #isDue(): boolean {
    return this.#tools.clock.monotonicMs() - this.#renewedMs > RENEW_AFTER_MS
  }

  async #renew(): Promise<void> {
    await Promise.allSettled(this.#inHand)
    const begunMs = this.#tools.clock.monotonicMs()
    await renewLease(this.#tools.db, this.#tools.lease)
    this.#renewedMs = begunMs
  }
}
