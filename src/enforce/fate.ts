/** What became of a batch whose answer to COMMIT was lost. */
import { tell } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Db } from '../db/connect.ts'
import { inTransaction } from '../db/transaction.ts'
import { findEntryBySeq } from '../journal/read.ts'
import type { Appended } from '../journal/store.ts'
import { lockJournal } from './ended.ts'
import { outlasting } from './outlast.ts'

export type Fate = 'committed' | 'rolled back' | 'unknown'

type Tools = { readonly db: Db; readonly log: Log; readonly clock: Clock }

/** Also a run that is to stop wants to know what its last batch did. */
const ASKED_MS = 30_000

/**
 * After a lost answer to COMMIT the entry decides: its bytes in the journal mean that the rows are
 * gone. The server may still be committing, so the head is waited for first. If that cannot be
 * learnt the batch counts as lost; the end of the run sums up what the journal holds.
 */
export async function fateOf(
  { db, log, clock }: Tools,
  { appended }: { readonly appended: Appended | null },
): Promise<Fate> {
  // It had nothing to commit.
  if (appended === null) return 'committed'
  try {
    const asked = { clock, log, signal: new AbortController().signal }
    return await outlasting(asked, async () => isJournalled(db, appended), {
      mostMs: ASKED_MS,
      lost: true,
    })
  } catch (error) {
    log.warn({ reason: tell(error) }, 'what became of a batch could not be learnt')
    return 'unknown'
  }
}

async function isJournalled(db: Db, appended: Appended): Promise<Fate> {
  return inTransaction(db, async (trx) => {
    await lockJournal(trx)
    const entry = await findEntryBySeq(trx, appended.seq)
    const isThere = entry !== null && Buffer.compare(entry.body, appended.body) === 0
    return isThere ? 'committed' : 'rolled back'
  })
}
