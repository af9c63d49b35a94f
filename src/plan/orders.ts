/**
 * Persons' orders to keep something are few, and asking each row for each kind of them costs more than
 * deleting it. So a statement asks once whether any order of a kind is open, and each row only for the
 * kinds of which one is. The statement repeats that question: an order that came meanwhile would keep
 * every row, never none.
 */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import type { Child, FittedRule } from '../catalog/fitted.ts'
import { anyOpen, groundsOf, type Ground } from '../hold/held.ts'
import { matches } from './condition.ts'

/** Grounds of a rule, by their number in `groundsFor`, of whose kind no order is open. */
export type Idle = ReadonlySet<number>

export const NONE_IDLE: Idle = new Set()

/** Every ground on which a row, or one that changes with it, may be held. */
export function groundsFor({
  held,
}: Pick<FittedRule, 'held'>): readonly { readonly along: Child | null; readonly ground: Ground }[] {
  return held.flatMap((each) =>
    groundsOf(each, matches).map((ground) => ({ along: each.along, ground })),
  )
}

/** Asks which kinds of orders are not open. It stays so as long as holds are closed, or on a snapshot. */
export async function readIdle(db: QueryExecutorProvider, fitted: FittedRule): Promise<Idle> {
  const orders = groundsFor(fitted).map(({ ground }) => ground.order)
  const open = orders.map((order) => (order === null ? sql`true` : anyOpen([order])))
  const { rows } = await sql<{ open: readonly boolean[] }>`
    select array[${sql.join(open)}]::boolean[] as open`.execute(db)
  return new Set(orders.flatMap((_, at) => (rows[0]?.open[at] === false ? [at] : [])))
}

/** True as long as no order of an idle kind is open: asked once in a statement, not of each row. */
export function stillIdle(fitted: FittedRule, idle: Idle): RawBuilder<boolean> {
  const orders = groundsFor(fitted).flatMap(({ ground }, at) =>
    idle.has(at) && ground.order !== null ? [ground.order] : [],
  )
  return orders.length === 0 ? sql<boolean>`true` : sql<boolean>`not ${anyOpen(orders)}`
}

/** True of a rule under which no row can be held now, whatever the row. */
export function isAllIdle(fitted: FittedRule, idle: Idle): boolean {
  return groundsFor(fitted).every((_, at) => idle.has(at))
}
