/** Makes the proof of one row out of a journal, for whoever holds the evidence key. */
import { openCheckpoint } from './checkpoint.ts'
import { parseEntry, type Entry } from './entry.ts'
import { openToken, type EvidenceKey, type OpenedToken, type RowKey } from './evidence.ts'
import { proveInclusion, type ReadNodes } from './merkle.ts'
import type { VerifierKey } from './note.ts'
import { tablesOf, type Proof, type ProvedEntry } from './proof.ts'
import type { StoredEntry } from './reader.ts'

type BatchEntry = Extract<Entry, { type: 'batch' }>

/** What a proof is made of: a database, or a list in memory. */
export interface ProofSource {
  /** Entries from the newest to the oldest. */
  backwards(): AsyncIterable<StoredEntry>
  entry(seq: number): Promise<StoredEntry | null>
  /** The tokens of a batch; null if none are stored. */
  tokens(seq: number): Promise<Buffer | null>
  readonly nodes: ReadNodes
}

export type Wanted = { readonly origin: string; readonly target: string; readonly key: RowKey }

/** Checkpoints that can be led to, the one that shows most first, with the keys that their signatures are read with. */
export type Anchor = { readonly notes: readonly string[]; readonly keys: readonly VerifierKey[] }

/**
 * The proof of the newest batch that acted on the row. `nothing`: no token of this key is the row's,
 * which does not say that it was never destroyed. `uncovered`: no checkpoint covers the batch yet.
 */
export type Made =
  | { readonly proof: Proof; readonly fault?: undefined }
  | { readonly fault: 'nothing' | 'uncovered' }

export async function proveRow(
  source: ProofSource,
  evidence: EvidenceKey,
  wanted: Wanted,
  anchor: Anchor,
): Promise<Made> {
  for await (const stored of source.backwards()) {
    const { entry } = parseEntry(stored.body)
    if (entry?.type !== 'batch') continue
    const found = await find(source, evidence, wanted, entry)
    if (found === null) continue
    const covering = coveringNote(anchor, entry.seq)
    const policy = await source.entry(entry.policy.seq)
    if (covering === null || policy === null) return { fault: 'uncovered' }
    const { size, note } = covering
    return {
      proof: {
        key: wanted.key,
        ...found,
        batch: await proved(source, stored, size),
        policy: await proved(source, policy, size),
        checkpoint: note,
      },
    }
  }
  return { fault: 'nothing' }
}

function coveringNote(
  { notes, keys }: Anchor,
  seq: number,
): { readonly size: number; readonly note: string } | null {
  for (const note of notes) {
    const opened = openCheckpoint(note, keys)
    const size = opened.fault === undefined ? opened.checkpoint.size : 0
    if (size > seq) return { size, note }
  }
  return null
}

async function find(
  source: ProofSource,
  evidence: EvidenceKey,
  { origin, target, key }: Wanted,
  entry: BatchEntry,
): Promise<{ readonly part: number; readonly opened: OpenedToken } | null> {
  const tables = tablesOf(entry)
  if (entry.evidence.alg !== 'pj1' || entry.evidence.key !== evidence.id) return null
  if (!tables.some((table) => table.target === target)) return null
  const tokens = await source.tokens(entry.seq)
  if (tokens === null) return null
  const kept = tables.filter(({ root }) => root !== undefined)
  const rows = kept.reduce((sum, table) => sum + table.rows, 0)
  const blinds = evidence.blinds({ origin, batch: entry.batch }, rows)
  let from = 0
  for (const table of kept) {
    const own = { from, rows: table.rows }
    const opened = table.target === target ? await openToken(blinds, tokens, own, key) : null
    if (opened !== null) return { part: tables.indexOf(table), opened }
    from += table.rows
  }
  return null
}

async function proved(
  { nodes }: ProofSource,
  { seq, body, sig }: StoredEntry,
  size: number,
): Promise<ProvedEntry> {
  return { seq, body, sig, path: await proveInclusion(nodes, seq, size) }
}
