/** Rows that the application marks as deleted and does not delete: a rule has to say what they are to it. */
import { printTable } from '../base/names.ts'
import { columnsRead, type Rule } from '../policy/policy.ts'
import type { Column, Table } from './catalog.ts'
import { findColumn, type Report } from './fit-table.ts'

/** What frameworks and people call such a column. */
const NAMES =
  /^(?:is_?|soft_?)?(?:deleted|discarded|trashed)(?:_?(?:at|on|date|time|datetime|ts))?$/i

const DATES: ReadonlySet<string> = new Set(['date', 'timestamp', 'timestamptz'])

/** True of a column that says of its row whether, or when, it was deleted. */
export function marksDeleted({ name, baseType }: Pick<Column, 'name' | 'baseType'>): boolean {
  return NAMES.test(name) && (baseType === 'bool' || DATES.has(baseType))
}

/**
 * Refuses a column that cannot say it, and a table that has one of which the rule says nothing: what an
 * application hides from its users is still there, and nobody else can know whether it is meant.
 */
export function fitSoftDeleted(rule: Rule, table: Table, report: Report): void {
  const said = rule.softDeleted
  if (said !== null) {
    const path = ['soft_deleted', 'column']
    // A filter on the column has looked for it already.
    const column =
      said.rows === 'include'
        ? findColumn(table, said.column, path, report)
        : table.columns.find(({ name }) => name === said.column)
    if (column === undefined || column.baseType === 'bool' || DATES.has(column.baseType)) return
    const message = `${column.name} is ${column.typeText}, which does not say whether a row is deleted`
    report(path, 'soft_delete_type', message, 'name a boolean, a date or a timestamp; or use where')
    return
  }
  const spoken = new Set([...columnsRead(rule.where), ...ownStarts(rule)])
  const marks = table.columns.filter((column) => marksDeleted(column))
  const [first] = marks
  if (first === undefined || marks.some(({ name }) => spoken.has(name))) return
  report(
    ['table'],
    'soft_delete_undecided',
    `${printTable(table)} has a column ${first.name}, and nothing says whether rows that it marks are meant`,
    `write soft_deleted: { column: ${first.name}, rows: include }, or only, or exclude`,
  )
}

/** A period that starts with the deletion is over only for rows that were deleted. */
function ownStarts({ start }: Rule): readonly string[] {
  return start.kind === 'column' ? [start.column] : start.own.map(({ column }) => column)
}
