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
  /** Pages of the heap, of all partitions together. */
  readonly pages: number
  /** Some part is stored in another way than as a heap: it has no pages in that sense. */
  readonly otherMethod: boolean
  /**
   * The table, if our role may not read where its rows lie (ctid), or the first partition on which
   * the role lacks a right that it has on the whole; null: a walk may go by the heap.
   */
  readonly unreachable: TableName | null
  /** Of columns whose statistics are known: how far the order of the heap is that of their values. */
  readonly correlations: Readonly<Record<string, number>>
  /** Columns of each b-tree over all rows, in its order. */
  readonly indexes: readonly (readonly string[])[]
}

/** The parts of the table `class` that hold rows. */
const leaves = sql`
  select relid from pg_partition_tree(class.oid) where isleaf
  union
  select class.oid where not exists (select from pg_partition_tree(class.oid))`

/** A partition is named by itself with rights of its own: those on the whole do not reach it. */
const unreachable = sql`
  select jsonb_build_object('schema', nspname, 'name', part.relname)
  from (${leaves}) as leaf
  join pg_class as part on part.oid = leaf.relid
  join pg_namespace on pg_namespace.oid = part.relnamespace
  where not coalesce(has_column_privilege(part.oid, (-1)::int2, 'select'), true) or part.oid <> class.oid and (
    not has_schema_privilege(part.relnamespace, 'usage')
    or (has_table_privilege(class.oid, 'delete') and not has_table_privilege(part.oid, 'delete'))
    or exists (
      select from pg_attribute as whole
      join pg_attribute as own on own.attrelid = part.oid and own.attname = whole.attname
      where whole.attrelid = class.oid and whole.attnum > 0 and not whole.attisdropped and (
        (has_column_privilege(class.oid, whole.attnum, 'select')
          and not has_column_privilege(part.oid, own.attnum, 'select'))
        or (has_column_privilege(class.oid, whole.attnum, 'update')
          and not has_column_privilege(part.oid, own.attnum, 'update'))
      )
    )
  )
  order by nspname, part.relname
  limit 1`

/** Reads how the tables are stored, by `schema.name`. */
export async function inspectStorage(
  db: QueryExecutorProvider,
  tables: readonly TableName[],
): Promise<ReadonlyMap<string, Storage>> {
  const { rows } = await sql<TableName & Row>`
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
      current_setting('block_size') as block,
      (
        select coalesce(bool_or(amname <> 'heap'), false)
        from (${leaves}) as leaf
        join pg_class as part on part.oid = leaf.relid
        left join pg_am on pg_am.oid = part.relam
      ) as "otherMethod",
      (${unreachable}) as unreachable,
      (
        select coalesce(jsonb_object_agg(attname, correlation), '{}')
        from (
          select distinct on (attname) attname, correlation
          from pg_stats
          where schemaname = wanted.schema and tablename = wanted.name and correlation is not null
          order by attname, inherited desc
        ) as known
      ) as correlations,
      (${indexes}) as indexes
    from unnest(${tables.map(({ schema }) => schema)}::text[], ${tables.map(({ name }) => name)}::text[])
      as wanted (schema, name)
    join pg_namespace on nspname = wanted.schema
    join pg_class as class on relnamespace = pg_namespace.oid and relname = wanted.name`.execute(db)
  return new Map(
    rows.map(({ schema, name, bytes, block, ...stored }) => [
      printTable({ schema, name }),
      { ...stored, bytes: Number(bytes), pages: Number(bytes) / Number(block) },
    ]),
  )
}

type Row = Omit<Storage, 'bytes' | 'pages'> & { readonly bytes: string; readonly block: string }

/** A part of a table that holds rows itself. */
export type Leaf = TableName & { readonly pages: number }

/**
 * The partitions of a table that hold its rows, or the table itself, in the order of their names; null
 * if our role may not name one of them.
 */
export async function inspectLeaves(
  db: QueryExecutorProvider,
  table: TableName & { readonly oid: number },
): Promise<readonly Leaf[] | null> {
  const { rows } = await sql<TableName & { pages: string; reachable: boolean }>`
    select
      nspname as schema,
      part.relname as name,
      (pg_relation_size(part.oid) / current_setting('block_size')::bigint)::text as pages,
      (${unreachable}) is null as reachable
    from (select ${table.oid}::oid as oid) as class
    cross join lateral (${leaves}) as leaf
    join pg_class as part on part.oid = leaf.relid
    join pg_namespace on pg_namespace.oid = part.relnamespace
    order by 1, 2`.execute(db)
  if (rows.some(({ reachable }) => !reachable)) return null
  return rows.map(({ schema, name, pages }) => ({ schema, name, pages: Number(pages) }))
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
