/** Puts a new key in the place of one: an entry that the key in use signs says which. */
import type { Clock } from '../base/clock.ts'
import { RefusedError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import { inTransaction } from '../db/transaction.ts'
import { readNamedKeys } from '../journal/keys.ts'
import { printVerifierKey, type NoteSigner } from '../journal/note.ts'
import { requireSoundHead } from '../journal/sound.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry } from '../journal/store.ts'

export type RotateTools = { readonly db: Db; readonly signer: Signer; readonly clock: Clock }

/** Names the next entry key; every entry after this one is signed by it. Returns its verifier key. */
export async function rotateEntryKey(tools: RotateTools, next: Signer): Promise<string> {
  const { origin } = await requireSoundHead(tools.db, tools.signer)
  const key = next.vkey(origin)
  if (key === tools.signer.vkey(origin)) throw inUse('entry')
  await inTransaction(tools.db, async (trx) =>
    appendEntry(trx, tools.signer, { type: 'keys', use: 'entry', key }, tools.clock),
  )
  return key
}

/**
 * Names the next checkpoint key; checkpoints that cover this entry are signed by it. The first of
 * them is the caller's to make, with both keys.
 */
export async function rotateCheckpointKey(
  tools: RotateTools,
  { current, next }: { readonly current: NoteSigner; readonly next: NoteSigner },
): Promise<string> {
  await requireSoundHead(tools.db, tools.signer)
  const { origin, checkpoint } = await readNamedKeys(tools.db)
  const named = checkpoint.at(-1)
  if (named === undefined || printVerifierKey(named) !== current.vkey(origin)) {
    throw new RefusedError('the checkpoint key is not the one that the journal names', {
      remedy:
        'set RETENTIOND_CHECKPOINT_KEY_FILE to the key in use, and give the new one as an option',
    })
  }
  const key = next.vkey(origin)
  if (checkpoint.some((each) => printVerifierKey(each) === key)) throw inUse('checkpoint')
  await inTransaction(tools.db, async (trx) =>
    appendEntry(trx, tools.signer, { type: 'keys', use: 'checkpoint', key }, tools.clock),
  )
  return key
}

function inUse(which: string): RefusedError {
  return new RefusedError(`this is or was the ${which} key of the journal already`, {
    remedy: 'make another one with: retentiond keygen',
  })
}
