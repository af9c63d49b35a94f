/** What the server tells of where rows that are gone may still be: in the database, and beside it. */
import { sql, type QueryExecutorProvider } from 'kysely'
import type { Period } from '../policy/policy.ts'
import { wholeOf } from '../db/upkeep.ts'

/** Of one table and its partitions. */
export type TableResidue = {
  readonly oid: number
  readonly deadRows: number
  /** The server counts no rows any more: ANALYZE keeps the statistics of such a table. */
  readonly emptied: boolean
  /** Materialised views that read it, through other views too. */
  readonly readers: readonly string[]
  /** Columns that may name large objects, if the database has any. */
  readonly largeObjects: readonly string[]
  readonly publications: readonly { readonly name: string; readonly passesDeletes: boolean }[]
}

/** Of the server. */
export type ServerResidue = {
  readonly replicas: number
  /** Seconds that the last of them is behind; null: it has caught up, or we may not know. */
  readonly lagSeconds: number | null
  readonly slots: readonly { readonly name: string; readonly bytes: number | null }[]
  readonly archives: boolean
}

/** Reads it for each table by its oid. Statistics of the server may be a moment old. */
export async function inspectTableResidue(
  db: QueryExecutorProvider,
  oids: readonly number[],
): Promise<readonly TableResidue[]> {
  const { rows } = await sql<Omit<TableResidue, 'deadRows'> & { deadRows: string }>`
    select
      wanted.oid,
      (
        select coalesce(sum(n_dead_tup), 0)::text from pg_stat_all_tables
        where relid in (${whole})
      ) as "deadRows",
      (
        select bool_and(reltuples = 0) from pg_class where oid in (${whole}) and relkind = 'r'
      ) as emptied,
      (${readers}) as readers,
      (
        select coalesce(jsonb_agg(attname order by attnum), '[]')
        from pg_attribute
        join pg_type on pg_type.oid = atttypid and typname in ('oid', 'lo')
        where attrelid = wanted.oid and attnum > 0 and not attisdropped
          and exists (select from pg_largeobject_metadata)
      ) as "largeObjects",
      (
        select coalesce(jsonb_agg(
          distinct jsonb_build_object('name', pg_publication.pubname, 'passesDeletes', pubdelete)
        ), '[]')
        from pg_publication
        join pg_publication_tables as published on published.pubname = pg_publication.pubname
        join pg_namespace on nspname = published.schemaname
        join pg_class as class on relnamespace = pg_namespace.oid and relname = published.tablename
        where class.oid in (${whole})
      ) as publications
    from unnest(${oids}::oid[]) as wanted (oid)`.execute(db)
  return rows.map(({ deadRows, ...row }) => ({ ...row, deadRows: Number(deadRows) }))
}

const whole = wholeOf(sql`wanted.oid`)

/** A view that calls a function which reads the table does not show here. */
const readers = sql`
  with recursive
    reads (reader, read) as (
      select distinct ev_class, refobjid
      from pg_depend
      join pg_rewrite on pg_rewrite.oid = objid
      where classid = 'pg_rewrite'::regclass and refclassid = 'pg_class'::regclass
        and ev_class <> refobjid
    ),
    found (oid) as (
      select reader from reads where read in (${whole})
      union
      select reader from found join reads on read = found.oid
    )
  select coalesce(jsonb_agg(nspname || '.' || relname order by nspname, relname), '[]')
  from found
  join pg_class on pg_class.oid = found.oid and relkind = 'm'
  join pg_namespace on pg_namespace.oid = relnamespace`

/** Reads where the write-ahead log goes, which holds every row that was written. */
export async function inspectServerResidue(db: QueryExecutorProvider): Promise<ServerResidue> {
  const { rows } = await sql<ServerResidue>`
    select
      (select count(*)::int from pg_stat_replication) as replicas,
      (
        select extract(epoch from max(replay_lag))::int from pg_stat_replication
      ) as "lagSeconds",
      (
        select coalesce(jsonb_agg(jsonb_build_object(
          'name', slot_name, 'bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
        ) order by slot_name), '[]')
        from pg_replication_slots
      ) as slots,
      current_setting('archive_mode') <> 'off' as archives`.execute(db)
  return rows[0] as ServerResidue
}

/** The last day on which a backup of today is kept, in the zone of a rule; PostgreSQL counts it. */
export async function backupsUntil(
  db: QueryExecutorProvider,
  kept: readonly { readonly zone: string; readonly backups: Period }[],
): Promise<string | null> {
  const { rows } = await sql<{ day: string | null }>`
    select max(((now() at time zone zone)::date + length::interval)::date)::text as day
    from unnest(
      ${kept.map(({ zone }) => zone)}::text[],
      ${kept.map(({ backups }) => `${backups.count} ${backups.unit}`)}::text[]
    ) as kept (zone, length)`.execute(db)
  return rows[0]?.day ?? null
}
