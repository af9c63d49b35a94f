/** The statement that cuts a link: a batch and a trial share it. */
import { sql, type RawBuilder } from 'kysely'
import type { Child, Referral } from '../catalog/fitted.ts'
import { keyEquals, keySet, tableId, type Key } from '../db/governed.ts'

/** Sets the link of the given rows to null: they stay, and refer to nothing by it. */
export function detachRows(child: Child, key: Referral, keys: readonly Key[]): RawBuilder<unknown> {
  return sql`
    update ${tableId(child.table)} as row
    set ${sql.join(key.fromColumns.map((column) => sql`${sql.id(column)} = null`))}
    from ${keySet(child.key, keys)} as given
    where ${keyEquals(child.key, 'row', 'given')}`
}
