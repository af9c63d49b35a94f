/**
 * A cheap answer to whether tables are still what they were. Everything that `inspectTables` reads
 * stands in rows of the catalog, and a row that changes gets another transaction as its `xmin`: as
 * long as the same rows of the same transactions are there, the tables have the same fingerprint. The
 * reverse does not hold, and need not: another stamp asks for another inspection.
 */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import type { TableName } from '../base/names.ts'

/** Where to look: numbers of what the shape of the tables rests on, one step further than it reaches. */
type Footprint = {
  /** The tables, their partitions, what they inherit from, and the other sides of foreign keys. */
  readonly tables: readonly string[]
  /** The same and the indexes of the tables. */
  readonly classes: readonly string[]
  readonly types: readonly string[]
  readonly functions: readonly string[]
  readonly schemas: readonly string[]
}

export type Stamp = { readonly footprint: Footprint; readonly digest: string }

type Sets = Readonly<Record<keyof Footprint, RawBuilder<unknown>>>

/**
 * Takes the stamp of the tables. It speaks for an inspection if it still holds after that: not all
 * that the catalog says of a table is kept from changing by a lock on the table.
 */
export async function takeStamp(
  db: QueryExecutorProvider,
  names: readonly TableName[],
): Promise<Stamp> {
  const found = (set: keyof Footprint) => sql`(select ${sql.id(set)} from footprint)::oid[]`
  const { rows } = await sql<{ [set in keyof Footprint]: readonly string[] } & { digest: string }>`
    with footprint as materialized (${footprintOf(names)})
    select
      footprint.*,
      (${digestOfRows({
        tables: found('tables'),
        classes: found('classes'),
        types: found('types'),
        functions: found('functions'),
        schemas: found('schemas'),
      })}) as digest
    from footprint`.execute(db)
  const { digest, ...footprint } = rows[0] as Footprint & { digest: string }
  return { footprint, digest }
}

/** True if the tables are as they were when the stamp was taken. */
export async function isStamped(db: QueryExecutorProvider, stamp: Stamp): Promise<boolean> {
  const { rows } = await sql<{ digest: string }>`
    ${digestOfRows(setsOf(stamp.footprint))}`.execute(db)
  return rows[0]?.digest === stamp.digest
}

function setsOf({ tables, classes, types, functions, schemas }: Footprint): Sets {
  const bound = (oids: readonly string[]) => sql`${oids}::text[]::oid[]`
  return {
    tables: bound(tables),
    classes: bound(classes),
    types: bound(types),
    functions: bound(functions),
    schemas: bound(schemas),
  }
}

function footprintOf(names: readonly TableName[]): RawBuilder<unknown> {
  const schemas = names.map(({ schema }) => schema)
  return sql`
    with
      named as materialized (
        select class.oid
        from unnest(${schemas}::text[], ${names.map(({ name }) => name)}::text[]) as wanted (schema, name)
        join pg_namespace as space on space.nspname = wanted.schema
        join pg_class as class on class.relnamespace = space.oid and class.relname = wanted.name
      ),
      own as materialized (
        select oid from named
        union select relid from named cross join lateral pg_partition_tree(named.oid)
        union select relid from named cross join lateral pg_partition_ancestors(named.oid)
        union select inhparent from named join pg_inherits on inhrelid = named.oid
        union select inhrelid from named join pg_inherits on inhparent = named.oid
      ),
      sides as materialized (
        select conrelid as oid from pg_constraint where contype = 'f' and confrelid in (select oid from own)
        union
        select confrelid from pg_constraint where contype = 'f' and conrelid in (select oid from own)
      ),
      near as materialized (
        select oid from own
        union select oid from sides
        union select relid from sides cross join lateral pg_partition_tree(sides.oid)
        union select relid from sides cross join lateral pg_partition_ancestors(sides.oid)
      ),
      indexed as (select indexrelid as oid from pg_index where indrelid in (select oid from own)),
      typed as materialized (
        select type.oid, type.typbasetype, type.typnamespace
        from pg_type as type
        where type.oid in (select atttypid from pg_attribute where attrelid in (select oid from named))
      ),
      called as materialized (
        select tgfoid as oid from pg_trigger where tgrelid in (select oid from own)
        union
        select case when refclassid = 'pg_proc'::regclass then refobjid else oprcode::oid end
        from pg_depend
        left join pg_operator on refclassid = 'pg_operator'::regclass and pg_operator.oid = refobjid
        where refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass) and (classid, objid) in (
          select 'pg_class'::regclass::oid, oid from indexed
          union all
          select 'pg_attrdef'::regclass, oid from pg_attrdef where adrelid in (select oid from named)
          union all
          select 'pg_constraint'::regclass, oid from pg_constraint
          where conrelid in (select oid from named) or contypid in (select oid from typed)
        )
      )
    select
      (select array_agg(oid::text) from near) as tables,
      (select array_agg(oid::text) from (select oid from near union select oid from indexed) as every)
        as classes,
      (
        select coalesce(array_agg(oid::text), '{}')
        from (select oid from typed union select typbasetype from typed where typbasetype <> 0) as every
      ) as types,
      (select coalesce(array_agg(oid::text), '{}') from called) as functions,
      (
        select coalesce(array_agg(oid::text), '{}')
        from (
          select relnamespace as oid from pg_class where oid in (select oid from near)
          union select typnamespace from typed
          union select pronamespace from pg_proc where oid in (select oid from called)
        ) as every
      ) as schemas`
}

/** Which rows there are, and who wrote them: a hash over the catalogs, each by an index of its own. */
function digestOfRows({ tables, classes, types, functions, schemas }: Sets): RawBuilder<unknown> {
  return sql`
    select encode(sha256(convert_to(
      coalesce(string_agg(concat_ws(' ', place, one, other, version), ',' order by place, one, other, version), ''),
      'UTF8')), 'hex') as digest
    from (
      select 'class' as place, oid::text as one, row_security_active(oid)::text as other, xmin::text as version
      from pg_class where oid = any (${classes})
      union all
      select 'attribute', attrelid::text, attnum::text, xmin::text
      from pg_attribute where attrelid = any (${tables})
      union all
      select 'default', oid::text, '', xmin::text from pg_attrdef where adrelid = any (${tables})
      union all
      select 'constraint', oid::text, '', xmin::text
      from pg_constraint
      where conrelid = any (${tables}) or confrelid = any (${tables}) or contypid = any (${types})
      union all
      select 'trigger', oid::text, '', xmin::text from pg_trigger where tgrelid = any (${tables})
      union all
      select 'index', indexrelid::text, '', xmin::text from pg_index where indrelid = any (${tables})
      union all
      select 'rule', oid::text, '', xmin::text from pg_rewrite where ev_class = any (${tables})
      union all
      select 'heir', inhrelid::text, inhparent::text, xmin::text
      from pg_inherits where inhrelid = any (${tables}) or inhparent = any (${tables})
      union all
      select 'type', oid::text, '', xmin::text from pg_type where oid = any (${types})
      union all
      select 'function', oid::text, '', xmin::text from pg_proc where oid = any (${functions})
      union all
      select 'schema', oid::text, '', xmin::text from pg_namespace where oid = any (${schemas})
      union all
      select 'subscribed', srrelid::text, srsubid::text, ''
      from pg_subscription_rel where srrelid = any (${tables})
      union all
      select 'publication', oid::text, '', xmin::text from pg_publication
      union all
      select 'published', oid::text, '', xmin::text
      from pg_publication_rel where prrelid = any (${tables})
      union all
      select 'published schema', oid::text, '', xmin::text from pg_publication_namespace
    ) as catalog`
}
