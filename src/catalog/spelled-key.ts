import { sql } from 'kysely'
import type { Db } from '../db/connect.ts'
import { columnId, tableId, type Key } from '../db/governed.ts'
import { SQLSTATE, sqlstateOf } from '../db/sqlstate.ts'
import { inSnapshot } from '../db/transaction.ts'
import { rowKey, type Table } from './catalog.ts'

/** A key as its columns print it; or why it cannot be: not so many columns, no right, no such values. */
export type SpelledKey =
  | { readonly key: Key; readonly fault?: undefined }
  | { readonly fault: 'columns'; readonly columns: readonly string[] }
  | { readonly fault: 'values'; readonly columns: readonly string[] }
  | { readonly fault: 'rights' }

/**
 * Spells the values of a key as PostgreSQL prints them in the types of their columns, as a batch did when
 * it committed to the row: `1` of a numeric(9,2) is `1.00`. No row is read.
 */
export async function spelledKey(db: Db, table: Table, values: Key): Promise<SpelledKey> {
  const columns = rowKey(table)?.columns ?? []
  if (columns.length !== values.length || columns.length === 0) return { fault: 'columns', columns }
  const record = JSON.stringify(Object.fromEntries(columns.map((name, at) => [name, values[at]])))
  const row = tableId({ schema: table.schema, name: table.name, only: false })
  const parts = columns.map((name) => sql`cast(${columnId('row', name)} as text)`)
  try {
    const { rows } = await inSnapshot(db, async (trx) =>
      sql<{ key: string[] }>`
        select array[${sql.join(parts)}] as key
        from json_populate_record(cast(null as ${row}), ${record}::json) as row`.execute(trx),
    )
    return { key: rows[0]?.key ?? values }
  } catch (error) {
    const state = sqlstateOf(error)
    if (state === SQLSTATE.insufficientPrivilege) return { fault: 'rights' }
    // Class 22: a value is not of the type of its column.
    if (state?.startsWith('22') === true) return { fault: 'values', columns }
    throw error
  }
}
