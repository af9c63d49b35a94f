/**
 * What a table needs after much was changed in it. None of it stands in the application's way: ANALYZE
 * and VACUUM let rows be read and written, and both leave a table out whose lock they do not get.
 */
import { sql, type Kysely, type RawBuilder } from 'kysely'
import type { TableName } from '../base/names.ts'
import { inUpkeep } from './transaction.ts'
import { allowing } from './watched-client.ts'

/** Nothing but the server's own statement_timeout ends a VACUUM: it takes no setting of ours along. */
const VACUUM_MS = 3_600_000

/**
 * Makes the statistics of a table and its partitions again. PostgreSQL keeps those of a table that
 * it finds empty; from version 18 on they can be cleared, which `clears` asks for.
 */
export async function analyze<DB>(db: Kysely<DB>, table: TableOf, clears: boolean): Promise<void> {
  await inUpkeep(db, async (trx) => {
    await sql`analyze (skip_locked) ${sql.id(table.schema, table.name)}`.execute(trx)
    if (clears) await clearEmptied(table.oid).execute(trx)
  })
}

/**
 * Removes the dead rows of a table and its partitions. VACUUM takes no part in a transaction, so that
 * it is one statement by itself, which a pooler passes on as well. Index entries go with the rows,
 * however few they are. The end of the file is not cut off: that would lock readers out.
 */
export async function vacuum<DB>(db: Kysely<DB>, { schema, name }: TableName): Promise<void> {
  await allowing(VACUUM_MS, async () =>
    sql`
      vacuum (skip_locked, index_cleanup on, truncate off, parallel 0)
      ${sql.id(schema, name)}`.execute(db),
  )
}

type TableOf = TableName & { readonly oid: number }

/** The table and its partitions at all levels, as `oid`. */
export function wholeOf(oid: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    select ${oid} as oid
    union
    select relid::oid from pg_catalog.pg_partition_tree(${oid})`
}

/** The counts are those that ANALYZE has just made; a partitioned table has statistics of all below it. */
function clearEmptied(oid: number): RawBuilder<unknown> {
  return sql`
    select pg_clear_attribute_stats(nspname::text, relname::text, attname::text, relkind = 'p')
    from (${wholeOf(sql`${oid}::oid`)}) as part
    join pg_class on pg_class.oid = part.oid and relkind in ('r', 'p') and reltuples = 0
    join pg_namespace on pg_namespace.oid = relnamespace
    join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped`
}
