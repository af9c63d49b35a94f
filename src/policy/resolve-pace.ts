import type { PaceDocument } from './document-pace.ts'
import type { Fault } from './fault.ts'
import { PROGRAM_PACE, type Pace, type PauseWhen, type Window } from './pace.ts'

type Layers = {
  readonly own: PaceDocument | undefined
  readonly defaults: PaceDocument | undefined
  /** Of the rule. */
  readonly zone: string
}

/** Merges what a rule says of its pace with its policy and the program, key by key. */
export function resolvePace({ own, defaults, zone }: Layers, faults: Fault[]): Pace {
  const merged = { ...defaults, ...own }
  const window = merged.window
  if (window !== undefined && window.from === window.to) {
    const message = 'this window closes when it opens'
    const remedy = 'leave it out to act at any time'
    faults.push({ code: 'window_empty', message, remedy, path: ['pace', 'window'] })
  }
  return {
    rowsPerSecond: merged.rows_per_second ?? PROGRAM_PACE.rowsPerSecond,
    share: merged.share ?? PROGRAM_PACE.share,
    maxDurationMs: merged.max_duration ?? PROGRAM_PACE.maxDurationMs,
    window: window === undefined ? null : windowOf(window, zone),
    pauseWhen: pauseWhenOf({ ...defaults?.pause_when, ...own?.pause_when }),
  }
}

function windowOf(
  { from, to, timezone }: NonNullable<PaceDocument['window']>,
  zone: string,
): Window {
  return { from, to, zone: timezone ?? zone }
}

function pauseWhenOf(said: NonNullable<PaceDocument['pause_when']>): PauseWhen {
  const explicit = {
    replicaLagMs: said.replica_lag,
    slotWalBytes: said.slot_wal,
    lockWaiters: said.lock_waiters,
    batchMs: said.batch,
    deadPercent: said.dead_percent,
  }
  const set = Object.entries(explicit).filter(([, value]) => value !== undefined)
  return {
    ...PROGRAM_PACE.pauseWhen,
    ...Object.fromEntries(set),
    explicit: set.map(([key]) => key as PauseWhen['explicit'][number]),
  }
}
