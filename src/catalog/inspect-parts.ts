/** The parts of `inspectTables` that say what a table is made of. `class` is the table. */
import { sql } from 'kysely'

export const columns = sql`
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', attname,
    'type', jsonb_build_object('schema', typespace.nspname, 'name', type.typname),
    'baseType', coalesce(base.typname, type.typname),
    'typeText', format_type(atttypid, atttypmod),
    'category', type.typcategory,
    'notNull', attnotnull or (type.typtype = 'd' and type.typnotnull) or exists (
      select from pg_constraint
      where contype = 'c' and conrelid = class.oid and conkey = array[attnum] and convalidated
        and pg_get_constraintdef(pg_constraint.oid) ~ '^CHECK \\(\\([^()]+ IS NOT NULL\\)\\)'
    ),
    'generated', attgenerated <> '' or attidentity = 'a',
    'maxLength', case
      when type.typname in ('varchar', 'bpchar') and atttypmod > 4 then atttypmod - 4 end
  ) order by attnum), '[]')
  from pg_attribute
  join pg_type as type on type.oid = atttypid
  join pg_namespace as typespace on typespace.oid = type.typnamespace
  left join pg_type as base on base.oid = type.typbasetype and type.typtype = 'd'
  where attrelid = class.oid and attnum > 0 and not attisdropped`

export const keys = sql`
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', named.relname,
    'primary', indisprimary,
    'columns', key.names,
    'total', key.total,
    'nullsEqual', indnullsnotdistinct
  ) order by indisprimary desc, key.total desc, named.relname), '[]')
  from pg_index
  join pg_class as named on named.oid = indexrelid
  cross join lateral (
    select jsonb_agg(attname order by position) as names, bool_and(attnotnull) as total
    from unnest(indkey::int2[]) with ordinality as part (number, position)
    join pg_attribute on attrelid = indrelid and attnum = part.number
    where position <= indnkeyatts
  ) as key
  where indrelid = class.oid and indisunique and indisvalid and indimmediate
    and indpred is null and indexprs is null`

/**
 * Foreign keys that `condition` finds, as of whole tables. Keys of partitions alone, which somebody
 * declared on each of them, are one key of their table, `partial`: a partition that is attached
 * later need not have it. They are named by their columns, since partitions come and go.
 */
export function foreignKeys(condition: ReturnType<typeof sql>) {
  return sql`
    with found as materialized (
      select
        con.conname,
        con.confdeltype,
        whole.oid as whole,
        con.conrelid <> whole.oid as partial,
        con.confrelid,
        (
          select jsonb_agg(attname order by position)
          from unnest(con.conkey) with ordinality as part (number, position)
          join pg_attribute on attrelid = con.conrelid and attnum = part.number
        ) as columns,
        (
          select jsonb_agg(attname order by position)
          from unnest(con.confkey) with ordinality as part (number, position)
          join pg_attribute on attrelid = con.confrelid and attnum = part.number
        ) as referenced,
        con.convalidated
        -- The column is new in PostgreSQL 18; before, every foreign key is enforced.
        and coalesce((to_jsonb(con) ->> 'conenforced')::boolean, true)
        and not exists (
          -- Of a partitioned table each partition has a constraint and triggers of its own.
          with recursive whole as (
            select con.oid
            union all
            select part.oid from whole join pg_constraint as part on part.conparentid = whole.oid
          )
          select from pg_trigger join whole on tgconstraint = whole.oid
          where tgenabled not in ('O', 'A')
        )
        and not exists (
          select from pg_subscription_rel
          where srrelid = con.conrelid or srrelid in (select relid from pg_partition_tree(con.conrelid))
        ) as enforced
      from pg_constraint as con
      cross join lateral (
        select coalesce(pg_partition_root(con.conrelid), con.conrelid)::oid as oid
      ) as whole
      where con.contype = 'f' and con.conparentid = 0 and ${condition}
    ),
    merged as (
      select conname::text as name, confdeltype, whole, partial, confrelid, columns, referenced, enforced
      from found where not partial
      union
      select
        'of its partitions on ' || (select string_agg(value, ', ') from jsonb_array_elements_text(columns)),
        confdeltype, whole, partial, confrelid, columns, referenced, false
      from found
      where partial and not exists (
        select from found as of_whole
        where not of_whole.partial
          and (of_whole.whole, of_whole.confrelid, of_whole.columns, of_whole.referenced)
            = (found.whole, found.confrelid, found.columns, found.referenced)
      )
    )
    select coalesce(jsonb_agg(jsonb_build_object(
      'name', merged.name,
      'from', jsonb_build_object(
        'schema', fromspace.nspname, 'name', fromclass.relname, 'only', fromclass.relkind = 'r'),
      'to', jsonb_build_object(
        'schema', tospace.nspname, 'name', toclass.relname, 'only', toclass.relkind = 'r'),
      'fromColumns', merged.columns,
      'toColumns', merged.referenced,
      'onDelete', merged.confdeltype,
      'partial', merged.partial,
      'enforced', merged.enforced
    ) order by fromspace.nspname, fromclass.relname, merged.name, merged.confdeltype), '[]')
    from merged
    join pg_class as fromclass on fromclass.oid = merged.whole
    join pg_namespace as fromspace on fromspace.oid = fromclass.relnamespace
    join pg_class as toclass on toclass.oid = merged.confrelid
    join pg_namespace as tospace on tospace.oid = toclass.relnamespace`
}

export const privileges = sql`
  select jsonb_build_object(
    'schemaUsage', has_schema_privilege(class.relnamespace, 'USAGE'),
    'select', coalesce(
      jsonb_agg(attname order by attnum) filter (where has_column_privilege(class.oid, attnum, 'SELECT')), '[]'),
    'insert', coalesce(
      jsonb_agg(attname order by attnum) filter (where has_column_privilege(class.oid, attnum, 'INSERT')), '[]'),
    'update', coalesce(
      jsonb_agg(attname order by attnum) filter (where has_column_privilege(class.oid, attnum, 'UPDATE')), '[]'),
    'delete', has_table_privilege(class.oid, 'DELETE'),
    'lockShare', has_table_privilege(class.oid, 'UPDATE')
      or has_table_privilege(class.oid, 'DELETE')
      or has_table_privilege(class.oid, 'TRUNCATE')
  )
  from pg_attribute
  where attrelid = class.oid and attnum > 0 and not attisdropped`
