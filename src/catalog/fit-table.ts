import { didYouMean } from '../base/nearest.ts'
import { printTable, type TableName } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { KeyColumn } from '../db/governed.ts'
import type { Rule } from '../policy/policy.ts'
import { columnOf, rowKey, type Catalog, type Column, type Table } from './catalog.ts'
import { isWhole } from './partitions.ts'

type Path = readonly (string | number)[]

/** Collects the problems of one rule while it is fitted. */
export type Report = (path: Path, code: string, message: string, remedy?: string) => void

export function reportFor(rule: Rule, problems: Problem[]): Report {
  return (path, code, message, remedy) => {
    problems.push(
      rule.source.problem(
        path,
        remedy === undefined ? { code, message } : { code, message, remedy },
      ),
    )
  }
}

/** Finds a table that the rule names, or reports the nearest names. */
export function findTable(
  catalog: Catalog,
  name: TableName,
  path: Path,
  report: Report,
): Table | undefined {
  const printed = printTable(name)
  if (name.schema === 'retentiond') {
    report(path, 'own_schema', `${printed} is the program's own table`, 'rules never govern it')
    return undefined
  }
  if (/^(pg_|information_schema$)/.test(name.schema)) {
    report(
      path,
      'system_table',
      `${printed} belongs to PostgreSQL`,
      'name a table of the application',
    )
    return undefined
  }
  const table = catalog.tables.get(printed)
  if (table === undefined) {
    report(
      path,
      'table_missing',
      `there is no table ${printed} in database ${catalog.database.name}`,
      didYouMean(printed, catalog.known),
    )
  }
  return table
}

/** Finds a column that the rule names, or reports the nearest names. */
export function findColumn(
  table: Table,
  name: string,
  path: Path,
  report: Report,
): Column | undefined {
  const column = columnOf(table, name)
  if (column === undefined) {
    const names = table.columns.map((candidate) => candidate.name)
    report(
      path,
      'column_missing',
      `${printTable(table)} has no column ${name}`,
      didYouMean(name, names) ?? `its columns are ${names.join(', ')}`,
    )
  }
  return column
}

/** Refuses what a batch could not act on safely; true if the table may be governed. */
export function isGovernable(table: Table, rule: Rule, path: Path, report: Report): boolean {
  const printed = printTable(table)
  const refuse = (code: string, message: string, remedy: string): false => {
    report(path, code, message, remedy)
    return false
  }
  if (table.kind !== 'table' && table.kind !== 'partitioned table') {
    const article = table.kind === 'other' ? 'not a table' : `a ${table.kind}`
    return refuse('not_a_table', `${printed} is ${article}`, remedyForKind(table))
  }
  if (table.temporary) {
    return refuse('temporary_table', `${printed} is a temporary table`, 'govern a permanent one')
  }
  if (table.rules.length > 0) {
    return refuse(
      'rewrite_rules_present',
      `${printed} has rewrite rules: ${table.rules.join(', ')}`,
      'a rewrite rule turns a statement into another one; drop it or leave the table out',
    )
  }
  if (!isWhole(table, path, report)) return false
  if (rule.inheritance === null && table.descendants.length > 0) {
    return refuse(
      'inheritance_present',
      `${table.descendants.join(', ')} inherit from ${printed}: their rows show in it, and are not its own`,
      'write `inheritance: only` to govern its own rows, and rules for the others',
    )
  }
  if (rule.inheritance !== null && table.kind === 'partitioned table') {
    report(
      ['inheritance'],
      'inheritance_unused',
      `${printed} is partitioned: its rows are those of its partitions`,
      'remove it',
    )
    return false
  }
  if (table.rowSecurity) {
    return refuse(
      'row_security_active',
      `row security on ${printed} applies to our role: rows could be hidden from the count`,
      'give the role BYPASSRLS, or leave the table out',
    )
  }
  return true
}

function remedyForKind(table: Table): string {
  switch (table.kind) {
    case 'view':
    case 'materialized view':
      return 'name the table below it: rows of a view are not stored'
    case 'foreign table':
      return 'enforce retention where the rows are stored'
    case 'partitioned table':
    case 'table':
    case 'other':
      return 'name an ordinary table'
    default:
      return table.kind satisfies never
  }
}

/** The columns that name a row of `table`, or a problem if no key does. */
export function fitKey(table: Table, path: Path, report: Report): readonly KeyColumn[] | undefined {
  const key = rowKey(table)
  if (key === undefined) {
    report(
      path,
      'key_missing',
      `${printTable(table)} has neither a primary key nor a unique key of columns that are not null`,
      `a row without a key cannot be named: alter table ${printTable(table)} add primary key (…)`,
    )
    return undefined
  }
  return key.columns.flatMap((name) => {
    const column = columnOf(table, name)
    return column === undefined ? [] : [{ name, type: column.type }]
  })
}
