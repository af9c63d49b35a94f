/** Which rows of its own table a rule will have left when its run is over: what a plan says of all its passes. */
import { sql, type RawBuilder } from 'kysely'
import { sameTable } from '../base/names.ts'
import type { Blocker, FittedRule, Reader } from '../catalog/fitted.ts'
import { columnId, conjunction, keyArray, tableId } from '../db/governed.ts'
import { takesAway } from '../policy/policy.ts'
import { alias, type View } from './due.ts'
import { alongOf, goingTo } from './going.ts'
import { refersTo } from './refer.ts'
import { upThrough } from './related.ts'

/** By what rows of the governed table keep others of it until the rule has acted on them. */
export type OwnWaits = {
  readonly blockers: readonly Blocker[]
  readonly readers: readonly Reader[]
}

export function ownWaits({ rule, table, blockers, readers }: FittedRule): OwnWaits {
  // What is anonymised is there as before, and other rules have yet to act on it.
  const goes = takesAway(rule)
  return {
    blockers: goes ? blockers.filter((each) => sameTable(each.table, table)) : [],
    readers: readers.filter(({ reader }) =>
      goes ? sameTable(reader.table, table) : reader.rule.id === rule.id,
    ),
  }
}

/** What is asked of the rows of the rule's table. */
export type Asking = {
  /** True of a row on which the rule will act, if none of its own rows keeps it. */
  readonly goes: (row: View) => RawBuilder<unknown>
  readonly isOver: IsOver
}

/** What of a row makes it keep nobody, whatever becomes of it under the rule: it is gone by then, or done. */
export type IsOver = (row: View, each: Blocker | Reader) => RawBuilder<unknown>

export function mayWaitInCircles(fitted: FittedRule): boolean {
  const { blockers, readers } = ownWaits(fitted)
  return blockers.length + readers.length > 0
}

/**
 * True of a row that the rule will leave: `goes` is not true of it, it waits for such a row at any
 * distance, or it waits for one of those that wait for each other in a circle. Found once for the
 * whole table. Rows that are over are not told apart from those.
 */
export function isAmongThoseThatStay(
  view: View,
  row: string,
  { goes, isOver }: Asking,
): RawBuilder<boolean> {
  const { key, rule } = view.fitted
  const keys = (): RawBuilder<unknown> => keysThatStay(view, { goes, isOver })
  const set = view.sets === null ? keys() : view.sets.keysOf(`stays under ${rule.id}`, keys)
  return sql<boolean>`(${keyArray(key, row)} in (${set}))`
}

function keysThatStay(view: View, { goes, isOver }: Asking): RawBuilder<unknown> {
  const { table, key } = view.fitted
  const low = alias(view, 'low')
  const [waits, circle, stays] = [named(view, 'waits'), named(view, 'circle'), named(view, 'stays')]
  return sql`
    with recursive
      ${allCircles(view, isOver)},
      ${stays} (key) as (
        select ${keyArray(key, low)} from ${tableId(table)} as ${sql.id(low)} where ${goes(lowest(view))} is not true
        union
        select low from ${circle} where low = high
        union
        select further.high
        from ${stays} as found join ${waits} as further on further.low = found.key
      )
    -- Each key is there once already. PostgreSQL expects far too many of them, and would not hash them;
    -- of distinct ones it expects few.
    select distinct key from ${stays}`
}

/** How many circles there are of rows that wait for each other, whether they are due or not. */
export function countCircles(view: View, isOver: IsOver): RawBuilder<{ readonly circles: string }> {
  return sql`
    with recursive ${allCircles(view, isOver)}
    select count(distinct low)::text as circles from ${named(view, 'circle')} where low = high`
}

