/** The parts of `inspectTables` that say what else happens when a table's rows change. `class` is the table. */
import { sql } from 'kysely'

/** Triggers that a person made, with the source of their functions; replica-only ones fire for no session of ours. */
export const triggers = sql`
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', tgname,
    'level', case when tgtype & 1 = 1 then 'row' else 'statement' end,
    'timing', case when tgtype & 2 = 2 then 'before' when tgtype & 64 = 64 then 'instead of' else 'after' end,
    'events', to_jsonb(array_remove(array[
      case when tgtype & 8 = 8 then 'delete' end,
      case when tgtype & 16 = 16 then 'update' end,
      case when tgtype & 4 = 4 then 'insert' end,
      case when tgtype & 32 = 32 then 'truncate' end
    ], null)),
    'columns', (
      select coalesce(jsonb_agg(attname order by position), '[]')
      from unnest(tgattr::int2[]) with ordinality as part (number, position)
      join pg_attribute on attrelid = tgrelid and attnum = part.number
    ),
    'function', jsonb_build_object('schema', space.nspname, 'name', proname),
    'language', lanname,
    'source', prosrc
  ) order by tgname), '[]')
  from pg_trigger
  join pg_proc on pg_proc.oid = tgfoid
  join pg_namespace as space on space.oid = pronamespace
  join pg_language on pg_language.oid = prolang
  where tgrelid = class.oid and not tgisinternal and tgenabled in ('O', 'A')`

export const rules = sql`
  select coalesce(jsonb_agg(rulename order by rulename), '[]')
  from pg_rewrite
  where ev_class = class.oid and class.relkind in ('r', 'p')`

export function relatives(condition: ReturnType<typeof sql>, relative: ReturnType<typeof sql>) {
  return sql`
    select coalesce(jsonb_agg(space.nspname || '.' || other.relname order by space.nspname, other.relname), '[]')
    from pg_inherits
    join pg_class as other on other.oid = ${relative}
    join pg_namespace as space on space.oid = other.relnamespace
    where ${condition}`
}

/** The table itself and its partitions of every level. */
export const wholeTable = sql`
  select class.oid as relid
  union all
  select relid from pg_partition_tree(class.oid) where class.relkind = 'p' and level > 0`

export const partitions = sql`
  select count(*) from pg_partition_tree(class.oid) where class.relkind = 'p' and level > 0`

export const leaves = sql`
  select coalesce(jsonb_agg(
    jsonb_build_object('schema', space.nspname, 'name', part.relname) order by space.nspname, part.relname
  ), '[]')
  from pg_partition_tree(class.oid) as tree
  join pg_class as part on part.oid = tree.relid
  join pg_namespace as space on space.oid = part.relnamespace
  where class.relkind = 'p' and tree.isleaf and tree.level > 0`

/**
 * Partitions that somebody treats as tables of their own. Statements go through the root, which
 * knows nothing of what hangs on a partition alone; ordinary partitions are not listed, so that one
 * that is added between a plan and its run moves no fingerprint. A copy of a trigger of the root
 * counts if it fires although that one is disabled.
 */
export const oddPartitions = sql`
  select coalesce(jsonb_agg(
    jsonb_build_object('schema', space.nspname, 'name', part.relname, 'why', odd.why)
    order by space.nspname, part.relname, odd.why
  ), '[]')
  from pg_partition_tree(class.oid) as tree
  join pg_class as part on part.oid = tree.relid
  join pg_namespace as space on space.oid = part.relnamespace
  cross join lateral (values
    (case when part.relkind = 'f' then 'is a foreign table' end),
    (case when part.relpersistence = 't' then 'is temporary' end),
    (case when row_security_active(part.oid) then 'has row security of its own' end),
    ((
      select 'has rewrite rules of its own: ' || string_agg(rulename, ', ' order by rulename)
      from pg_rewrite where ev_class = part.oid
    )),
    ((
      select 'has triggers of its own: ' || string_agg(own.tgname, ', ' order by own.tgname)
      from pg_trigger as own
      where own.tgrelid = part.oid and not own.tgisinternal and own.tgenabled in ('O', 'A')
        and not exists (
          select from pg_trigger as above
          where above.oid = own.tgparentid and above.tgenabled in ('O', 'A')
        )
    )),
    ((
      select 'is referred to by foreign keys of its own: ' || string_agg(conname, ', ' order by conname)
      from pg_constraint where confrelid = part.oid and contype = 'f' and conparentid = 0
    ))
  ) as odd (why)
  where class.relkind = 'p' and tree.level > 0 and odd.why is not null`

