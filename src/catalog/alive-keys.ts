import { sql } from 'kysely'
import { printTable, type TableName } from '../base/names.ts'
import type { Db } from '../db/connect.ts'
import { keyAlias, keyTexts, tableId, type Key } from '../db/governed.ts'
import { inSnapshot } from '../db/transaction.ts'
import { columnOf, rowKey } from './catalog.ts'
import { inspectCatalog } from './inspect.ts'

/**
 * The keys of rows that are in a table now, as a batch commits to them: all, or so many of them drawn
 * by chance. Null if the table is gone, has no key, or may not be read.
 */
export async function aliveKeys(
  db: Db,
  name: TableName,
  most: number,
): Promise<readonly Key[] | null> {
  const table = (await inspectCatalog(db, [name])).tables.get(printTable(name))
  const columns = (table === undefined ? [] : (rowKey(table)?.columns ?? [])).flatMap((column) => {
    const type = table === undefined ? undefined : columnOf(table, column)?.type
    return type === undefined ? [] : [{ name: column, type }]
  })
  if (columns.length === 0) return null
  const of = tableId({ schema: name.schema, name: name.name, only: false })
  return inSnapshot(db, async (trx) => {
    const { rows: allowed } = await sql<{ may: boolean | null }>`
      select bool_and(
        has_schema_privilege(space.oid, 'usage') and has_column_privilege(class.oid, key, 'select')
      ) as may
      from pg_class as class
      join pg_namespace as space on space.oid = class.relnamespace
      cross join unnest(${columns.map((column) => column.name)}::text[]) as key
      where space.nspname = ${name.schema} and class.relname = ${name.name}`.execute(trx)
    if (allowed[0]?.may !== true) return null
    const { rows } = await sql<Record<string, string>>`
      select ${keyTexts(columns, 'row')}
      from ${of} as row
      order by random()
      limit ${most}`.execute(trx)
    return rows.map((row) => columns.map((_, at) => row[keyAlias(at)] ?? ''))
  })
}
