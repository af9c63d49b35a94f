/** Rows above a row on which a hold may come or go: they are locked before it is decided again. */
import { sql, type RawBuilder } from 'kysely'
import type { Above, Held } from '../catalog/fitted.ts'
import { conjunction, keyEquals, keySet, keyTexts, tableId, type Key } from '../db/governed.ts'
import { aliasAt, anyAbove, climbs, sameKey, tablesOf } from './held.ts'

/** A way up from a row that a batch destroys to a row which has to be locked. */
export type Climb = { readonly from: Held; readonly path: readonly Above[] }

/** Keys of the rows at the end of a climb that the batch holds locked. */
export type LockedAbove = Climb & { readonly keys: readonly Key[] }

/** Every way up whose last row may change what it is held by. */
export function climbsOf(held: readonly Held[]): readonly Climb[] {
  return held.flatMap((from) =>
    pathsAbove(from.above, [])
      .filter((path) => path.at(-1)?.moves === true)
      .map((path) => ({ from, path })),
  )
}

function pathsAbove(
  above: readonly Above[],
  below: readonly Above[],
): readonly (readonly Above[])[] {
  return above.flatMap((each) => {
    const path = [...below, each]
    return [path, ...pathsAbove(each.above, path)]
  })
}

/** The columns that name the rows at the end of a climb. */
export function topKey({ path }: Climb): Above['key'] {
  return path.at(-1)?.key ?? []
}

/**
 * Locks the rows at the end of the climb from the given rows, against changes only: the application
 * may go on referring to them. What another session has locked is left out, and spares the record.
 */
export function lockAbove(climb: Climb, keys: readonly Key[]): RawBuilder<Record<string, unknown>> {
  const { from, path } = climb
  const key = topKey(climb)
  const top = path.at(-1)
  if (top === undefined) return sql`select where false`
  return sql`
    select ${keyTexts(key, 'locked')}
    from ${tableId(top.table)} as locked
    where exists (
      select from ${keySet(from.key, keys)} as given
      join ${tableId(from.table)} as base on ${keyEquals(from.key, 'base', 'given')}
      cross join ${tablesOf(path, 'base')}
      where ${conjunction([climbs(path, 'base'), sameKey(key, aliasAt(path.length), 'locked')])}
    )
    for share of locked skip locked`
}

/** True of a row that has a row above it which the batch could not lock. */
export function hasUnlockedAbove(locked: LockedAbove, row: string): RawBuilder<boolean> {
  const key = topKey(locked)
  return anyAbove(
    locked.path,
    row,
    (top) => sql`not exists (
      select from ${keySet(key, locked.keys)} as locked_above
      where ${keyEquals(key, top, 'locked_above')}
    )`,
  )
}