/** The table whose partition this is, at the top. */
export const partitionOf = sql`
  select jsonb_build_object('schema', space.nspname, 'name', root.relname)
  from pg_class as root
  join pg_namespace as space on space.oid = root.relnamespace
  where class.relispartition and root.oid = pg_partition_root(class.oid)`

export const subscribed = sql`
  exists (select from pg_subscription_rel where srrelid in (${wholeTable}))`

/**
 * Publications that make PostgreSQL refuse to update or delete rows, since nothing would name them
 * at the other end (SQLSTATE 55000). The identity is that of the partition that holds the row.
 */
export const unreplicated = sql`
  select jsonb_build_object(
    'update', coalesce(jsonb_agg(distinct pubname) filter (where pubupdate), '[]'),
    'delete', coalesce(jsonb_agg(distinct pubname) filter (where pubdelete), '[]')
  )
  from (${wholeTable}) as whole
  join pg_class as part on part.oid = whole.relid
  join pg_publication as pub on
    pub.puballtables
    or exists (
      select from pg_publication_rel
      where prpubid = pub.oid and prrelid in (
        select part.oid union all select relid from pg_partition_ancestors(part.oid)
      )
    )
    or exists (
      select from pg_publication_namespace
      join pg_class as published on published.relnamespace = pnnspid
      where pnpubid = pub.oid and published.oid in (
        select part.oid union all select relid from pg_partition_ancestors(part.oid)
      )
    )
  where part.relkind = 'r' and part.relpersistence = 'p'
    and case part.relreplident
      when 'f' then false
      when 'n' then true
      else not exists (
        select from pg_index
        where indrelid = part.oid and indisvalid and indimmediate
          and case part.relreplident when 'd' then indisprimary else indisreplident end
      )
    end`

/** Functions of the application that PostgreSQL calls by itself when rows of the table are read or written. */
export const functions = sql`
  with
    parts (class_oid, object_oid, place) as (
      select 'pg_class'::regclass, indexrelid, 'index ' || relname
      from pg_index join pg_class on pg_class.oid = indexrelid
      where indrelid = class.oid
      union all
      select 'pg_attrdef'::regclass, pg_attrdef.oid,
        case when attgenerated = '' then 'default of ' else 'generated column ' end || attname
      from pg_attrdef join pg_attribute on attrelid = adrelid and attnum = adnum
      where adrelid = class.oid
      union all
      select 'pg_constraint'::regclass, pg_constraint.oid, 'check ' || conname
      from pg_constraint
      where contype = 'c' and (
        conrelid = class.oid
        or contypid in (select atttypid from pg_attribute where attrelid = class.oid and attnum > 0)
      )
    )
  select coalesce(jsonb_agg(
    distinct jsonb_build_object('place', place, 'schema', nspname, 'name', proname)
  ), '[]')
  from parts
  join pg_depend on pg_depend.classid = class_oid and pg_depend.objid = object_oid
  left join pg_operator on refclassid = 'pg_operator'::regclass and pg_operator.oid = refobjid
  join pg_proc on pg_proc.oid = case refclassid
    when 'pg_proc'::regclass then refobjid when 'pg_operator'::regclass then oprcode::oid end
  join pg_namespace on pg_namespace.oid = pronamespace
  where nspname <> 'pg_catalog'`
