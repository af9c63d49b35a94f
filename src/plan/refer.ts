/** The one fragment that says which row a row refers to. */
import { sql, type RawBuilder } from 'kysely'
import type { Referral } from '../catalog/fitted.ts'
import { columnId, conjunction, type KeyColumn } from '../db/governed.ts'
import { matches } from './condition.ts'

/** True where the row `from` refers to the row `to`. */
export function refersTo(key: Referral, from: string, to: string): RawBuilder<boolean> {
  const { fromColumns, toColumns, filter } = key
  const pairs = fromColumns.map(
    (column, position) =>
      sql`${columnId(from, column)} = ${columnId(to, toColumns[position] ?? '')}`,
  )
  const asked = filter === null ? [] : [matches(filter.condition, filter.table, from)]
  return conjunction([...pairs, ...asked])
}

/** True of two aliases that stand for one row. */
export function sameRow(
  key: readonly KeyColumn[],
  one: string,
  other: string,
): RawBuilder<boolean> {
  return conjunction(key.map(({ name }) => sql`${columnId(one, name)} = ${columnId(other, name)}`))
}
