/** Asks the server how it does, in a statement or two that read statistics and locks nothing. */
import { sql, type QueryExecutorProvider } from 'kysely'
import type { Vitals } from './pace.ts'

type Row = {
  readonly replica_lag_ms: string | null
  readonly replicas_hidden: boolean
  readonly slot_wal_bytes: string | null
  readonly slot_in_danger: boolean
  readonly lock_waiters: string
  readonly archiver_fails: boolean
  readonly dead_percent: string | null
  readonly freeze_percent: string
  readonly may_see_wal: boolean
}

/** Fewer dead rows than these autovacuum has cleaned in a moment, however busy a small table is. */
const MANY_DEAD_ROWS = 1_000_000

/** Of what a slot may retain at most, so much is to be left: the next batches are a load too. */
const SAFE_SHARE = 0.125

/**
 * Reads the vitals of the server as they concern a table. The lag of a replica is known only to
 * roles that may read all statistics; a replica that has caught up has none.
 */
export async function readVitals(
  db: QueryExecutorProvider,
  tableOid: number,
  manyDeadRows = MANY_DEAD_ROWS,
): Promise<Vitals> {
  const { rows } = await sql<Row>`
    with
      replica as (
        select sent_lsn is null as hidden, extract(epoch from replay_lag) * 1000 as lag_ms
        from pg_catalog.pg_stat_replication
      ),
      slot as (
        select
          -- A standby has no log of its own to retain.
          case
            when not pg_catalog.pg_is_in_recovery()
            then pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)
          end as bytes,
          -- The next checkpoint may take what it needs; a slot that is lost has nothing left to lose.
          wal_status = 'unreserved'
            or safe_wal_size < ${SAFE_SHARE}::float8
              * pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size'))
            as in_danger
        from pg_catalog.pg_replication_slots
      ),
      part as (
        select sum(n_dead_tup) as dead, sum(n_live_tup) as live
        from pg_catalog.pg_stat_all_tables
        where relid = ${tableOid}::oid
          or relid in (select relid from pg_catalog.pg_partition_tree(${tableOid}::oid))
      )
    select
      (select max(lag_ms)::bigint::text from replica) as replica_lag_ms,
      coalesce((select bool_or(hidden) from replica), false) as replicas_hidden,
      (select max(bytes)::bigint::text from slot) as slot_wal_bytes,
      coalesce((select bool_or(in_danger) from slot), false) as slot_in_danger,
      (
        select count(distinct pid)::text
        from pg_catalog.pg_locks
        where not granted
          and (database is null or database = (
            select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()
          ))
      ) as lock_waiters,
      (
        select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
        from pg_catalog.pg_stat_archiver
      ) as archiver_fails,
      (
        select (100.0 * dead / nullif(dead + live, 0))::numeric(6, 2)::text from part
        where dead > ${manyDeadRows}::bigint
      ) as dead_percent,
      (
        select
          (100.0 * age(datfrozenxid) / current_setting('autovacuum_freeze_max_age')::int)::int::text
        from pg_catalog.pg_database where datname = pg_catalog.current_database()
      ) as freeze_percent,
      pg_catalog.has_function_privilege('pg_catalog.pg_ls_waldir()', 'execute') as may_see_wal
    `.execute(db)
  const [row] = rows
  if (row === undefined) throw new Error('PostgreSQL returned no vitals')
  return {
    replicaLagMs: numberOr(row.replica_lag_ms),
    replicasHidden: row.replicas_hidden,
    slotWalBytes: numberOr(row.slot_wal_bytes),
    slotInDanger: row.slot_in_danger,
    extraWalBytes: row.may_see_wal ? await readExtraWal(db) : null,
    lockWaiters: Number(row.lock_waiters),
    archiverFails: row.archiver_fails,
    deadPercent: numberOr(row.dead_percent),
    freezePercent: Number(row.freeze_percent),
  }
}

/** By itself: PostgreSQL asks for the right to call it also where it is not called. */
async function readExtraWal(db: QueryExecutorProvider): Promise<number> {
  const { rows } = await sql<{ bytes: string }>`
    select (
      coalesce(sum(size), 0)
      - pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size'))
      - pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_keep_size'))
    )::bigint::text as bytes
    from pg_catalog.pg_ls_waldir()`.execute(db)
  return Math.max(0, Number(rows[0]?.bytes))
}

function numberOr(text: string | null): number | null {
  return text === null ? null : Number(text)
}
