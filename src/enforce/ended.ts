/**
 * The end of a run in the journal: stated once, with what its batches did. The head is locked
 * first, so that no batch can come any more, not even one that the server still commits after its
 * answer was lost.
 */
import { sql, type Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Db } from '../db/connect.ts'
import type { OwnTables } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import type { RunOutcome } from '../journal/entry.ts'
import { totalsOfRun, unfinishedRun, type UnfinishedRun } from '../journal/read.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry } from '../journal/store.ts'

type Tools = { readonly db: Db; readonly signer: Signer; readonly clock: Clock }

/** Waits for every other writer of the journal, and keeps them away until the transaction ends. */
export async function lockJournal(trx: Transaction<OwnTables>): Promise<void> {
  await sql`select from retentiond.lock_head()`.execute(trx)
}

/** Ends a run, unless another instance that took the lease over has ended it already. */
export async function endRun(
  { db, signer, clock }: Tools,
  ended: UnfinishedRun,
  outcome: RunOutcome,
): Promise<void> {
  await inTransaction(db, async (trx) => {
    await lockJournal(trx)
    if ((await unfinishedRun(trx))?.run !== ended.run) return
    const totals = await totalsOfRun(trx, ended)
    await appendEntry(
      trx,
      signer,
      { type: 'run', phase: 'end', run: ended.run, outcome, totals },
      clock,
    )
  })
}
