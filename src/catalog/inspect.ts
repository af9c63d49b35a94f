import { sql, type Kysely, type QueryExecutorProvider } from 'kysely'
import { printTable, type TableName } from '../base/names.ts'
import { inSnapshot } from '../db/transaction.ts'
import type { Catalog, DatabaseFacts, Table } from './catalog.ts'

/**
 * Reads from pg_catalog what is known of `names` and of every table with a foreign key into them,
 * on one snapshot and under the pinned search path: how PostgreSQL prints a type depends on it, and
 * a batch compares with what it prints then.
 */
export async function inspectCatalog<DB>(
  db: Kysely<DB>,
  names: readonly TableName[],
): Promise<Catalog> {
  return inSnapshot(db, async (trx) => {
    const database = await inspectDatabase(trx)
    const tables = await inspectTables(trx, names)
    const known = await inspectNames(trx)
    return { database, known, tables: new Map(tables.map((table) => [printTable(table), table])) }
  })
}

export async function inspectDatabase(db: QueryExecutorProvider): Promise<DatabaseFacts> {
  const { rows } = await sql<DatabaseFacts>`
    select
      current_database() as name,
      (select system_identifier::text from pg_control_system()) as "systemIdentifier",
      current_setting('server_version_num')::int as "serverVersion",
      current_user::text as role,
      (select rolsuper from pg_roles where rolname = current_user) as superuser,
      pg_is_in_recovery() as "inRecovery"`.execute(db)
  return rows[0] as DatabaseFacts
}

async function inspectNames(db: QueryExecutorProvider): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select nspname || '.' || relname as name
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f')
      and nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'retentiond')
      and nspname not like 'pg\\_temp%'
    order by 1
    limit 20000`.execute(db)
  return rows.map((row) => row.name)
}

/**
 * Reads `names` and, walking inbound foreign keys to the end, every table from which a row could
 * stand in the way. One statement, so that the tables are seen as of one moment.
 */
export async function inspectTables(
  db: QueryExecutorProvider,
  names: readonly TableName[],
): Promise<readonly Table[]> {
  const { rows } = await sql<{ table: Table }>`
    with recursive
      named as (
        select distinct pg_class.oid
        from unnest(${names.map((name) => name.schema)}::text[], ${names.map((name) => name.name)}::text[])
          as wanted (schema, name)
        join pg_namespace on nspname = wanted.schema
        join pg_class on relnamespace = pg_namespace.oid and relname = wanted.name
        where relkind in ('r', 'p', 'v', 'm', 'f')
      ),
      reached as (
        select oid from named
        union
        select conrelid
        from reached
        join pg_constraint on confrelid = reached.oid and contype = 'f' and conparentid = 0
      )
    select jsonb_build_object(
      'oid', class.oid::bigint,
      'schema', space.nspname,
      'name', class.relname,
      'kind', case class.relkind
        when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
        when 'm' then 'materialized view' when 'f' then 'foreign table' else 'other' end,
      'temporary', class.relpersistence = 't',
      'columns', (${columns}),
      'keys', (${keys}),
      'outbound', (${foreignKeys(sql`con.conrelid = class.oid`)}),
      'inbound', (${foreignKeys(sql`con.confrelid = class.oid`)}),
      'triggers', (${triggers}),
      'rules', (${rules}),
      'descendants', (${relatives(sql`inhparent = class.oid and class.relkind <> 'p'`, sql`inhrelid`)}),
      'ancestors', (${relatives(sql`inhrelid = class.oid`, sql`inhparent`)}),
      'rowSecurity', row_security_active(class.oid),
      'subscribed', exists (select from pg_subscription_rel where srrelid = class.oid),
      'privileges', (${privileges})
    ) as "table"
    from reached
    join pg_class as class on class.oid = reached.oid
    join pg_namespace as space on space.oid = class.relnamespace
    order by space.nspname, class.relname`.execute(db)
  return rows.map((row) => row.table)
}

const columns = sql`
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', attname,
    'type', jsonb_build_object('schema', typespace.nspname, 'name', type.typname),
    'baseType', coalesce(base.typname, type.typname),
    'typeText', format_type(atttypid, atttypmod),
    'category', type.typcategory,
    'notNull', attnotnull or (type.typtype = 'd' and type.typnotnull),
    'generated', attgenerated <> '' or attidentity = 'a',
    'maxLength', case
      when type.typname in ('varchar', 'bpchar') and atttypmod > 4 then atttypmod - 4 end
  ) order by attnum), '[]')
  from pg_attribute
  join pg_type as type on type.oid = atttypid
  join pg_namespace as typespace on typespace.oid = type.typnamespace
  left join pg_type as base on base.oid = type.typbasetype and type.typtype = 'd'
  where attrelid = class.oid and attnum > 0 and not attisdropped`

const keys = sql`
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

