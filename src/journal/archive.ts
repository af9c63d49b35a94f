/**
 * The retention of the journal itself. What it says of batches and runs leaves the database once it is old:
 * first into a folder, which is verified as any export, then by an entry that says so, behind a checkpoint
 * that was signed and is known elsewhere. Leaf hashes stay, and so every root and every proof.
 */
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { JournalCorruptError, RefusedError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import { inSnapshot, inTransaction } from '../db/transaction.ts'
import { openCheckpoint } from './checkpoint.ts'
import { readCheckpoints } from './stored-checkpoints.ts'
import type { ArchivedDraft } from './entry.ts'
import { exportJournal } from './export.ts'
import { readNamedKeys } from './keys.ts'
import { rootAt } from './nodes.ts'
import {
  findEntryBySeq,
  journalReader,
  readEvidenceEntries,
  requireEntry,
  runOpenAt,
} from './read.ts'
import { readArchivedEntries } from './read-archived.ts'
import { openExport } from './read-export.ts'
import type { Signer } from './signature.ts'
import { appendEntry } from './store.ts'
import { verifyExport } from './verify-export.ts'
import { verify, type VerifyReport } from './verify.ts'

export type ArchiveOptions = {
  /** What was journalled on this day or later stays, YYYY-MM-DD. */
  readonly before: string
  /** Entries that are known outside the database. */
  readonly anchored: number
  readonly out: string
  /** The texts of rules that are at hand, by their digests. */
  readonly rules: ReadonlyMap<string, string>
}

export type ArchiveTools = {
  readonly db: Db
  readonly signer: Signer
  readonly clock: Clock
  /** The role that owns the schema: nobody else may archive. */
  readonly owner: string
}

/**
 * Archives what lies behind the newest checkpoint before a day. Nothing goes before the folder was read
 * again and verified; after a crash in between, the folder is one more export.
 */
export async function archiveJournal(
  { db, signer, clock, owner }: ArchiveTools,
  options: ArchiveOptions,
): Promise<ArchivedDraft> {
  const draft = await inSnapshot(db, async (trx) => {
    const report = await verify(journalReader(trx), { trustKey: null, expected: null })
    requireSound(report, 'the journal')
    const found = await findArchivable(trx, options)
    const { out, rules } = options
    const to = found.size - 1
    await exportJournal(trx, { out, from: 0, to, evidence: true, tiles: false, rules })
    return found
  })
  const { size, root } = draft
  const written = await openExport(options.out)
  const expected = { size, root }
  requireSound(
    await verifyExport(written, { trustKey: null, expected, everyToken: true }),
    options.out,
  )
  await inTransaction(db, async (trx) => {
    await sql`set local role ${sql.id(owner)}`.execute(trx)
    await appendEntry(trx, signer, draft, clock)
    await sql`select retentiond.archive(${draft.from}, ${draft.to}, ${size})`.execute(trx)
  })
  return draft
}

function requireSound({ findings }: VerifyReport, what: string): void {
  const [finding] = findings
  if (finding === undefined) return
  throw new JournalCorruptError(
    `${what} is not sound: entry ${finding.seq}: ${finding.code}: ${finding.message}`,
    { remedy: 'nothing was archived; run: retentiond journal verify' },
  )
}

/** What can go, behind the newest checkpoint that allows it. */
async function findArchivable(
  db: Db,
  { before, anchored }: Pick<ArchiveOptions, 'before' | 'anchored'>,
): Promise<ArchivedDraft> {
  const from = ((await readArchivedEntries(db)).at(-1)?.to ?? -1) + 1
  const prunedBehind = await prunedFromBehind(db)
  const keys = (await readNamedKeys(db)).checkpoint
  for (const { size, note } of (await readCheckpoints(db)).toReversed()) {
    if (size > anchored || prunedBehind(size) || (await timeOf(db, size - 1)) >= before) continue
    // Its last entry stays, and a run is archived whole or not at all.
    const to = ((await runOpenAt(db, size - 1)) ?? size - 1) - 1
    if (to < from) continue
    const opened = openCheckpoint(note, keys)
    const head = opened.fault === undefined ? opened.checkpoint : null
    const { root } = await rootAt(db, size)
    if (head?.size !== size || !head.root.equals(root)) {
      throw new JournalCorruptError(
        `the checkpoint of ${size} entries is not one of this journal`,
        {
          remedy: 'nothing was archived; run: retentiond journal verify',
        },
      )
    }
    const entries = await countArchivable(db, from, to)
    if (entries > 0) return { type: 'archived', from, to, entries, size, root }
  }
  throw new RefusedError(`no batches and runs from before ${before} can be archived`, {
    remedy:
      'they have to lie behind a checkpoint that every sink has, a run of theirs has to have ended before its last entry, and no evidence of theirs was removed after it: journal checkpoint, or a later day',
  })
}

/** Tells of a checkpoint whether evidence of entries before it was removed by an entry behind it. */
async function prunedFromBehind(db: Db): Promise<(size: number) => boolean> {
  const pruned: { readonly seq: number; readonly from: number }[] = []
  for await (const entry of readEvidenceEntries(db)) {
    if (entry.type === 'evidence-pruned') pruned.push(entry)
  }
  return (size) => pruned.some((entry) => entry.seq >= size && entry.from < size)
}

async function timeOf(db: Db, seq: number): Promise<string> {
  const stored = await findEntryBySeq(db, seq)
  return stored === null ? '' : requireEntry(stored).time
}

async function countArchivable(db: Db, from: number, to: number): Promise<number> {
  const { rows } = await sql<{ entries: bigint }>`
    select count(*) as entries
    from retentiond.archivable_entry
    where seq between ${from} and ${to}`.execute(db)
  return Number(rows[0]?.entries ?? 0)
}
