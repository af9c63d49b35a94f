/** Whether our role may make the statistics of tables again, and whether it was done. */
import { sql, type QueryExecutorProvider } from 'kysely'
import type { TableName } from '../base/names.ts'
import { wholeOf } from '../db/upkeep.ts'

/** From this version on PostgreSQL grants the upkeep of a table; before, it is its owner's. */
export const MAINTAIN_SINCE = 170_000

/** From this version on the statistics of a table that was emptied can be cleared. */
export const CLEARS_SINCE = 180_000

/** The first part of the table that our role may not ANALYZE and VACUUM; null if it may. */
export async function refusesUpkeep(
  db: QueryExecutorProvider,
  oid: number,
  serverVersion: number,
): Promise<TableName | null> {
  // Asking for a right that the server does not know is an error.
  const granted =
    serverVersion >= MAINTAIN_SINCE
      ? sql`pg_catalog.has_table_privilege(class.oid, 'maintain')`
      : sql`false`
  const { rows } = await sql<TableName>`
    select nspname as schema, relname as name
    from (${wholeOf(sql`${oid}::oid`)}) as part
    join pg_catalog.pg_class as class on class.oid = part.oid
    join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    join pg_catalog.pg_database on datname = pg_catalog.current_database()
    where not pg_catalog.pg_has_role(relowner, 'usage')
      and not pg_catalog.pg_has_role(datdba, 'usage')
      and not ${granted}
    order by class.oid <> ${oid}::oid, nspname, relname
    limit 1`.execute(db)
  return rows[0] ?? null
}

/** The database's clock, to ask later what was done since. */
export async function readClock(db: QueryExecutorProvider): Promise<string> {
  const { rows } = await sql<{ at: string }>`
    select pg_catalog.clock_timestamp()::text as at`.execute(db)
  return rows[0]?.at ?? 'infinity'
}

/** PostgreSQL only warns of a table that it leaves out: whether all of it was done is asked here. */
export async function wasTended(
  db: QueryExecutorProvider,
  oid: number,
  done: { readonly what: 'analyze' | 'vacuum'; readonly since: string },
): Promise<boolean> {
  const last = sql.id(`last_${done.what}`)
  const { rows } = await sql<{ done: boolean }>`
    select pg_catalog.bool_and(coalesce(${last} >= ${done.since}::timestamptz, false)) as done
    from (${wholeOf(sql`${oid}::oid`)}) as part
    join pg_catalog.pg_class as class on class.oid = part.oid
    join pg_catalog.pg_stat_all_tables as known on known.relid = class.oid
    -- A partitioned table has statistics of its own, and no dead rows.
    where class.relkind = 'r' or ${done.what} = 'analyze'`.execute(db)
  return rows[0]?.done ?? false
}