function foreignKeys(condition: ReturnType<typeof sql>) {
  return sql`
    select coalesce(jsonb_agg(jsonb_build_object(
      'name', con.conname,
      'from', jsonb_build_object('schema', fromspace.nspname, 'name', fromclass.relname),
      'to', jsonb_build_object('schema', tospace.nspname, 'name', toclass.relname),
      'fromColumns', (
        select jsonb_agg(attname order by position)
        from unnest(con.conkey) with ordinality as part (number, position)
        join pg_attribute on attrelid = con.conrelid and attnum = part.number
      ),
      'toColumns', (
        select jsonb_agg(attname order by position)
        from unnest(con.confkey) with ordinality as part (number, position)
        join pg_attribute on attrelid = con.confrelid and attnum = part.number
      ),
      'onDelete', con.confdeltype,
      'enforced',
        con.convalidated
        -- The column is new in PostgreSQL 18; before, every foreign key is enforced.
        and coalesce((to_jsonb(con) ->> 'conenforced')::boolean, true)
        and not exists (
          select from pg_trigger where tgconstraint = con.oid and tgenabled not in ('O', 'A')
        )
        and not exists (select from pg_subscription_rel where srrelid = con.conrelid)
    ) order by fromspace.nspname, fromclass.relname, con.conname), '[]')
    from pg_constraint as con
    join pg_class as fromclass on fromclass.oid = con.conrelid
    join pg_namespace as fromspace on fromspace.oid = fromclass.relnamespace
    join pg_class as toclass on toclass.oid = con.confrelid
    join pg_namespace as tospace on tospace.oid = toclass.relnamespace
    where con.contype = 'f' and con.conparentid = 0 and ${condition}`
}

const triggers = sql`
  select coalesce(jsonb_agg(tgname order by tgname), '[]')
  from pg_trigger
  where tgrelid = class.oid and not tgisinternal and tgenabled <> 'D'`

const rules = sql`
  select coalesce(jsonb_agg(rulename order by rulename), '[]')
  from pg_rewrite
  where ev_class = class.oid and class.relkind in ('r', 'p')`

function relatives(condition: ReturnType<typeof sql>, relative: ReturnType<typeof sql>) {
  return sql`
    select coalesce(jsonb_agg(space.nspname || '.' || other.relname order by space.nspname, other.relname), '[]')
    from pg_inherits
    join pg_class as other on other.oid = ${relative}
    join pg_namespace as space on space.oid = other.relnamespace
    where ${condition}`
}

const privileges = sql`
  select jsonb_build_object(
    'schemaUsage', has_schema_privilege(class.relnamespace, 'USAGE'),
    'select', coalesce(
      jsonb_agg(attname order by attnum) filter (where has_column_privilege(class.oid, attnum, 'SELECT')), '[]'),
    'update', coalesce(
      jsonb_agg(attname order by attnum) filter (where has_column_privilege(class.oid, attnum, 'UPDATE')), '[]'),
    'delete', has_table_privilege(class.oid, 'DELETE'),
    'lockShare', has_table_privilege(class.oid, 'UPDATE')
      or has_table_privilege(class.oid, 'DELETE')
      or has_table_privilege(class.oid, 'TRUNCATE')
  )
  from pg_attribute
  where attrelid = class.oid and attnum > 0 and not attisdropped`
