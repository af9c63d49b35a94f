/** What the database still has of entries that were archived. */
import type { Kysely } from 'kysely'
import type { OwnTables } from '../db/schema.ts'
import { parseEntry, type Entry } from './entry.ts'
import type { ArchivedEntry } from './reader.ts'

type Db = Kysely<OwnTables>

/** Leaf hashes fetched at once. */
const PAGE = 5000

/** Yields the leaf hashes of archived entries in the order of their numbers. */
export async function* readArchivedLeaves(db: Db): AsyncGenerator<ArchivedEntry, void> {
  for (let next = 0n; ;) {
    const rows = await db
      .selectFrom('retentiond.archived_leaf')
      .select(['seq', 'leaf_hash'])
      .where('seq', '>=', next)
      .orderBy('seq')
      .limit(PAGE)
      .execute()
    for (const row of rows) {
      yield { seq: Number(row.seq), leafHash: row.leaf_hash, archived: true }
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    next = last.seq + 1n
  }
}

/** Everything that was archived so far, in the order of the journal. */
export async function readArchivedEntries(
  db: Db,
): Promise<readonly Extract<Entry, { type: 'archived' }>[]> {
  const rows = await db
    .selectFrom('retentiond.archived_entry')
    .select('body')
    .orderBy('seq')
    .execute()
  return rows.flatMap(({ body }) => {
    // One that cannot be read, `verify` finds.
    const { entry } = parseEntry(body)
    return entry?.type === 'archived' ? [entry] : []
  })
}

/** The number of the last entry whose body is gone; -1 if all are here. */
export async function lastArchived(db: Db): Promise<number> {
  const row = await db
    .selectFrom('retentiond.archived_leaf')
    .select('seq')
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? -1 : Number(row.seq)
}
