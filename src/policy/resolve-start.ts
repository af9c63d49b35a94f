import type { StartDocument, Way, WrittenActivity, WrittenSource } from './document-start.ts'
import type { Fault } from './fault.ts'
import type { EventSource, EventStart, OwnSource, Place, Start, StartColumn } from './policy.ts'

type WrittenEvent = Exclude<StartDocument, string | { readonly column: string }>
type Latest = Extract<WrittenEvent, { readonly latest: unknown }>
type LastActivity = Extract<WrittenEvent, { readonly last_activity: unknown }>

type Reading = Partial<Pick<WrittenSource, 'timezone' | 'unit' | 'format'>>

/** Expands a start to its sources, each with everything it needs. */
export function resolveStart(start: StartDocument, faults: Fault[]): Start {
  if (typeof start === 'string') return { kind: 'column', ...columnOf(start, {}) }
  if ('column' in start) return { kind: 'column', ...columnOf(start.column, start) }
  if ('latest' in start) return latestOf(start, faults)
  return activityOf(start, faults)
}

function columnOf(column: string, { timezone, unit, format }: Reading): StartColumn {
  return { column, zone: timezone ?? null, unit: unit ?? null, format: format ?? null }
}

function latestOf(start: Latest, faults: Fault[]): EventStart {
  const { latest } = start
  const base = { kind: 'event', own: [], nulls: 'open', none: noneOf(start.none) } as const
  if (!Array.isArray(latest)) {
    const column = { ...start, column: latest }
    return { ...base, sources: [sourceOf(column, start, ['start'], faults)] }
  }
  faults.push(...misplaced(start))
  const sources = latest.map((written, at) => {
    const source = 'table' in written ? { column: written } : written
    return sourceOf(source, start, ['start', 'latest', at], faults)
  })
  return { ...base, sources }
}

function activityOf(start: LastActivity, faults: Fault[]): EventStart {
  const sources: EventSource[] = []
  const own: OwnSource[] = []
  for (const [at, written] of start.last_activity.entries()) {
    const place = ['start', 'last_activity', at]
    const activity: WrittenActivity = 'table' in written ? { column: written } : written
    const { table, column } = activity.column
    if (table === null) {
      own.push({ ...columnOf(column, activity), place })
      faults.push(...wayUnused(activity, place))
    } else {
      sources.push(sourceOf({ ...activity, column: { table, column } }, start, place, faults))
    }
  }
  if (sources.length === 0) faults.push(...wayUnused(start, ['start']))
  return { kind: 'event', sources, own, nulls: 'nothing', none: noneOf(start.none) }
}

/** A source with its own way, or the one that stands beside the list for all that have none. */
function sourceOf(
  written: WrittenSource,
  shared: Pick<WrittenEvent, 'by' | 'via'>,
  place: Place,
  faults: Fault[],
): EventSource {
  const by = written.by ?? shared.by
  if (by === undefined) {
    const fault = { code: 'missing_key', message: '"by" is missing', remedy: 'add by:' }
    faults.push({ ...fault, path: [...place, 'by'] })
  }
  const straight: Way = by ?? { hops: [], by: [] }
  const via = written.via ?? (written.by === undefined ? shared.via : undefined)
  return {
    ...columnOf(written.column.column, written),
    table: written.column.table,
    hops: straight.hops,
    via: via ?? null,
    by: straight.by,
    open: written.open ?? null,
    place,
  }
}

function noneOf(none: WrittenEvent['none']): EventStart['none'] {
  if (none === undefined || typeof none === 'string') return none ?? 'report'
  return { use: columnOf(none.use, none) }
}

/** What belongs to one source must stand with it: of several, nobody could say which is meant. */
function misplaced(start: Latest): readonly Fault[] {
  const keys = (['open', 'timezone', 'unit', 'format'] as const).filter(
    (key) => start[key] !== undefined,
  )
  return keys.map((key) => ({
    code: 'key_misplaced',
    message: `${key} belongs to one of the sources`,
    remedy: `write it there: { column: …, ${key}: … }`,
    path: ['start', key],
    on: 'key',
  }))
}

function wayUnused(written: Pick<WrittenEvent, 'by' | 'via'>, place: Place): readonly Fault[] {
  const keys = (['by', 'via'] as const).filter((key) => written[key] !== undefined)
  return keys.map((key) => ({
    code: 'key_misplaced',
    message: `${key} leads to a related table, and a column of the row itself needs none`,
    remedy: 'remove it, or write the column as schema.table.column',
    path: [...place, key],
    on: 'key',
  }))
}
