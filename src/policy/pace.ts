/** How fast a rule may act, and when it has to stand back. Part of no digest: it decides about no row. */

export type Pace = {
  /** Most rows a second, children counted, over all connections; null: as fast as the share lets it. */
  readonly rowsPerSecond: number | null
  /** Per cent of the time that a connection may be at work; the rest it waits outside any transaction. */
  readonly share: number
  /** Longest time in milliseconds that a run acts under the rule; null: until it is done. */
  readonly maxDurationMs: number | null
  /** Local times of day between which the rule may act; null: always. */
  readonly window: Window | null
  readonly pauseWhen: PauseWhen
}

/** From the minute `from` of a day in `zone` up to the minute `to`, past midnight if that is earlier. */
export type Window = { readonly from: number; readonly to: number; readonly zone: string }

/** What the server may suffer at most; above it a run waits until that is over. */
export type PauseWhen = {
  /** Milliseconds that a replica is behind. */
  readonly replicaLagMs: number
  /** Bytes of write-ahead log that a replication slot keeps the server from recycling. */
  readonly slotWalBytes: number
  /** Sessions of this database that wait for a lock. */
  readonly lockWaiters: number
  /** Milliseconds that one of our own batches took. */
  readonly batchMs: number
  /** Per cent of the governed table that are dead rows, which autovacuum has yet to clean. */
  readonly deadPercent: number
  /** Keys that a policy set by itself: what cannot be read then counts as exceeded. */
  readonly explicit: readonly (keyof Omit<PauseWhen, 'explicit'>)[]
}

const SECOND = 1000
const GIGABYTE = 1024 ** 3

/** Slow enough that nobody notices: half of the time at rest. */
export const PROGRAM_PACE: Pace = {
  rowsPerSecond: null,
  share: 50,
  maxDurationMs: null,
  window: null,
  pauseWhen: {
    replicaLagMs: 30 * SECOND,
    slotWalBytes: 10 * GIGABYTE,
    lockWaiters: 10,
    batchMs: 5 * SECOND,
    deadPercent: 60,
    explicit: [],
  },
}
