/** A wrong clock destroys data: nothing is done while the two clocks that we can read disagree. */
import { sql, type QueryExecutorProvider } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { RefusedError, RetentionError, EXIT } from '../base/errors.ts'

/** The database's clock at a moment of our own monotonic one. */
export type ClockReading = { readonly databaseMs: number; readonly monotonicMs: number }

/** Host and database may differ by this much: more is no drift, one of them is wrong. */
const SKEW_MS = 60_000

/** How far time may have gone on since the journal last saw it, without a person saying so. */
const ADVANCE_MS = 30 * 86_400_000

/** The database's clock jumped during a run: the run ends before the next batch. */
export class ClockJumpError extends RetentionError {
  readonly code = 'CLOCK_JUMP'
  readonly exit = EXIT.refused
  override readonly name = 'ClockJumpError'
}

export type ClockCheck = {
  /** Time of the newest journal entry by the database's clock. */
  readonly newestEntryMs: number
  /** A person said that a long silence is in order. */
  readonly accept: boolean
}

/** Reads the database's clock and refuses to go on if it cannot be right. */
export async function readTrustedClock(
  db: QueryExecutorProvider,
  clock: Clock,
  check: ClockCheck,
): Promise<ClockReading> {
  const reading = await readClock(db, clock)
  const hostMs = clock.now().getTime()
  const apart = Math.abs(reading.databaseMs - hostMs)
  if (apart > SKEW_MS) {
    throw new RefusedError(
      `the clocks of this host and of the database differ by ${Math.round(apart / 1000)} s`,
      { remedy: 'set both by NTP; nothing is destroyed while they disagree by more than 60 s' },
    )
  }
  const advance = reading.databaseMs - check.newestEntryMs
  if (advance < -SKEW_MS) {
    throw new RefusedError(
      `the database's clock stands ${Math.round(-advance / 1000)} s before the journal's newest entry`,
      { remedy: 'find out which clock was wrong; time may not go back' },
    )
  }
  if (advance > ADVANCE_MS && !check.accept) {
    throw new RefusedError(
      `${Math.floor(advance / 86_400_000)} days have passed since the journal's newest entry, by both clocks`,
      { remedy: 'if that is true, run once with --accept-clock' },
    )
  }
  return reading
}

/** Proves that the database's clock ran on as our own did since the run began. */
export function requireClock(started: ClockReading, now: ClockReading): void {
  const elapsed = now.monotonicMs - started.monotonicMs
  const jump = now.databaseMs - started.databaseMs - elapsed
  if (Math.abs(jump) <= SKEW_MS) return
  throw new ClockJumpError(
    `the database's clock jumped by ${Math.round(jump / 1000)} s during the run`,
    { remedy: 'find out why; the next run checks both clocks again' },
  )
}

/** The database's clock, in milliseconds as text. */
export const DATABASE_MS = sql<string>`(extract(epoch from clock_timestamp()) * 1000)::bigint::text`

async function readClock(db: QueryExecutorProvider, clock: Clock): Promise<ClockReading> {
  const { rows } = await sql<{ ms: string }>`select ${DATABASE_MS} as ms`.execute(db)
  return { databaseMs: Number(rows[0]?.ms), monotonicMs: clock.monotonicMs() }
}
