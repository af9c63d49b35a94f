import { printTable } from '../base/names.ts'
import type { Place, StartColumn } from '../policy/policy.ts'
import type { Column, Table } from './catalog.ts'
import type { Frame, Moment } from './fitted.ts'
import { findColumn, type Report } from './fit-table.ts'

/** A column of `table` that a period start is read from, and where the rule names it. */
type MomentPlace = StartColumn & {
  readonly table: Table
  /** The rule's zone, for local times that say none. */
  readonly ruleZone: string
  readonly path: Place
}

/** Why a column is none that a period can start at, and what to write. */
type Misfit = {
  readonly key: 'timezone' | 'unit' | 'format' | null
  readonly code: string
  readonly what: string
  readonly remedy: string
}

/** Fits a column of period starts; undefined if there is a problem, which is reported. */
export function fitMoment(place: MomentPlace, report: Report): Moment | undefined {
  const column = findColumn(place.table, place.column, place.path, report)
  if (column === undefined) return undefined
  const frame = frameOf(column, place)
  const misfit = 'code' in frame ? frame : unused(frame, place)
  if (misfit === undefined && !('code' in frame)) return { column: place.column, frame }
  if (misfit !== undefined) {
    const { key, code, what, remedy } = misfit
    const path = key === null ? place.path : [...place.path, key]
    const name = `${printTable(place.table)}.${place.column}`
    report(path, code, `${name} is ${column.typeText}${what}`, remedy)
  }
  return undefined
}

function frameOf(column: Column, place: MomentPlace): Frame | Misfit {
  switch (column.baseType) {
    case 'date':
      return { kind: 'date' }
    case 'timestamptz':
      return { kind: 'instant' }
    case 'timestamp':
      return { kind: 'local', zone: place.zone ?? place.ruleZone }
    case 'int4':
    case 'int8':
      return epochOf(column, place)
    case 'uuid':
      return place.unit === 'uuid7' ? { kind: 'uuid7' } : unitMissing(place, ['uuid7'])
    case 'text':
    case 'varchar':
    case 'bpchar':
      return place.format === null ? FORMAT_MISSING : { kind: 'text', format: place.format }
    default:
      return NOT_A_DATE
  }
}

const NOT_A_DATE: Misfit = {
  key: null,
  code: 'start_not_a_date',
  what: ': no period can start there',
  remedy:
    'a start is a date, a timestamp or a timestamp with time zone; or an integer, a uuid or text that says how it tells one',
}

const FORMAT_MISSING: Misfit = {
  key: null,
  code: 'start_format_missing',
  what: ', and nothing says how it writes its days',
  remedy: 'write { column: …, format: YYYY-MM-DD }',
}

function epochOf({ baseType }: Column, place: MomentPlace): Frame | Misfit {
  if (place.unit !== 'seconds' && place.unit !== 'milliseconds') {
    return unitMissing(place, ['seconds', 'milliseconds'])
  }
  if (place.unit === 'seconds' || baseType === 'int8') return { kind: 'epoch', unit: place.unit }
  const what = ', in which milliseconds end in January 1970'
  return { key: 'unit', code: 'start_unit_too_small', what, remedy: 'write unit: seconds' }
}

function unitMissing({ unit }: MomentPlace, known: readonly string[]): Misfit {
  return {
    key: unit === null ? null : 'unit',
    code: unit === null ? 'start_unit_missing' : 'start_unit_unfit',
    what: unit === null ? ', and nothing says what it counts' : `, which holds no ${unit}`,
    remedy: `write { column: …, unit: ${known.join(' } or { column: …, unit: ')} }`,
  }
}

/** Finds what the rule says of the column that means nothing for one of its type. */
function unused(frame: Frame, { zone, unit, format }: MomentPlace): Misfit | undefined {
  if (zone !== null && frame.kind !== 'local') {
    const what = ', which needs no zone of its own'
    const remedy = 'remove timezone: it is for timestamps without time zone'
    return { key: 'timezone', code: 'start_zone_unused', what, remedy }
  }
  if (unit !== null && frame.kind !== 'epoch' && frame.kind !== 'uuid7') {
    const what = ', which counts nothing'
    const remedy = 'remove unit: it is for integers and uuids'
    return { key: 'unit', code: 'start_unit_unused', what, remedy }
  }
  if (format !== null && frame.kind !== 'text') {
    const remedy = 'remove format: it is for text'
    return { key: 'format', code: 'start_format_unused', what: ', which is no text', remedy }
  }
  return undefined
}
