/** How every batch begins. */
import { sql, type Transaction } from 'kysely'
import { leaseForShare, requireLease, type LeaseRow } from '../db/lease.ts'
import type { OwnTables } from '../db/schema.ts'
import type { BatchTools } from './batch.ts'
import { DATABASE_MS, requireClock } from './clock.ts'
import { closeHolds } from './statements.ts'

/**
 * Proves that the lease is ours and that the clock ran on, and closes holds: from here on each wait for
 * a lock is `waitMs` at most. In one statement, whose parts go one after the other since each reads from
 * the one before: the lease is locked first, and holds before anything of the application, as whoever
 * places a hold locks them.
 */
export async function openBatch(
  trx: Transaction<OwnTables>,
  { lease, started, clock }: BatchTools,
  waitMs: number,
): Promise<void> {
  const { rows } = await sql<LeaseRow & { readonly ms: string }>`
    with
      lease as materialized (${leaseForShare()}),
      clock as materialized (select ${DATABASE_MS} as ms from lease),
      waits as materialized (
        select set_config('lock_timeout', ${String(waitMs)}::text, true) from clock
      ),
      closed as materialized (${closeHolds()} from waits)
    select token, live, ms from lease cross join clock cross join closed`.execute(trx)
  const [row] = rows
  requireLease(row, lease)
  requireClock(started, { databaseMs: Number(row?.ms), monotonicMs: clock.monotonicMs() })
}
