/** The holds that cover one record, by case and scope. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { tableId } from '../db/governed.ts'
import { heldBy } from './hindrance.ts'
import type { View } from './due.ts'

export type ExplainedHold = {
  /** Number and case of a hold that a person placed; null for a row of a source. */
  readonly hold: number | null
  readonly case: string | null
  readonly scope: 'rule' | 'subject' | 'row' | 'source'
  /** The table of the row that the hold is on: the record's, or that of a row it depends on. */
  readonly on: string
  /** The table that holds it, if that is a source. */
  readonly source: string | null
  /** When it was placed; null for a source, which does not say. ISO 8601, UTC. */
  readonly since: string | null
  /** The day of which somebody wants to be reminded; the hold goes on after it. */
  readonly until: string | null
}

/** Finds the open holds that cover the row, or one that it depends on; each once. */
export async function explainHolds(
  db: QueryExecutorProvider,
  view: View,
  isRoot: RawBuilder<unknown>,
): Promise<readonly ExplainedHold[]> {
  const found = new Map<string, ExplainedHold>()
  for (const { on, source, condition } of heldBy(view)) {
    const isHeld = (only?: RawBuilder<unknown>) => sql`exists (
      select from ${tableId(view.fitted.table)} as row
      where ${isRoot} and ${condition(only)}
    )`
    const holds =
      source === null
        ? await ordersThat(db, on, isHeld(sql`placed.id = named.id`))
        : await sourceThat(db, { on, source }, isHeld())
    for (const hold of holds) found.set(JSON.stringify(hold), hold)
  }
  return [...found.values()]
}

type Order = Pick<ExplainedHold, 'scope' | 'until'> & {
  readonly id: bigint
  readonly case: string
  readonly since: string
}

async function ordersThat(
  db: QueryExecutorProvider,
  on: string,
  holdIt: RawBuilder<unknown>,
): Promise<readonly ExplainedHold[]> {
  const { rows } = await sql<Order>`
    select named.id, named.case_reference as "case", named.scope, named.until,
      to_char(named.placed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
    from retentiond.hold as named
    where named.lifted_at is null and ${holdIt}
    order by named.id`.execute(db)
  return rows.map(({ id, case: reference, ...order }) => {
    return { hold: Number(id), case: reference, on, source: null, ...order }
  })
}

async function sourceThat(
  db: QueryExecutorProvider,
  place: { readonly on: string; readonly source: string },
  holdsIt: RawBuilder<unknown>,
): Promise<readonly ExplainedHold[]> {
  const { rows } = await sql`select 1 where ${holdsIt}`.execute(db)
  if (rows.length === 0) return []
  return [{ hold: null, case: null, scope: 'source', since: null, until: null, ...place }]
}
