/** How many rows a run would leave of the tables that have a floor. */
import { sql, type QueryExecutorProvider } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { tableId } from '../db/governed.ts'
import { takesAway } from '../policy/policy.ts'
import type { Census } from './census.ts'
import type { PlannedFloor } from './plan.ts'

/** Counts what is left of each table of which the rule purges rows and has to leave some. */
export async function countLeft(
  db: QueryExecutorProvider,
  { rule, table, children }: FittedRule,
  census: Pick<Census, 'counts' | 'children'>,
): Promise<readonly PlannedFloor[]> {
  const floors: PlannedFloor[] = []
  for (const { table: name, keepAtLeast } of rule.floors) {
    if (keepAtLeast === null) continue
    const floor = { table: printTable(name), keepAtLeast }
    if (sameTable(name, table)) {
      if (takesAway(rule)) floors.push({ ...floor, left: leftOf(census.counts) })
      continue
    }
    const child = children.find((each) => sameTable(each.table, name))
    if (child === undefined) continue
    const { rows } = await sql<{ rows: string }>`
      select count(*)::text as rows from ${tableId(child.table)} as child`.execute(db)
    const going = census.children.find((each) => each.table === floor.table)?.rows ?? 0
    floors.push({ ...floor, left: Number(rows[0]?.rows ?? 0) - going })
  }
  return floors
}

/** What another rule acts on instead may go in the same run: it is not counted as left. */
function leftOf(counts: Census['counts']): number {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  return total - counts.due - counts.superseded
}