/** True of a row of the governed table that waits for itself by way of others. */
export function isInCircle(view: View, isOver: IsOver): RawBuilder<boolean> {
  const key = keyArray(view.fitted.key, view.row)
  const [waits, walked] = [named(view, 'waits'), named(view, 'walked')]
  return sql<boolean>`exists (
    with recursive
      ${waits} (low, high) as (${sql.join(allWaits(view, isOver), sql` union `)}),
      ${walked} (key) as (
        select high from ${waits} where low = ${key}
        union
        select further.high from ${walked} as on_way join ${waits} as further on further.low = on_way.key
      )
    select from ${walked} where key = ${key}
  )`
}

function named(view: View, name: string): RawBuilder<unknown> {
  return sql.id(alias(view, name))
}

/**
 * The common tables `waits` and `circle`: of each circle the walk that begins at its least row is
 * gone to the end. Where parents have lower keys than their children no walk gets beyond its
 * first step.
 */
function allCircles(view: View, isOver: IsOver): RawBuilder<unknown> {
  const [waits, circle] = [named(view, 'waits'), named(view, 'circle')]
  return sql`
    ${waits} (low, high) as (${sql.join(allWaits(view, isOver), sql` union `)}),
    ${circle} (low, high) as (
      select low, high from ${waits} where high > low
      union
      select walked.low, further.high
      from ${circle} as walked join ${waits} as further on further.low = walked.high
      where walked.high > walked.low and further.high >= walked.low
    )`
}

/** Pairs of keys: the row `high` waits until another row, `low`, is gone, or is done. */
function allWaits(view: View, isOver: IsOver): readonly RawBuilder<unknown>[] {
  const { blockers, readers } = ownWaits(view.fitted)
  const over = (each: Blocker | Reader): RawBuilder<unknown> => isOver(lowest(view), each)
  return [
    ...blockers.map((each) => blockerWaits(view, each, over(each))),
    ...readers.flatMap((each) => readerWaits(view, each, over(each))),
  ]
}

function lowest(view: View): View {
  return { ...view, row: alias(view, 'low'), level: view.level + 1 }
}

function blockerWaits(
  view: View,
  { key }: Blocker,
  isOver: RawBuilder<unknown>,
): RawBuilder<unknown> {
  const [low, high] = [alias(view, 'low'), alias(view, 'high')]
  const joined = sql`join ${tableId(key.from)} as ${sql.id(low)} on ${refersTo(key, low, high)}`
  return pairs(view, joined, isOver)
}

/** A row that decides about a record waits for it; so does the one that it goes along with. */
function readerWaits(
  view: View,
  { on, hops, pairs: equal }: Reader,
  isOver: RawBuilder<unknown>,
): readonly RawBuilder<unknown>[] {
  const { table } = view.fitted
  const low = alias(view, 'low')
  return waysTo(view, on).map(({ read, tables, links }) => {
    const up = upThrough(hops, read, (name) => alias(view, name))
    const same = equal.map(
      ({ own, read: column }) => sql`${columnId(low, own)} = ${columnId(up.top, column)}`,
    )
    const on = conjunction([...same, up.links, links])
    const joined = sql`${tables}${up.tables} join ${tableId(table)} as ${sql.id(low)} on ${on}`
    return pairs(view, joined, isOver)
  })
}

/** The rows of a table that go with `high`; of the governed one it is that row itself. */
function waysTo(view: View, on: Reader['on']): ReturnType<typeof goingTo> {
  const high = alias(view, 'high')
  const child = alongOf(view.fitted, on)
  if (child === null) return [{ read: high, tables: sql``, links: sql`true` }]
  return goingTo({ ...view, row: high }, child).map((way) => ({
    ...way,
    tables: sql` cross join ${way.tables}`,
  }))
}

function pairs(
  view: View,
  joined: RawBuilder<unknown>,
  isOver: RawBuilder<unknown>,
): RawBuilder<unknown> {
  const { table, key } = view.fitted
  const [low, high] = [alias(view, 'low'), alias(view, 'high')]
  return sql`
    select ${keyArray(key, low)} as low, ${keyArray(key, high)} as high
    from ${tableId(table)} as ${sql.id(high)} ${joined}
    where ${keyArray(key, low)} <> ${keyArray(key, high)} and (${isOver}) is not true`
}
