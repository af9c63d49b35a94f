/** In which order rows of tables that refer to each other can be deleted. */
import { invariant } from '../base/errors.ts'
import { sameTable } from '../base/names.ts'
import type { Table } from './catalog.ts'

/**
 * Groups the tables so that each group refers only to itself and to groups before it. Deleted from
 * the end, no foreign key is broken; tables of one group refer to each other in a circle, and their
 * rows have to go in one statement, at the end of which PostgreSQL looks at foreign keys.
 */
export function strataOf<T extends Pick<Table, 'schema' | 'name' | 'outbound'>>(
  tables: readonly T[],
): readonly (readonly T[])[] {
  const above = new Map(tables.map((table) => [table, reachedFrom(table, tables)]))
  const strata: (readonly T[])[] = []
  const placed = new Set<T>()
  while (placed.size < tables.length) {
    const free = tables.find(
      (table) =>
        !placed.has(table) &&
        [...(above.get(table) ?? [])].every(
          (other) => placed.has(other) || other === table || above.get(other)?.has(table),
        ),
    )
    invariant(free !== undefined, 'tables that refer to each other have no order')
    const circle = tables.filter(
      (table) =>
        table === free || (above.get(free)?.has(table) === true && above.get(table)?.has(free)),
    )
    for (const table of circle) placed.add(table)
    strata.push(circle)
  }
  return strata
}

/** The tables to which rows of `from` lead by foreign keys, directly or not. */
function reachedFrom<T extends Pick<Table, 'schema' | 'name' | 'outbound'>>(
  from: T,
  tables: readonly T[],
): ReadonlySet<T> {
  const reached = new Set<T>()
  const walk = (table: T): void => {
    for (const key of table.outbound) {
      const to = tables.find((each) => sameTable(each, key.to))
      if (to === undefined || reached.has(to)) continue
      reached.add(to)
      walk(to)
    }
  }
  walk(from)
  return reached
}
