/** Whoever places and lifts holds while a run is at work: one order after the other, by the program. */
import type { FittedRule } from '../../src/catalog/fitted.ts'
import type { Bed } from '../support/bed.ts'
import { openDesk, row, type Desk } from '../hold/desk.ts'

export class Keeper implements AsyncDisposable {
  placed = 0
  lifted = 0
  /** Orders that came too late: nothing of what they named was left. */
  late = 0
  /** What else became of an order. Empty, or the program is wrong. */
  readonly failures: string[] = []
  readonly #bed: Bed
  readonly #desk: Desk
  readonly #open: number[] = []
  #pending: Promise<void> | null = null

  constructor(bed: Bed, rules: readonly FittedRule[]) {
    this.#bed = bed
    this.#desk = openDesk(bed, rules)
  }

  /** Holds that are placed and not lifted. */
  get open(): readonly number[] {
    return this.#open
  }

  /** Places a hold; while another order waits for a batch nothing happens. */
  async place(table: string, id: number): Promise<void> {
    await this.#order(async () => {
      const numbers = await this.#desk.place(row(table, String(id)), `CASE ${table} ${id}`)
      this.#open.push(...numbers)
      this.placed += 1
    })
  }

  /** Lifts the hold that was placed first. */
  async lift(): Promise<void> {
    const [first] = this.#open
    if (first === undefined) return
    await this.#order(async () => {
      await this.#desk.lift(String(first))
      this.#open.splice(this.#open.indexOf(first), 1)
      this.lifted += 1
    })
  }

  /** Returns when the order is carried out, or waits for a lock. */
  async settle(): Promise<void> {
    while (this.#pending !== null) {
      // Asked over the wire, so that each look gives the order its time.
      const waiting = await this.#bed.rows(
        `select from pg_stat_activity where usename = '${this.#bed.roles.keeper}' and wait_event_type = 'Lock'`,
      )
      if (this.#pending !== null && waiting.length > 0) return
    }
  }

  async drain(): Promise<void> {
    await this.#pending
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain()
    await this.#desk[Symbol.asyncDispose]()
  }

  async #order(work: () => Promise<void>): Promise<void> {
    if (this.#pending !== null) return
    const carryOut = async (): Promise<void> => {
      await work().catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error)
        if (message.endsWith('there is nothing to hold')) this.late += 1
        else this.failures.push(message)
      })
      this.#pending = null
    }
    this.#pending = carryOut()
    await this.settle()
  }
}
