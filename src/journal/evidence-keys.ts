/** How evidence comes to its end: keys are announced and destroyed, tokens are pruned, each by an entry. */
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { ConfigError, RefusedError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import { inTransaction } from '../db/transaction.ts'
import type { EvidenceKey } from './evidence.ts'
import { readNamedKeys } from './keys.ts'
import { isEvidenceKeyDestroyed, readHead } from './read.ts'
import type { Signer } from './signature.ts'
import { appendEntry, lockHead } from './store.ts'

type Tools = { readonly db: Db; readonly signer: Signer; readonly clock: Clock }

/**
 * Names the key in the journal before its first batch, so that a wrong key under this id is noticed
 * at once, and never again a key that was said to be destroyed.
 */
export async function announceEvidenceKey(
  { db, signer, clock }: Tools,
  key: EvidenceKey,
): Promise<void> {
  await inTransaction(db, async (trx) => {
    const known = (await readNamedKeys(trx)).evidence.get(key.id)
    if (known === undefined) {
      const { id, check } = key
      await appendEntry(trx, signer, { type: 'keys', use: 'evidence', key: id, check }, clock)
      return
    }
    if (known !== key.check) {
      throw new ConfigError(`the evidence key is not the one that the journal calls ${key.id}`, {
        remedy: 'set RETENTIOND_EVIDENCE_KEY_FILE to the right file, or make a key with a new id',
      })
    }
  })
  if (await isEvidenceKeyDestroyed(db, key.id)) {
    throw new ConfigError(`the journal says that evidence key ${key.id} was destroyed`, {
      remedy: 'make a key with a new id, and find out where this one came from',
    })
  }
}

/** Says in the journal that nobody holds this key any more. What becomes of its file is the caller's. */
export async function journalDestruction({ db, signer, clock }: Tools, id: string): Promise<void> {
  const { evidence } = await readNamedKeys(db)
  if (!evidence.has(id)) {
    throw new RefusedError(`the journal names no evidence key ${id}`, {
      remedy: `it names ${[...evidence.keys()].join(', ') || 'none'}`,
    })
  }
  if (await isEvidenceKeyDestroyed(db, id)) {
    throw new RefusedError(`the journal says already that evidence key ${id} was destroyed`)
  }
  await inTransaction(db, async (trx) =>
    appendEntry(trx, signer, { type: 'evidence-key-destroyed', key: id }, clock),
  )
}

/**
 * Removes the tokens of every batch before the entry `before` and says so in the journal: both, or
 * neither. Returns of how many batches.
 */
export async function pruneEvidence({ db, signer, clock }: Tools, before: number): Promise<number> {
  return inTransaction(db, async (trx) => {
    await lockHead(trx)
    const head = await readHead(trx)
    const to = Math.min(before, head?.size ?? 0) - 1
    const { rows } = await sql<{ from: bigint | null; batches: bigint }>`
      with oldest as (select min(seq) as seq from retentiond.evidence where seq <= ${to})
      select
        oldest.seq as from,
        case when oldest.seq is null then 0 else retentiond.prune_evidence(oldest.seq, ${to}) end
          as batches
      from oldest`.execute(trx)
    const [pruned] = rows
    if (pruned?.from === undefined || pruned.from === null) return 0
    const batches = Number(pruned.batches)
    await appendEntry(
      trx,
      signer,
      { type: 'evidence-pruned', from: Number(pruned.from), to, batches },
      clock,
    )
    return batches
  })
}
