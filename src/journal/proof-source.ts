/** What the proof of a row is made of: a database, or the folder of an export. */
import type { Kysely } from 'kysely'
import type { OwnTables } from '../db/schema.ts'
import { bestFirst, readCheckpoints, type StoredCheckpoint } from './stored-checkpoints.ts'
import { parseEntry } from './entry.ts'
import { readNamedKeys, type NamedKeys } from './keys.ts'
import { nodesOf, type Hash } from './merkle.ts'
import { readNodes } from './nodes.ts'
import { parseVerifierKey } from './note.ts'
import type { ProofSource } from './prove.ts'
import { entriesBackwards, findEntryBySeq, readHead, readTokens } from './read.ts'
import type { ExportReader } from './read-export.ts'
import type { StoredEntry } from './reader.ts'
import { readGenesis } from './verify.ts'

/** A journal that rows can be proved from, with what it says of itself. */
export type Provable = ProofSource & {
  readonly size: number
  readonly keys: Pick<NamedKeys, 'origin' | 'checkpoint' | 'evidence'>
  /** The notes, the one that shows most first. */
  readonly checkpoints: readonly string[]
}

/** The journal of a database. `db` is one snapshot: a proof is of one state. */
export async function provableDatabase(db: Kysely<OwnTables>): Promise<Provable> {
  const head = await readHead(db)
  return {
    size: head?.size ?? 0,
    keys: await readNamedKeys(db),
    checkpoints: bestFirst(await readCheckpoints(db)).map(({ note }) => note),
    backwards: () => entriesBackwards(db),
    entry: async (seq) => findEntryBySeq(db, seq),
    tokens: async (seq) => readTokens(db, seq),
    nodes: async (nodes) => readNodes(db, nodes),
  }
}

/**
 * The journal of an export, which has no index: it is read once from its beginning, and its entries
 * are kept without their tokens. Null if it is no journal.
 */
export async function provableExport(reader: ExportReader): Promise<Provable | null> {
  const entries: StoredEntry[] = []
  const leaves: Hash[] = []
  for await (const entry of reader.entries('left')) {
    leaves.push(entry.leafHash)
    if (entry.archived === true) continue
    // A copy: what is read is a view of the whole chunk, which would stay in memory.
    entries.push({ ...entry, body: Buffer.from(entry.body) })
  }
  const keys = keysOf(entries)
  if (keys === null) return null
  const bySeq = new Map(entries.map((entry) => [entry.seq, entry]))
  const notes: StoredCheckpoint[] = []
  for await (const { name, note } of reader.checkpoints()) notes.push({ size: Number(name), note })
  return {
    size: leaves.length,
    keys,
    checkpoints: bestFirst(notes).map(({ note }) => note),
    backwards: async function* backwards() {
      yield* entries.toReversed()
    },
    entry: async (seq) => bySeq.get(seq) ?? null,
    tokens: async (seq) => reader.tokens(seq),
    nodes: nodesOf(leaves),
  }
}

function keysOf(entries: readonly StoredEntry[]): Provable['keys'] | null {
  const origin = entries[0] === undefined ? undefined : readGenesis(entries[0].body)?.origin
  if (origin === undefined) return null
  const named = entries.flatMap(({ body }) => {
    const { entry } = body.includes('"type":"keys"') ? parseEntry(body) : { entry: undefined }
    return entry?.type === 'keys' ? [entry] : []
  })
  return {
    origin,
    checkpoint: named.flatMap((entry) => {
      const key = entry.use === 'checkpoint' ? parseVerifierKey(entry.key) : null
      return key === null ? [] : [key]
    }),
    evidence: new Map(
      named.flatMap((entry) => (entry.use === 'evidence' ? [[entry.key, entry.check]] : [])),
    ),
  }
}
