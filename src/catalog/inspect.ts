import { sql, type Kysely, type QueryExecutorProvider } from 'kysely'
import { printTable, type TableName } from '../base/names.ts'
import { inSnapshot } from '../db/transaction.ts'
import type { Catalog, DatabaseFacts, Table } from './catalog.ts'
import type { Along } from '../policy/policy.ts'
import { inspectPlacements } from './inspect-citus.ts'
import { inspectReaders } from './inspect-readers.ts'
import { columns, foreignKeys, keys, privileges } from './inspect-parts.ts'
import {
  functions,
  leaves,
  oddPartitions,
  partitionOf,
  partitions,
  relatives,
  rules,
  subscribed,
  triggers,
  unreplicated,
  wholeTable,
} from './inspect-shape.ts'
import { readTrigger, type InspectedTrigger } from './trigger.ts'

/**
 * Reads from pg_catalog what is known of `names` and of every table with a foreign key into them,
 * on one snapshot and under the pinned search path: how PostgreSQL prints a type depends on it, and
 * a batch compares with what it prints then.
 */
export async function inspectCatalog<DB>(
  db: Kysely<DB>,
  names: readonly TableName[],
  archives: readonly Along[] = [],
): Promise<Catalog> {
  return inSnapshot(db, async (trx) => {
    const database = await inspectDatabase(trx)
    const tables = await inspectTables(trx, names)
    const known = await inspectNames(trx)
    const readers = await inspectReaders(trx, archives)
    const placements = await inspectPlacements(trx)
    return {
      database,
      known,
      readers,
      placements,
      tables: new Map(tables.map((table) => [printTable(table), table])),
    }
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
  const { rows } = await sql<{ table: InspectedTable }>`
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
        select coalesce(pg_partition_root(conrelid), conrelid)::oid
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
      'outbound', (${foreignKeys(sql`con.conrelid in (${wholeTable})`)}),
      'inbound', (${foreignKeys(sql`con.confrelid = class.oid`)}),
      'only', class.relkind = 'r',
      'triggers', (${triggers}),
      'rules', (${rules}),
      'descendants', (${relatives(sql`inhparent = class.oid and class.relkind <> 'p'`, sql`inhrelid`)}),
      'ancestors', (${relatives(sql`inhrelid = class.oid and not class.relispartition`, sql`inhparent`)}),
      'partitionOf', (${partitionOf}),
      'partitions', (${partitions}),
      'leaves', (${leaves}),
      'oddPartitions', (${oddPartitions}),
      'rowSecurity', row_security_active(class.oid),
      'subscribed', ${subscribed},
      'unreplicated', (${unreplicated}),
      'functions', (${functions}),
      'privileges', (${privileges})
    ) as "table"
    from reached
    join pg_class as class on class.oid = reached.oid
    join pg_namespace as space on space.oid = class.relnamespace
    order by space.nspname, class.relname`.execute(db)
  return rows.map(({ table }) => ({
    ...table,
    triggers: table.triggers.map((trigger) => readTrigger(trigger)),
  }))
}

type InspectedTable = Omit<Table, 'triggers'> & { readonly triggers: readonly InspectedTrigger[] }
