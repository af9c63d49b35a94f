/**
 * Plays the application's part while a run is at work: its statements come between two steps of a
 * batch, in sessions of their own, and after each batch its owner looks at what is gone.
 */
import type { BatchStep } from '../../src/enforce/batch.ts'
import type { Bed } from '../support/bed.ts'
import { openSession, type AppSession, type Outcome } from '../support/faults.ts'
import type { RuleId } from './application.ts'
import type { Change } from './change.ts'
import type { Keeper } from './keeper.ts'
import { ownersView, type Seen } from './owners-view.ts'

/** Decides what happens after a step; it is told which record the batch comes to first. */
export type Director = (step: BatchStep, stage: Stage) => Promise<void>

export class Stage implements AsyncDisposable {
  /** What a run destroyed although the owner would have kept it. Empty, or the program is wrong. */
  readonly violations: string[] = []
  readonly outcomes: Outcome[] = []
  /** Statements that had to wait for a batch. */
  waits = 0
  /** Batches that were committed, or had nothing to commit. */
  batches = 0
  /** What was there when the last batch began. */
  latest: ReadonlyMap<string, Seen> = new Map()
  readonly #bed: Bed
  readonly #view: string
  readonly #direct: Director
  readonly #keeper: Keeper | null
  readonly #sessions: AppSession[] = []
  /** Sessions in a transaction that its statement left open. */
  readonly #open = new Set<AppSession>()
  /** Rows that the application deleted, or will have when it commits; an id comes once only. */
  readonly #removed = new Set<string>()
  #before: ReadonlyMap<string, Seen> = new Map()
  #fresh = 10_000_000

  constructor(bed: Bed, acting: readonly RuleId[], direct: Director, keeper: Keeper | null = null) {
    this.#bed = bed
    this.#keeper = keeper
    this.#view = ownersView(acting)
    this.#direct = direct
  }

  /** To be given to a run. */
  readonly onStep = async (step: BatchStep): Promise<void> => {
    if (step === 'begun') await this.judge()
    await this.#direct(step, this)
    if (step !== 'journalled') return
    await this.#settle()
    this.#before = await this.see()
  }

  /** What is there, as committed. */
  async see(): Promise<ReadonlyMap<string, Seen>> {
    const rows = await this.#bed.rows<Seen>(this.#view)
    return new Map(rows.map((row) => [`${row.part} ${row.class} ${row.id}`, row]))
  }

  /** Sends a statement about a record; `keepOpen` leaves its transaction open. */
  async play(change: Change, id: number, keepOpen = false): Promise<void> {
    const session = await this.#idle()
    this.#fresh += 1
    if (keepOpen) {
      this.#open.add(session)
      await session.send('begin')
    }
    await session.send(change.sql(id, this.#fresh), (outcome) => {
      this.outcomes.push(outcome)
      this.#bed.forget(change.table, -change.adds * outcome.rows)
      for (const gone of outcome.ids) this.#removed.add(`${change.table} ${gone}`)
    })
    if (session.busy) this.waits += 1
  }

  /** Ends the transactions that were left open, but those that still wait for a lock. */
  async commitOpen(): Promise<void> {
    for (const session of this.#open) {
      if (session.busy) continue
      this.#open.delete(session)
      await session.send('commit')
    }
    await this.#settle()
  }

  /** Lets everything end, and looks a last time. */
  async finish(): Promise<void> {
    while (this.#sessions.some((session) => session.busy) || this.#open.size > 0) {
      await this.commitOpen()
    }
    await this.#keeper?.drain()
    await this.judge()
  }

  /** Compares what is there with what was there just before the last batch was committed. */
  async judge(): Promise<void> {
    await this.#settle()
    const now = await this.see()
    for (const [name, row] of this.#before) {
      if (!now.has(name) && !this.#wasRemoved(row) && !this.#mayGo(row)) {
        this.violations.push(`${row.class} ${row.of}: ${row.part} ${row.id} is gone`)
      }
      const parent = this.#before.get(`record ${row.class} ${row.of}`)
      const left = parent !== undefined && !now.has(`record ${row.class} ${row.of}`)
      if (left && now.get(name)?.of === row.of && !this.#wasRemoved(parent)) {
        this.violations.push(`${row.class} ${row.of}: ${row.part} ${row.id} is left`)
      }
    }
    // Until the next batch is journalled, nothing may go.
    this.#before = new Map([...now].map(([name, row]) => [name, { ...row, may: false }]))
    this.latest = now
    this.batches += 1
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#open) await session.send('rollback')
    for (const session of this.#sessions) await session[Symbol.asyncDispose]()
  }

  #mayGo(row: Seen): boolean {
    if (row.part === 'record' || row.class === 'customer') return row.may
    return this.#before.get(`record ${row.class} ${row.of}`)?.may ?? false
  }

  #wasRemoved(row: Seen): boolean {
    const table = row.part === 'record' ? TABLES[row.class] : row.part
    return this.#removed.has(`${table} ${row.id}`)
  }

  async #idle(): Promise<AppSession> {
    const idle = this.#sessions.find((session) => !session.busy && !this.#open.has(session))
    if (idle !== undefined) return idle
    const { superuserUrl, superuser } = this.#bed.database
    const session = await openSession(superuserUrl, superuser)
    this.#sessions.push(session)
    return session
  }

  async #settle(): Promise<void> {
    for (const session of this.#sessions) await session.settle()
    await this.#keeper?.settle()
  }
}

/** The table of each record class. */
export const TABLES: Readonly<Record<RuleId, string>> = {
  customer: 'crm.customer',
  ticket: 'crm.ticket',
  contract: 'crm.contract',
  visit: 'site.visit',
  event: 'site.event',
  account: 'bank.account',
  party: 'law.party',
  parcel: 'post.parcel',
  member: 'club.member',
}
