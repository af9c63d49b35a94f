import { sql, type QueryExecutorProvider } from 'kysely'
import { printTable, type TableName } from '../base/names.ts'

/**
 * Where Citus keeps the rows of a table. A table without a placement is an ordinary one, also in a
 * database in which Citus is installed.
 */
export type Placement = {
  /** `managed`: on the coordinator alone, but as a shard, so that Citus rewrites each statement. */
  readonly kind: 'distributed' | 'single shard' | 'reference' | 'managed'
  /** What the shard of a row is found by; null where there is one shard only. */
  readonly distributionColumn: string | null
  /** Tables of one group keep rows with the same value on the same machine; 0: in no group. */
  readonly colocation: number
}

/** The placement of each table that Citus knows, by `schema.name`. */
export type Placements = ReadonlyMap<string, Placement>

/** Reads what Citus keeps of its tables; its catalog is there only where the extension is. */
export async function inspectPlacements(db: QueryExecutorProvider): Promise<Placements> {
  const { rows: found } = await sql<{ installed: boolean }>`
    select exists (select from pg_extension where extname = 'citus') as installed`.execute(db)
  if (found[0]?.installed !== true) return new Map()
  const { rows } = await sql<TableName & Placement>`
    select
      nspname as schema,
      relname as name,
      case
        when partmethod <> 'n' then 'distributed'
        when repmodel = 't' then 'reference'
        when colocationid <> 0 then 'single shard'
        else 'managed'
      end as kind,
      case when partmethod <> 'n' then column_to_column_name(logicalrelid, partkey) end
        as "distributionColumn",
      colocationid as colocation
    from pg_dist_partition
    join pg_class on pg_class.oid = logicalrelid
    join pg_namespace on pg_namespace.oid = relnamespace
    order by 1, 2`.execute(db)
  return new Map(rows.map(({ schema, name, ...placed }) => [printTable({ schema, name }), placed]))
}
