/** What a table has to be, whole and of one piece, before rules read it or act on it. */
import { printTable } from '../base/names.ts'
import type { Table } from './catalog.ts'
import { levelsOf, sourcesOf } from './chain.ts'
import type { FittedStart } from './fitted.ts'
import type { Report } from './fit-table.ts'

/**
 * Refuses a partition by itself, since rows move to others, and a partitioned table of which some
 * partition has what a statement on the whole would not meet.
 */
export function isWhole(table: Table, path: readonly (string | number)[], report: Report): boolean {
  const printed = printTable(table)
  if (table.partitionOf !== null) {
    const root = printTable(table.partitionOf)
    report(
      path,
      'partition_named',
      `${printed} is a partition of ${root}`,
      `name ${root}: a row may move to another partition, and stays the same row`,
    )
    return false
  }
  for (const odd of table.oddPartitions) {
    report(
      path,
      'partition_odd',
      `${printTable(odd)}, a partition of ${printed}, ${odd.why}`,
      `statements go through ${printed} and would not meet it: put it there, or detach the partition`,
    )
  }
  return table.oddPartitions.length === 0
}

/**
 * Partitioned tables whose set of partitions must not change while a batch decides. Attaching one
 * brings related rows that nobody inserted: where they refer to the governed row itself, PostgreSQL
 * makes that wait for our lock on the governed table; other tables are only locked by rows.
 */
export function sourcesToKeepWhole(start: FittedStart): readonly Table[] {
  return sourcesOf(start).flatMap((source) =>
    levelsOf(source).flatMap(({ table, closed }, at) => {
      const isBelowOwn = at === source.hops.length && source.guard.kind === 'own row'
      return table.kind === 'partitioned table' && !closed && !isBelowOwn ? [table] : []
    }),
  )
}
