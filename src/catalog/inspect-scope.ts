import { sql, type Kysely } from 'kysely'
import type { TableName } from '../base/names.ts'
import { inSnapshot } from '../db/transaction.ts'
import type { PolicySet } from '../policy/policy.ts'
import type { Scope } from './coverage.ts'

/**
 * Names the ordinary and partitioned tables of the schemas, or of all that belong to the application:
 * not to PostgreSQL, to an extension or to us.
 */
export async function listTables<DB>(
  db: Kysely<DB>,
  schemas: readonly string[] | null,
): Promise<readonly TableName[]> {
  const { rows } = await sql<TableName>`
    select nspname as schema, relname as name
    from pg_class as class
    join pg_namespace as space on space.oid = relnamespace
    where relkind in ('r', 'p') and not relispartition and relpersistence <> 't'
      and nspname not in ('pg_catalog', 'information_schema', 'retentiond')
      and nspname not like 'pg\\_%'
      and (${schemas}::text[] is null or nspname = any (${schemas}::text[]))
      and not exists (
        select from pg_depend
        where classid = 'pg_class'::regclass and objid = class.oid and deptype = 'e'
      )
    order by nspname, relname`.execute(db)
  return rows
}

/**
 * Reads which tables stand in the schemas that the policies have to cover. Partitions are part of
 * their table; temporary tables are gone with their session.
 */
export async function inspectScope<DB>(db: Kysely<DB>, set: PolicySet): Promise<Scope> {
  const coverages = set.policies.flatMap(({ coverage }) => (coverage === null ? [] : [coverage]))
  const schemas = [...new Set(coverages.flatMap((coverage) => coverage.schemas))]
  const zones = [...new Set(coverages.map(({ zone }) => zone))]
  if (schemas.length === 0) return { schemas: new Map(), days: new Map() }
  return inSnapshot(db, async (trx) => {
    const { rows } = await sql<{ schema: string; tables: readonly string[] }>`
      select nspname as schema, coalesce(
        jsonb_agg(relname order by relname)
          filter (where relkind in ('r', 'p') and not relispartition and relpersistence <> 't'),
        '[]') as tables
      from pg_namespace
      left join pg_class on relnamespace = pg_namespace.oid
      where nspname = any (${schemas}::text[])
      group by nspname`.execute(trx)
    const { rows: days } = await sql<{ zone: string; day: string }>`
      select zone, (clock_timestamp() at time zone zone)::date::text as day
      from unnest(${zones}::text[]) as zone`.execute(trx)
    return {
      schemas: new Map(rows.map(({ schema, tables }) => [schema, tables])),
      days: new Map(days.map(({ zone, day }) => [zone, day])),
    }
  })
}
