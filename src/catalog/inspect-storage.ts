import { sql, type QueryExecutorProvider } from 'kysely'
import { printTable, type TableName } from '../base/names.ts'

/**
 * How a table is stored: what makes a run slow or lossy and changes nothing about what it means. It is
 * kept out of `Table`, whose fingerprint a plan rests on: an index may be made at any time.
 */
export type Storage = {
  readonly unlogged: boolean
  /** Of the table and its partitions, without indexes and long values. */
  readonly bytes: number
  /** Columns of each b-tree over all rows, in its order. */
  readonly indexes: readonly (readonly string[])[]
}

/** Reads how the tables are stored, by `schema.name`. */
export async function inspectStorage(
  db: QueryExecutorProvider,
  tables: readonly TableName[],
): Promise<ReadonlyMap<string, Storage>> {
  const { rows } = await sql<TableName & { bytes: string } & Omit<Storage, 'bytes'>>`
    select
      wanted.schema,
      wanted.name,
      relpersistence = 'u' as unlogged,
      (
        select coalesce(sum(pg_relation_size(part)), 0)::text
        from (
          select class.oid::regclass as part
          union
          select relid from pg_partition_tree(class.oid)
        ) as parts
      ) as bytes,
      (${indexes}) as indexes
    from unnest(${tables.map(({ schema }) => schema)}::text[], ${tables.map(({ name }) => name)}::text[])
      as wanted (schema, name)
    join pg_namespace on nspname = wanted.schema
    join pg_class as class on relnamespace = pg_namespace.oid and relname = wanted.name`.execute(db)
  return new Map(
    rows.map(({ schema, name, bytes, ...stored }) => [
      printTable({ schema, name }),
      { ...stored, bytes: Number(bytes) },
    ]),
  )
}

/** An index over an expression has no column there, and ends what of it could be used. */
const indexes = sql`
  select coalesce(jsonb_agg(key.names), '[]')
  from pg_index
  join pg_class as index on index.oid = indexrelid
  join pg_am on pg_am.oid = index.relam and amname = 'btree'
  cross join lateral (
    select coalesce(jsonb_agg(attname order by position), '[]') as names
    from unnest(indkey::int2[]) with ordinality as part (number, position)
    join pg_attribute on attrelid = indrelid and attnum = part.number
    where position <= indnkeyatts
      and position < coalesce(array_position(indkey::int2[], 0::int2) + 1, 1000)
  ) as key
  where indrelid = class.oid and indisvalid and indpred is null`
