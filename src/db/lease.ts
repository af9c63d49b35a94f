/**
 * One enforcer per database. The lease is a row with a fencing token that grows with every
 * take-over; a batch reads it `for share` first, so that a take-over waits for the batch, and a
 * batch of an enforcer that lost the lease (stopped, partitioned, slow) finds another token and
 * rolls back. No session lock: those leak through a pooler.
 */
import { sql, type RawBuilder } from 'kysely'
import { LeaseError } from '../base/errors.ts'
import type { Db } from './connect.ts'
import { SQLSTATE, sqlstateOf } from './sqlstate.ts'
import { inTransaction } from './transaction.ts'

export type Lease = { readonly token: bigint; readonly holder: string }

/**
 * How long a lease holds without renewal. Short, so that a crashed enforcer is soon followed; a batch
 * that takes longer keeps others out by its row lock.
 */
export const LEASE_SECONDS = 30

/**
 * Takes the lease, or says who holds it and since when. One that ran out while a batch of its holder
 * is at work is held until that batch has ended.
 */
export async function takeLease(db: Db, holder: string): Promise<Lease> {
  const token = await tryLease(db, holder)
  if (token !== null) return { token, holder }
  const { rows } = await sql<{ holder: string | null; since: string | null }>`
    select holder, to_char(acquired_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') as since
    from retentiond.lease`.execute(db)
  const [held] = rows
  throw new LeaseError(
    'LEASE_HELD',
    `${held?.holder ?? 'another instance'} holds the lease since ${held?.since ?? 'just now'}`,
    {
      remedy: `wait for it to finish; a lease that is not renewed ends after ${LEASE_SECONDS} s`,
    },
  )
}

/** The new token, or null if somebody else holds the lease. */
async function tryLease(db: Db, holder: string): Promise<bigint | null> {
  try {
    return await inTransaction(db, async (trx) => {
      const { rows } = await sql<{ token: bigint }>`
        update retentiond.lease
        set
          token = token + 1,
          holder = ${holder},
          acquired_at = clock_timestamp(),
          expires_at = clock_timestamp() + ${LEASE_SECONDS} * interval '1 second'
        where holder is null or expires_at < clock_timestamp()
        returning token`.execute(trx)
      return rows[0]?.token ?? null
    })
  } catch (error) {
    if (sqlstateOf(error) === SQLSTATE.lockNotAvailable) return null
    throw error
  }
}

/** Who holds the lease now; null if nobody does. */
export async function leaseHolder(db: Db): Promise<string | null> {
  const { rows } = await sql<{ holder: string | null }>`
    select holder from retentiond.lease where expires_at > clock_timestamp()`.execute(db)
  return rows[0]?.holder ?? null
}

/** Who has the lease, as a batch reads it. */
export type LeaseRow = { readonly token: bigint; readonly live: boolean }

/**
 * Reads the lease inside a batch, and keeps it as it is until the batch ends. To be read before
 * anything else is locked, so that a take-over never waits in the middle of our locks.
 */
export function leaseForShare(): RawBuilder<LeaseRow> {
  return sql`
    select token, coalesce(expires_at > clock_timestamp(), false) as live
    from retentiond.lease
    for share`
}

/** Proves that the lease is still ours. */
export function requireLease(row: LeaseRow | undefined, lease: Lease): void {
  if (row?.token === lease.token && row.live) return
  throw new LeaseError(
    'LEASE_LOST',
    'the lease ended or was taken over; the batch is rolled back',
    {
      remedy: 'another instance goes on; this one stops',
    },
  )
}

/**
 * Extends the lease, or says that it is lost. One that ran out during a long batch is still ours as
 * long as nobody took it: a take-over changes the token. In a transaction of ours, which waits for
 * a lock on the row no longer than a batch would.
 */
export async function renewLease(db: Db, lease: Lease): Promise<void> {
  const renewed = await inTransaction(db, async (trx) => {
    const { rows } = await sql<{ token: bigint }>`
      update retentiond.lease
      set expires_at = clock_timestamp() + ${LEASE_SECONDS} * interval '1 second'
      where token = ${lease.token}
      returning token`.execute(trx)
    return rows.length
  })
  if (renewed === 1) return
  throw new LeaseError('LEASE_LOST', 'the lease ended or was taken over', {
    remedy: 'another instance goes on; this one stops',
  })
}

/** Gives the lease back, if it is still ours. */
export async function releaseLease(db: Db, lease: Lease): Promise<void> {
  await inTransaction(db, async (trx) =>
    sql`
      update retentiond.lease
      set holder = null, expires_at = null
      where token = ${lease.token}`.execute(trx),
  )
}
