import { createTask } from 'node-cron'
import type { Schedule } from './policy.ts'

const MINUTE_MS = 60_000

/** Looked ahead for a schedule that comes once a month; what comes more rarely is not told. */
const MINUTES_AHEAD = 32 * 24 * 60

/**
 * The first minute at `from` (ISO 8601) or after it in which the daemon wakes up for the schedule;
 * null if there is none within a month. The daemon's own reading of the expression decides.
 */
export function firstWake({ cron, zone }: Schedule, from: string): string | null {
  const task = createTask(cron, () => {}, { timezone: zone })
  try {
    const first = Math.ceil(Date.parse(from) / MINUTE_MS)
    for (let minute = first; minute < first + MINUTES_AHEAD; minute += 1) {
      const at = new Date(minute * MINUTE_MS)
      if (task.match(at)) return at.toISOString().replace('.000Z', 'Z')
    }
    return null
  } finally {
    void task.destroy()
  }
}
