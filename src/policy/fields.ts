import { validate } from 'node-cron'
import { z } from 'zod'
import { closest } from '../base/nearest.ts'
import { hasControl, quote, refuse, refuseKind } from './fault.ts'
import type { Fault, Read } from './fault.ts'

/** Where `field` leaves a fault in a zod issue. */
export type FaultParams = { readonly fault: Fault }

/**
 * Makes a schema of a value with a small language of its own. `read` decides and explains; `shape` is
 * what editors are told, and is checked too, so that the two can't drift apart unseen.
 */
export function field<T>(read: (raw: unknown) => Read<T>, shape: z.ZodType) {
  return z
    .preprocess((raw, context) => {
      if (raw === undefined) {
        context.issues.push({ code: 'invalid_type', expected: 'unknown', input: raw })
        return z.NEVER
      }
      for (const fault of read(raw).faults ?? []) {
        const params: FaultParams = { fault }
        context.issues.push({ code: 'custom', input: raw, path: [...fault.path], params })
      }
      return raw
    }, shape)
    .transform((raw, context): T => {
      const { value } = read(raw)
      // Anything else was refused above; a schema that transforms what it checks would end here.
      if (value === undefined) context.issues.push({ code: 'custom', input: raw })
      return value as T
    })
}

/** Longer titles and reasons are a document of their own. */
const LONGEST_TEXT = 2000

/** Reads a sentence for people. Line breaks become spaces, so that it prints on one line everywhere. */
export function readText(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('text', raw)
  const text = raw.replaceAll(/[ \t\r\n]+/g, ' ').trim()
  if (text === '') return refuse('empty_value', 'there is no text here')
  if (text.length > LONGEST_TEXT) {
    return refuse('text_too_long', `text of ${text.length} characters; at most ${LONGEST_TEXT}`)
  }
  if (hasControl(text))
    return refuse('control_character', 'this text has a control character in it')
  return { value: text }
}

/** Asked for once: the list is made anew by each call, and takes a millisecond. */
const ZONES: ReadonlySet<string> = new Set(['UTC', ...Intl.supportedValuesOf('timeZone')])

/** Reads the name of an IANA zone. Offsets and abbreviations are refused: they know no summer time. */
export function readZone(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('a time zone as text', raw)
  if (ZONES.has(raw)) return { value: raw }
  const near = closest(raw, [...ZONES])
  const remedy = near === undefined ? 'write for example Europe/Paris' : `did you mean ${near}?`
  const refused = refuse('zone_unknown', `${quote(raw)} is not an IANA time zone`, remedy)
  if (!/^[A-Z][A-Za-z]{1,30}(?:\/[A-Za-z0-9_+-]{1,30}){1,2}$/.test(raw)) return refused
  return isZone(raw) && raw.toLowerCase() !== near?.toLowerCase() ? { value: raw } : refused
}

/** Older spellings (Europe/Kiev) are missing from the list of zones, but PostgreSQL has them too. */
function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** Reads a calendar day, YYYY-MM-DD. */
export function readDay(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('a day as YYYY-MM-DD', raw)
  if (isDay(raw)) return { value: raw }
  const message = `${quote(raw)} is not a day of the calendar`
  return refuse('day_invalid', message, 'write it as YYYY-MM-DD')
}

function isDay(text: string): boolean {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) || text.startsWith('0000')) return false
  const day = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)
}

/** Reads the days that stand for "still open" or for "unknown". */
export function readSentinels(kind: 'open' | 'invalid'): (raw: unknown) => Read<readonly string[]> {
  return (raw) => {
    if (!Array.isArray(raw)) return refuseKind('a list of days', raw)
    const reads = raw.map((item: unknown) => readSentinel(kind, item))
    const faults = reads.flatMap((read, index) =>
      (read.faults ?? []).map((fault) => ({ ...fault, path: [index] })),
    )
    if (faults.length > 0) return { faults }
    return { value: reads.flatMap((read) => (read.value === undefined ? [] : [read.value])) }
  }
}

function readSentinel(kind: 'open' | 'invalid', raw: unknown): Read<string> {
  if (raw !== 'infinity' && raw !== '-infinity') return readDay(raw)
  if ((raw === 'infinity') === (kind === 'open')) return { value: raw }
  const message = `${raw} always means ${kind === 'open' ? 'an invalid date' : 'still open'}`
  return refuse('sentinel_contradicts', message, `remove it from ${kind}`)
}

/** Reads a cron expression of five fields; `none` takes a default schedule back. */
export function readSchedule(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('a cron expression as text', raw)
  if (raw.length > 200) return refuse('schedule_invalid', 'this cron expression is too long')
  const cron = raw.trim().replaceAll(/[ \t]+/g, ' ')
  if (cron === 'none') return { value: cron }
  const { length } = cron.split(' ')
  if (cron.startsWith('@') || length !== 5) {
    const message = `a schedule has five fields: ${quote(cron)} has ${length}`
    return refuse('schedule_invalid', message, 'write minute, hour, day, month, weekday: 0 3 * * *')
  }
  if (validate(cron)) return { value: cron }
  const message = `${quote(cron)} is not a cron expression`
  return refuse('schedule_invalid', message, 'write minute, hour, day, month, weekday: 0 3 * * *')
}

/** Reads a text mask: `{key}` is the only thing it can refer to, since all else is a value of the row. */
export function readTemplate(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('text', raw)
  if (raw.length > LONGEST_TEXT) {
    return refuse('text_too_long', `text of ${raw.length} characters; at most ${LONGEST_TEXT}`)
  }
  const unknown = raw.match(/\{[^{}]*\}/g)?.find((part) => part !== '{key}')
  if (unknown === undefined) return { value: raw }
  const message = `a template knows only {key}, the primary key of the row, not ${quote(unknown)}`
  return refuse('template_placeholder_unknown', message, 'write {key} or leave the braces out')
}
