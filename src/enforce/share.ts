/** Whether several connections may go through one table at once without standing in each other's way. */
import { sameTable } from '../base/names.ts'
import { closedBy } from '../catalog/chain.ts'
import { isTangled, type FittedRule } from '../catalog/fitted.ts'
import { sourcesToKeepWhole } from '../catalog/partitions.ts'

/**
 * False where a batch locks a whole table, which no two batches can; where so many rows of a table must
 * stay, which each batch counts for itself; and where rows of the table refer to each other, or go along by several links:
 * PostgreSQL looks for rows that refer to a purged one by itself, and would wait for those that
 * another of our batches has locked.
 */
export function canShare(fitted: FittedRule): boolean {
  const { rule, start, table, closed, blockers } = fitted
  const alone = closed.length + closedBy(start).length + sourcesToKeepWhole(start).length
  const refersToItself = [...table.outbound, ...blockers.map(({ key }) => key)].some(
    (key) => sameTable(key.from, table) && sameTable(key.to, table),
  )
  return alone === 0 && rule.floors.length === 0 && !refersToItself && !isTangled(fitted)
}
