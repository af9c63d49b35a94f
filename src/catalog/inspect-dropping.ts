/** Which partitions of a table a run could drop: what the server knows of each, and of the whole. */
import { sql, type QueryExecutorProvider } from 'kysely'
import type { TableName } from '../base/names.ts'

/** Begins the names of the functions that `grants` prints, each of which drops partitions of one table. */
export const DROPS = 'retentiond_drop_of_'

export type Dropping = {
  /** Our role may call the function that drops partitions of this table. */
  readonly callable: boolean
  /** Who is told of each row that is deleted, and would not be told of a table that is dropped. */
  readonly told: string | null
  /** Those that hold rows, in the order of their names. */
  readonly leaves: readonly Droppable[]
}

export type Droppable = TableName & {
  readonly oid: number
  /**
   * `default`: rows of any range go there. `open`: nothing says that no new row goes there, since it
   * is bounded by no time, or by one to come. `owner`: the function belongs to somebody else. Null: a
   * run may drop it, if it finds that every row of it is due.
   */
  readonly obstacle: 'default' | 'open' | 'owner' | null
}

/**
 * Reads it for a partitioned table. A bound is no proof that a row is due, whatever it is a bound of:
 * it only says that the application puts no row of today there. It lies a day back, so that this is
 * so in every time zone.
 */
export async function inspectDropping(
  db: QueryExecutorProvider,
  table: TableName & { readonly oid: number },
): Promise<Dropping> {
  const { rows } = await sql<Dropping>`
    select
      coalesce(has_function_privilege(dropping.oid, 'execute'), false) as callable,
      (${told}) as told,
      (
        select coalesce(jsonb_agg(jsonb_build_object(
          'oid', leaf.oid::bigint,
          'schema', nspname,
          'name', leaf.relname,
          'obstacle', case
            when pg_get_expr(leaf.relpartbound, leaf.oid) = 'DEFAULT' then 'default'
            when not exists (${pastBound}) then 'open'
            when not coalesce(pg_has_role(dropping.proowner, leaf.relowner, 'usage'), true) then 'owner'
          end
        ) order by nspname, leaf.relname), '[]')
        from pg_partition_tree(class.oid) as tree
        join pg_class as leaf on leaf.oid = tree.relid
        join pg_namespace on pg_namespace.oid = leaf.relnamespace
        where tree.isleaf and tree.level > 0
      ) as leaves
    from pg_class as class
    left join pg_proc as dropping on dropping.pronamespace = class.relnamespace
      and dropping.proname = (${DROPS}::text || class.relname)::name
      and dropping.proargtypes = array['oid'::regtype::oid]::oidvector
      and dropping.prosecdef
    where class.oid = ${table.oid}::oid`.execute(db)
  return rows[0] ?? { callable: false, told: null, leaves: [] }
}

/** The leaf, or a table between it and the root, ends with a day that is over. */
const pastBound = sql`
  select from pg_partition_ancestors(leaf.oid) as above
  join pg_class as part on part.oid = above.relid and part.relispartition
  join pg_inherits on inhrelid = part.oid
  join pg_partitioned_table on partrelid = inhparent and partstrat = 'r'
  join pg_attribute on attrelid = inhparent and attnum = partattrs[0]
  where case
    when atttypid in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
    then substring(pg_get_expr(part.relpartbound, part.oid) from 'TO [(]''([^'']*)''')::timestamptz
      < now() - interval '1 day'
    else false
  end`

const told = sql`
  select min(name) from (
    select 'publication ' || pub.pubname
    from pg_publication as pub
    join pg_publication_tables as published on published.pubname = pub.pubname
    join pg_namespace on nspname = published.schemaname
    join pg_class as passed on passed.relnamespace = pg_namespace.oid
      and passed.relname = published.tablename
    where pub.pubdelete and (
      passed.oid = class.oid
      or passed.oid in (select relid from pg_partition_tree(class.oid))
      or passed.oid in (select relid from pg_partition_ancestors(class.oid))
    )
    union all
    select 'replication slot ' || slot_name
    from pg_replication_slots
    where slot_type = 'logical' and database = current_database()
  ) as listening (name)`
