import { printTable } from '../base/names.ts'
import type { StartColumn } from '../policy/policy.ts'
import type { Column, Table } from './catalog.ts'
import type { Frame, Moment } from './fitted.ts'
import { findColumn, type Report } from './fit-table.ts'

/** A column of `table` that a period start is read from, and where the rule names it. */
type MomentPlace = StartColumn & {
  readonly table: Table
  /** The rule's zone, for local times that say none. */
  readonly ruleZone: string
  readonly path: readonly (string | number)[]
}

/** Fits a column of period starts; undefined if there is a problem, which is reported. */
export function fitMoment(place: MomentPlace, report: Report): Moment | undefined {
  const column = findColumn(place.table, place.column, place.path, report)
  if (column === undefined) return undefined
  const name = `${printTable(place.table)}.${place.column}`
  const frame = frameOf(column, place.zone ?? place.ruleZone)
  if (frame === undefined) {
    report(
      place.path,
      'start_not_a_date',
      `${name} is ${column.typeText}: no period can start there`,
      'a start is a date, a timestamp or a timestamp with time zone',
    )
    return undefined
  }
  if (place.zone !== null && frame.kind !== 'local') {
    report(
      [...place.path, 'timezone'],
      'start_zone_unused',
      `${name} is ${column.typeText}, which needs no zone of its own`,
      'remove timezone: it is for timestamps without time zone',
    )
    return undefined
  }
  return { column: place.column, frame }
}

function frameOf(column: Column, zone: string): Frame | undefined {
  switch (column.baseType) {
    case 'date':
      return { kind: 'date' }
    case 'timestamptz':
      return { kind: 'instant' }
    case 'timestamp':
      return { kind: 'local', zone }
    default:
      return undefined
  }
}
