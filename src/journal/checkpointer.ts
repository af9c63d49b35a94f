/**
 * Signs heads of the journal: after the commit, never inside a transaction, since a transaction that
 * is rolled back would leave a signed head of a tree that never was. One writer at a time, the holder
 * of the lease. What it signs it has verified, entry by entry, from the last checkpoint on.
 */
import { sql, type Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { ConfigError, invariant, JournalCorruptError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import type { OwnTables } from '../db/schema.ts'
import { inSnapshot, inTransaction } from '../db/transaction.ts'
import { openCheckpoint, signCheckpoint } from './checkpoint.ts'
import { follow, NOTHING_FOLLOWED, type Followed } from './follow.ts'
import { readNamedKeys, type NamedKeys } from './keys.ts'
import { rangeAt, rootOf, type TreeHead } from './merkle.ts'
import { readNodes, rootAt } from './nodes.ts'
import { parseVerifierKey, printVerifierKey, type NoteSigner, type VerifierKey } from './note.ts'
import { findEntryBySeq, journalReader, readHead, readWithTokens, requireEntry } from './read.ts'
import { lastArchived } from './read-archived.ts'
import type { Signer } from './signature.ts'
import { newestCheckpoint, type StoredCheckpoint } from './stored-checkpoints.ts'
import { requireSoundHead } from './sound.ts'
import { verify } from './verify.ts'
import { checkTokens } from './verify-evidence.ts'
import { appendEntry } from './store.ts'

export type CheckpointTools = {
  readonly db: Db
  readonly signer: Signer
  /** The checkpoint key. */
  readonly checkpoints: NoteSigner
  readonly clock: Clock
  /** Keeps the head on the disk, outside the database, before it is signed. */
  /** The key before this one: the first checkpoint after a rotation carries both signatures. */
  readonly formerly?: NoteSigner
  readonly remember?: (head: TreeHead & { readonly origin: string }) => Promise<void>
}

/** A head that was signed and stored, as the note that is published. */
export type SignedHead = TreeHead & { readonly origin: string; readonly note: string }

/** Signs the journal again and again, and knows what it signed before. */
export interface Checkpointer {
  sign(): Promise<SignedHead>
  /** Brings the newest head to the places outside the database that lack it. */
  deliver(): Promise<void>
  /** Throws if for too long nothing outside the database has known what was journalled. */
  requireAnchored(): Promise<void>
}

/** Told of each head that is larger than the one before, once it is signed and stored. */
export type Publish = (head: SignedHead) => Promise<void> | void

/**
 * Opens a checkpointer that brings nothing anywhere: what this process signed before, the journal
 * must continue.
 */
export function openCheckpointer(tools: CheckpointTools, publish: Publish): Checkpointer {
  let known: TreeHead | null = null
  return {
    sign: async () => {
      const head = await makeCheckpoint(tools, known)
      if (head.size > (known?.size ?? 0)) await publish(head)
      known = head
      return head
    },
    deliver: async () => {},
    requireAnchored: async () => {},
  }
}

const REFUSED = 'no checkpoint is signed, and nothing is destroyed; run: retentiond journal verify'

/**
 * Signs the journal as it stands now and stores the note; the same size twice gives the same note.
 * Refuses if an entry since the last checkpoint does not hold, and if the journal does not continue
 * that checkpoint or the head that this process knows from before.
 */
export async function makeCheckpoint(
  tools: CheckpointTools,
  known: TreeHead | null,
): Promise<SignedHead> {
  const { db, signer, checkpoints } = tools
  await requireSoundHead(db, signer)
  const { origin } = await announce(tools, known)
  const own = parseVerifierKey(checkpoints.vkey(origin))
  invariant(own !== null, 'our own checkpoint key can be read')
  const head = await inSnapshot(db, async (trx) => verified(trx, own, known))
  await tools.remember?.({ origin, ...head })
  const note = signCheckpoint(checkpoints, origin, head, tools.formerly)
  await inTransaction(db, async (trx) => store(trx, { size: head.size, note }))
  return { ...head, origin, note }
}

/** The journal itself says which key signs its heads, before the first head is signed. */
async function announce(
  { db, signer, checkpoints, clock }: CheckpointTools,
  known: TreeHead | null,
): Promise<NamedKeys> {
  return inTransaction(db, async (trx) => {
    const named = await readNamedKeys(trx)
    const own = checkpoints.vkey(named.origin)
    const inUse = named.checkpoint.at(-1)
    if (inUse === undefined) {
      if (known !== null || (await newestCheckpoint(trx)) !== null) {
        throw refusal('the journal no longer names the key of its checkpoints: it was rolled back')
      }
      await appendEntry(trx, signer, { type: 'keys', use: 'checkpoint', key: own }, clock)
    } else if (printVerifierKey(inUse) !== own) {
      throw new ConfigError('the checkpoint key is not the one that the journal names', {
        remedy: 'set RETENTIOND_CHECKPOINT_KEY_FILE to the key that signed the checkpoints so far',
      })
    }
    return named
  })
}

async function verified(
  trx: Transaction<OwnTables>,
  own: VerifierKey,
  known: TreeHead | null,
): Promise<TreeHead> {
  const last = await newestCheckpoint(trx)
  if (known !== null) await requireContinued(trx, known)
  let reached = last === null ? NOTHING_FOLLOWED : await resume(trx, last, own)
  for await (const stored of readWithTokens(trx, reached.range.size)) {
    const step = follow(reached, stored)
    if (step.fault !== undefined) {
      throw refusal(`entry ${stored.seq} does not hold: ${step.fault}`)
    }
    const { entry } = step
    const tokens = stored.tokens ?? null
    if (entry.type === 'batch' && tokens !== null) {
      const fault = checkTokens(entry, tokens)
      if (fault !== null) throw refusal(`entry ${stored.seq} does not hold: ${fault}`)
    }
    reached = step.followed
  }
  const head = { size: reached.range.size, root: rootOf(reached.range) }
  // Proofs are made of the stored hashes, so they must be those of the entries.
  if (!(await rootAt(trx, head.size)).root.equals(head.root)) {
    throw refusal('the stored hashes are not those of the entries')
  }
  return head
}

/**
 * The journal up to the last checkpoint, which must still be what it was. One that another key
 * signed, as before a rotation, is no ground to stand on: everything is verified again.
 */
async function resume(
  trx: Transaction<OwnTables>,
  { size, note }: StoredCheckpoint,
  own: VerifierKey,
): Promise<Followed> {
  const opened = openCheckpoint(note, [own])
  if (opened.fault === 'unknown') return fromTheBeginning(trx)
  if (opened.fault !== undefined || opened.checkpoint.size !== size) {
    throw refusal(`the stored checkpoint of ${size} entries is not what was signed`)
  }
  const { origin, entry: key } = await readNamedKeys(trx, size)
  await requireContinued(trx, opened.checkpoint)
  return stateAt(trx, size, { origin, key })
}

async function stateAt(
  trx: Transaction<OwnTables>,
  size: number,
  named: Pick<Followed, 'origin' | 'key'>,
): Promise<Followed> {
  const range = await rangeAt(async (nodes) => readNodes(trx, nodes), size)
  const newest = await findEntryBySeq(trx, size - 1)
  if (newest === null) throw refusal(`entry ${size - 1} is missing`)
  return { range, prev: newest.leafHash, time: requireEntry(newest).time, ...named }
}

/** Entries without a body cannot be followed: of those it is verified that they are what was archived. */
async function fromTheBeginning(trx: Transaction<OwnTables>): Promise<Followed> {
  if ((await lastArchived(trx)) < 0) return NOTHING_FOLLOWED
  const { findings, head } = await verify(journalReader(trx), { trustKey: null, expected: null })
  const [finding] = findings
  if (finding !== undefined) {
    throw refusal(`entry ${finding.seq} does not hold: ${finding.message}`)
  }
  const { origin, entry: key } = await readNamedKeys(trx)
  return stateAt(trx, head.size, { origin, key })
}

async function requireContinued(trx: Transaction<OwnTables>, older: TreeHead): Promise<void> {
  const head = await readHead(trx)
  if ((head?.size ?? 0) < older.size) {
    throw refusal(`the journal had ${older.size} entries, and has fewer now: it was rolled back`)
  }
  if (!(await rootAt(trx, older.size)).root.equals(older.root)) {
    throw refusal(`the first ${older.size} entries are not what they were: the journal was forked`)
  }
}

function refusal(message: string): JournalCorruptError {
  return new JournalCorruptError(message, { remedy: REFUSED })
}

/** One size has one checkpoint: another one with the same size would be a fork of our making. */
async function store(trx: Transaction<OwnTables>, { size, note }: StoredCheckpoint): Promise<void> {
  await trx
    .insertInto('retentiond.checkpoint')
    .values({ size: BigInt(size), note })
    .onConflict((conflict) => conflict.column('size').doNothing())
    .execute()
  const { rows } = await sql<{ same: boolean }>`
    select split_part(note, E'\n\n', 1) = split_part(${note}::text, E'\n\n', 1) as same
    from retentiond.checkpoint
    where size = ${size}`.execute(trx)
  if (rows[0]?.same !== true) {
    throw refusal(`another checkpoint of ${size} entries is stored: the journal was forked`)
  }
}
