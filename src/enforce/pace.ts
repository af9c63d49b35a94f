/** When the next batch may begin: arithmetic on what the last ones took and how the server does. */
import { DateTime } from 'luxon'
import type { Pace, PauseWhen, Window } from '../policy/pace.ts'

/** How the server does. Null: nothing there to look at, or we may not. */
export type Vitals = {
  /** Milliseconds that the slowest replica is behind; null without replicas. */
  readonly replicaLagMs: number | null
  /** There are replicas, and our role may not see how far they are. */
  readonly replicasHidden: boolean
  /** Bytes of log that the slowest replication slot retains; null without slots. */
  readonly slotWalBytes: number | null
  /** A slot is about to lose the log that it needs. */
  readonly slotInDanger: boolean
  /** Bytes of log that the server keeps beyond what it is set to; null: our role may not look. */
  readonly extraWalBytes: number | null
  readonly lockWaiters: number
  /** The newest attempt to archive a segment of the log failed. */
  readonly archiverFails: boolean
  /** Of the governed table with its partitions; null before the first statistics. */
  readonly deadPercent: number | null
  /** Age of the oldest transaction number, in per cent of that at which autovacuum has to freeze. */
  readonly freezePercent: number
}

/** Why a run waits, or ends a rule before it is done. Labels of a metric: do not reword them. */
export type Cause =
  | 'replica_lag'
  | 'replicas_hidden'
  | 'slot_wal'
  | 'lock_waiters'
  | 'archiver'
  | 'dead_rows'
  | 'wal'
  | 'vacuum_behind'
  | 'slow_batch'
  | 'window'
  | 'max_duration'

/** What a batch did, and how long it took. */
export type Paced = { readonly rows: number; readonly ms: number }

/**
 * Milliseconds a connection rests after a batch, so that it is at work for its share of the time, and
 * all connections together take no more rows a second than allowed.
 */
export function restMs(pace: Pace, { rows, ms }: Paced, connections: number): number {
  // A process that was stopped for hours, or whose clock leapt, has not been at work all that time.
  const atWorkMs = Math.min(ms, pace.pauseWhen.batchMs)
  const forShare = (atWorkMs * (100 - pace.share)) / pace.share
  const forRate =
    pace.rowsPerSecond === null ? 0 : (1000 * rows * connections) / pace.rowsPerSecond - ms
  return Math.max(0, Math.ceil(Math.max(forShare, forRate)))
}

/** The first thing that the server suffers from, or null. What hurts others comes first. */
export function sufferingFrom(vitals: Vitals, limits: PauseWhen): Cause | null {
  const over = (value: number | null, limit: number): boolean => value !== null && value > limit
  if (over(vitals.replicaLagMs, limits.replicaLagMs)) return 'replica_lag'
  // Nobody asked for this limit by name: a role without the right to look still gets its work done.
  if (vitals.replicasHidden && limits.explicit.includes('replicaLagMs')) return 'replicas_hidden'
  if (vitals.slotInDanger || over(vitals.slotWalBytes, limits.slotWalBytes)) return 'slot_wal'
  if (vitals.archiverFails) return 'archiver'
  if (over(vitals.extraWalBytes, limits.slotWalBytes)) return 'wal'
  if (vitals.lockWaiters >= limits.lockWaiters) return 'lock_waiters'
  if (over(vitals.deadPercent, limits.deadPercent)) return 'dead_rows'
  return null
}

/** Autovacuum forces a freeze at 100; a server that keeps up goes back from there. */
const FREEZE_BEHIND_PERCENT = 200

/**
 * True of a server whose vacuum does not keep up, by its dead rows or by the age of its transactions:
 * our batches are small then, so that what keeps vacuum from its work is over sooner.
 */
export function isVacuumBehind(vitals: Vitals, limits: PauseWhen): boolean {
  const dead = vitals.deadPercent ?? 0
  return dead > limits.deadPercent / 2 || vitals.freezePercent > FREEZE_BEHIND_PERCENT
}

/** A batch that took too long is followed by a smaller one; else they grow back, up to `most`. */
export function nextRows(rows: number, { ms }: Paced, most: number, limits: PauseWhen): number {
  if (ms > limits.batchMs) return Math.max(1, Math.floor(rows / 2))
  return ms * 4 < limits.batchMs ? Math.min(most, rows * 2) : Math.min(most, rows)
}

/** True at an instant within the window, on the wall clock of its zone. */
export function isOpenAt(window: Window | null, at: Date): boolean {
  if (window === null) return true
  const local = DateTime.fromJSDate(at, { zone: window.zone })
  const minute = local.hour * 60 + local.minute
  return window.from < window.to
    ? minute >= window.from && minute < window.to
    : minute >= window.from || minute < window.to
}

/** Milliseconds until the window opens next, by the wall clock of its zone; 0 if it is open. */
export function untilOpenMs(window: Window, at: Date): number {
  if (isOpenAt(window, at)) return 0
  const local = DateTime.fromJSDate(at, { zone: window.zone })
  const opens = (day: DateTime): DateTime =>
    day.set({
      hour: Math.floor(window.from / 60),
      minute: window.from % 60,
      second: 0,
      millisecond: 0,
    })
  const today = opens(local)
  const next = today > local ? today : opens(local.plus({ days: 1 }))
  return next.toMillis() - at.getTime()
}

/** Pauses of one cause, in a row: one second, two, four, … up to half a minute. */
export function pauseMs(inARow: number): number {
  return Math.min(30_000, 1000 * 2 ** Math.min(inARow, 5))
}
