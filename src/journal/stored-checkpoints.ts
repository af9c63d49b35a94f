/** The signed heads as the database keeps them, and the signatures that witnesses gave for them. */
import type { Kysely } from 'kysely'
import type { OwnTables } from '../db/schema.ts'
import { parseNote } from './note.ts'

/** A checkpoint as it is stored. */
export type StoredCheckpoint = { readonly size: number; readonly note: string }

/** The checkpoint of the largest size; null if none was signed. */
export async function newestCheckpoint(db: Kysely<OwnTables>): Promise<StoredCheckpoint | null> {
  const row = await db
    .selectFrom('retentiond.checkpoint')
    .select(['size', 'note'])
    .orderBy('size', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : { size: Number(row.size), note: row.note }
}

/** Every checkpoint, from the smallest on, with the cosignatures that witnesses gave for it. */
export async function readCheckpoints(db: Kysely<OwnTables>): Promise<readonly StoredCheckpoint[]> {
  const rows = await db
    .selectFrom('retentiond.checkpoint')
    .select(['size', 'note'])
    .orderBy('size')
    .execute()
  const receipts = await readReceipts(db)
  return rows.map(({ size, note }) => ({
    size: Number(size),
    note: withCosignatures(note, receipts.get(size) ?? []),
  }))
}

/** What sinks gave back; a witness gives a line of a note. */
async function readReceipts(
  db: Kysely<OwnTables>,
): Promise<ReadonlyMap<bigint, readonly string[]>> {
  const rows = await db
    .selectFrom('retentiond.anchor')
    .select(['size', 'receipt'])
    .where('receipt', 'like', '— %')
    .orderBy('sink')
    .execute()
  const bySize = new Map<bigint, string[]>()
  for (const { size, receipt } of rows) {
    const before = bySize.get(size) ?? []
    bySize.set(size, receipt === null ? before : [...before, receipt])
  }
  return bySize
}

/** More than there are witnesses of one journal; a note has room for a hundred. */
const MOST_COSIGNATURES = 50

/**
 * A note with the lines of those who cosigned it. What is in no form of one is left out, and what claims to be
 * the journal's own: that is in the note.
 */
export function withCosignatures(note: string, receipts: readonly string[]): string {
  const parsed = parseNote(note)
  if (parsed === null) return note
  const [origin] = parsed.text.split('\n')
  const lines = receipts.filter((line) => {
    const others = parseNote(`${parsed.text}\n${line}`)?.signatures ?? []
    return others.length === 1 && others[0]?.name !== origin && !note.includes(line)
  })
  return note + [...new Set(lines)].slice(0, MOST_COSIGNATURES).join('')
}

/** The notes in the order in which they show most: cosigned by the most, then the newest. */
export function bestFirst(notes: readonly StoredCheckpoint[]): readonly StoredCheckpoint[] {
  const signers = new Map(
    notes.map(({ note }) => [note, parseNote(note)?.signatures.length ?? 0] as const),
  )
  return notes.toSorted(
    (one, other) =>
      (signers.get(other.note) ?? 0) - (signers.get(one.note) ?? 0) || other.size - one.size,
  )
}
