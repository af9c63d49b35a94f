import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Db } from '../db/connect.ts'
import { inTransaction } from '../db/transaction.ts'
import type { Signer } from './signature.ts'
import { appendEntry, lockHead } from './store.ts'

type Tools = { readonly db: Db; readonly signer: Signer; readonly clock: Clock }

/**
 * Appends a heartbeat if nothing was journalled for a day, so that a journal whose end was cut off
 * is told from one in which nothing happened. True if it did.
 */
export async function beat({ db, signer, clock }: Tools): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    // Locked first: of two daemons that look at the same moment, one finds the other's heartbeat.
    await lockHead(trx)
    const { rows } = await sql<{ silent: boolean }>`
      select clock_timestamp() - last_time > interval '24 hours' as silent
      from retentiond.head`.execute(trx)
    if (rows[0]?.silent !== true) return false
    await appendEntry(trx, signer, { type: 'heartbeat' }, clock)
    return true
  })
}
