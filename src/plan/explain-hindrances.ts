/** What keeps one record that is due, and how much of it there is. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { tableId } from '../db/governed.ts'
import type { View } from './due.ts'
import { isTangled } from '../catalog/fitted.ts'
import { anyAmong } from './going.ts'
import { isOverFor, isTied } from './hindrance.ts'
import { countHindering, hindrancesOf } from './named-hindrances.ts'
import { isInCircle, mayWaitInCircles } from './stays.ts'
import { takenKeys } from './taken.ts'

export type ExplainedHindrances = {
  /** Rules on the same table that reach the record and have not ended. */
  readonly keptBy: readonly string[]
  /** Rules that act on the record instead of this one. */
  readonly supersededBy: readonly string[]
  /** Tables with rows that still refer to the record, or to rows that go along with it, and stay. */
  readonly blockedBy: readonly { readonly table: string; readonly rows: number }[]
  /** It has to go at once with other rows of its table, or of tables that go along, that stay. */
  readonly tied: boolean
  /** Archives in which a row stands with its key, or with that of a row that goes along. */
  readonly keyTakenIn: readonly string[]
  /** It waits for other rows of its table, and those for it: none of them can go first. */
  readonly inCircle: boolean
  /** Rules that read a period start or a link from the record, and the records on which they have yet to act. */
  readonly decidesFor: readonly { readonly rule: string; readonly records: number }[]
  /** Tables of rows that the record, a row of a source of holds, still holds. */
  readonly stillHolds: readonly { readonly table: string; readonly rows: number }[]
}

/** Finds everything that stands in the way of the row, due or not, and counts it. */
export async function explainHindrances(
  db: QueryExecutorProvider,
  view: View,
  isRoot: RawBuilder<unknown>,
): Promise<ExplainedHindrances> {
  const { superseding, keepers, blockers, readers, holding } = hindrancesOf(view)
  const taken = takenKeys(view).map(({ archive: name, along, of }) => ({
    name,
    condition: anyAmong(view, along, of),
  }))
  const holds = async (condition: RawBuilder<unknown>): Promise<boolean> => {
    const { rows } = await sql`
      select 1 from ${tableId(view.fitted.table)} as row
      where ${isRoot} and ${condition}`.execute(db)
    return rows.length > 0
  }
  const named = async (all: typeof keepers): Promise<readonly string[]> => {
    const names: string[] = []
    for (const { name, condition } of all) if (await holds(condition)) names.push(name)
    return names
  }
  const counted = async (all: typeof blockers): Promise<readonly [string, number][]> => {
    const sums = new Map<string, number>()
    for (const each of all) {
      const { rows } = await countHindering(view, each, isRoot).execute(db)
      const count = Number(rows[0]?.rows ?? 0)
      if (count > 0) sums.set(each.name, (sums.get(each.name) ?? 0) + count)
    }
    return [...sums]
  }
  return {
    keptBy: await named(keepers),
    supersededBy: await named(superseding),
    blockedBy: (await counted(blockers)).map(([table, rows]) => ({ table, rows })),
    tied: isTangled(view.fitted) && (await holds(isTied(view))),
    keyTakenIn: await named(taken),
    inCircle: mayWaitInCircles(view.fitted) && (await holds(isInCircle(view, isOverFor))),
    decidesFor: (await counted(readers)).map(([rule, records]) => ({ rule, records })),
    stillHolds: (await counted(holding)).map(([table, rows]) => ({ table, rows })),
  }
}
