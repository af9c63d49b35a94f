/** The key `pace` as people write it. */
import { z } from 'zod'
import { mapping, Zone } from './document-parts.ts'
import { quote, refuse, refuseKind } from './fault.ts'
import type { Read } from './fault.ts'
import { field } from './fields.ts'

const DURATION_PATTERN = /^([1-9][0-9]{0,4}) (second|minute|hour)s?$/
const SIZE_PATTERN = /^([1-9][0-9]{0,5}) (MB|GB|TB)$/
const CLOCK_PATTERN = /^([01][0-9]|2[0-3]):([0-5][0-9])$/

const MS_OF = { second: 1000, minute: 60_000, hour: 3_600_000 } as const
const BYTES_OF = { MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 } as const

const LONGEST_MS = 7 * 24 * MS_OF.hour

const Duration = field(readDuration, z.string().regex(DURATION_PATTERN))
const Size = field(readSize, z.string().regex(SIZE_PATTERN))
const ClockTime = field(readClockTime, z.string().regex(CLOCK_PATTERN))

const Window = mapping({
  from: ClockTime.describe('Local time at which the window opens, HH:MM.'),
  to: ClockTime.describe('Local time at which it closes; of the next day, if that is earlier.'),
  timezone: Zone.optional().describe('Zone of these times; that of the rule by default.'),
})

const PauseWhen = mapping({
  replica_lag: Duration.optional().describe('A replica is further behind; 30 seconds by default.'),
  slot_wal: Size.optional().describe('A replication slot retains more log; 10 GB by default.'),
  lock_waiters: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe('So many sessions of the database wait for locks; 10 by default.'),
  batch: Duration.optional().describe('One of our batches took longer; 5 seconds by default.'),
  dead_percent: z
    .number()
    .gt(0)
    .lte(100)
    .optional()
    .describe('More per cent of the table are dead rows; 60 by default.'),
})

export const PaceDocument = mapping({
  rows_per_second: z
    .int()
    .min(1)
    .max(10_000_000)
    .optional()
    .describe('Most rows a second, children counted; no limit by default.'),
  share: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('Per cent of the time at work, 50 by default; 100 never rests.'),
  max_duration: Duration.optional().describe('Longest time that a run acts under the rule.'),
  window: Window.optional().describe('Times of the day between which the rule acts.'),
  pause_when: PauseWhen.optional().describe('What of the server makes a run wait.'),
})

export type PaceDocument = z.output<typeof PaceDocument>

function readDuration(raw: unknown): Read<number> {
  if (typeof raw !== 'string') return refuseKind('a duration as text', raw)
  const [, count, unit] = DURATION_PATTERN.exec(raw) ?? []
  const remedy = 'write for example 30 seconds, 15 minutes or 2 hours'
  if (count === undefined)
    return refuse('duration_unreadable', `${quote(raw)} is no duration`, remedy)
  const ms = Number(count) * MS_OF[unit as keyof typeof MS_OF]
  if (ms > LONGEST_MS) {
    return refuse('duration_too_long', `${quote(raw)} is longer than a week`, remedy)
  }
  return { value: ms }
}

function readSize(raw: unknown): Read<number> {
  if (typeof raw !== 'string') return refuseKind('a size as text', raw)
  const [, count, unit] = SIZE_PATTERN.exec(raw) ?? []
  if (count !== undefined) {
    return { value: Number(count) * BYTES_OF[unit as keyof typeof BYTES_OF] }
  }
  return refuse('size_unreadable', `${quote(raw)} is no size`, 'write for example 500 MB or 10 GB')
}

/** Reads a time of day as minutes since midnight. */
function readClockTime(raw: unknown): Read<number> {
  if (typeof raw !== 'string') {
    return refuse('wrong_kind', 'expected a time of day as text', 'write it in quotes: "22:00"')
  }
  const [, hours, minutes] = CLOCK_PATTERN.exec(raw) ?? []
  if (hours !== undefined) return { value: Number(hours) * 60 + Number(minutes) }
  const message = `${quote(raw)} is no time of day`
  return refuse('clock_time_unreadable', message, 'write it as "22:00", from "00:00" to "23:59"')
}
