/**
 * A sink: a place outside the database that takes checkpoints. The order is always the same: what
 * stands in the state file was signed, what a sink has was stored, and a sink that fails is asked
 * again with the newest checkpoint, which covers every one before it.
 */
import { RestoredError } from '../base/errors.ts'
import type { SignedHead } from '../journal/checkpointer.ts'
import type { Hash } from '../journal/merkle.ts'
import { parseNote } from '../journal/note.ts'
import type { StoredEntry } from '../journal/reader.ts'
import type { KeptNote } from '../journal/verify-heads.ts'

/** What a sink may read of the journal beside the checkpoint. */
export interface JournalSource {
  /** The entries from `from` up to but without `to`, with their tokens if they are asked for. */
  entries(from: number, to: number, tokens: boolean): AsyncIterable<StoredEntry>
  /** Proves that the first `to` entries begin with the first `from`. */
  consistency(from: number, to: number): Promise<readonly Hash[]>
  /** How many entries there are now: more than a checkpoint that somebody else has overtaken. */
  size(): Promise<number>
}

/** What a sink gave back; `receipt` is kept beside the journal. */
export type Accepted = { readonly receipt: string | null }

export interface Sink {
  /** As in logs, and in the table of what was taken. */
  readonly name: string
  /** Whether enforcement stops if it takes nothing for too long. */
  readonly required: boolean
  /**
   * Takes a checkpoint and what came since `from`, the size it took before (0: none). When it
   * resolves, the sink has it for good. Throws a SinkError to be asked again, or a RestoredError
   * if what it has contradicts the checkpoint.
   */
  accept(head: SignedHead, from: number, journal: JournalSource): Promise<Accepted>
  /** The newest note that it has; null if it has none. Left out by a sink that cannot be read. */
  newest?(): Promise<string | null>
  /** What `--anchor` calls it, and the newest notes that it has. Left out by one that is a folder, or cannot be read. */
  readonly place?: string
  notes?(): Promise<readonly KeptNote[]>
}

/** Most that is waited for an answer. */
export const ANSWER_MS = 30_000

/** The numbers in the names of files sort as the numbers do. */
export function numbered(size: number): string {
  return String(size).padStart(12, '0')
}

/** The files of a publication, in the order in which they have to be written. */
export type Kept = { readonly key: string; readonly bytes: Buffer }

/**
 * Yields the files that make a publication: tokens, segment and signatures, and at last the
 * checkpoint, so that whoever finds a checkpoint finds all that it covers.
 */
export async function* filesOf(
  head: SignedHead,
  from: number,
  journal: JournalSource,
  tokens: boolean,
): AsyncGenerator<Kept, void> {
  let first = head.size
  const bodies: Buffer[] = []
  const signatures: string[] = []
  for await (const entry of journal.entries(from, head.size, tokens)) {
    first = Math.min(first, entry.seq)
    bodies.push(entry.body, Buffer.from('\n'))
    signatures.push(`${entry.seq} ${entry.sig.toString('base64')}\n`)
    if (Buffer.isBuffer(entry.tokens))
      yield { key: `evidence/${numbered(entry.seq)}.bin`, bytes: entry.tokens }
  }
  if (first < head.size) {
    const segment = `segments/${numbered(first)}-${numbered(head.size)}`
    yield { key: `${segment}.jsonl`, bytes: Buffer.concat(bodies) }
    yield { key: `${segment}.signatures.txt`, bytes: Buffer.from(signatures.join('')) }
  }
  yield { key: checkpointKey(head.size), bytes: Buffer.from(head.note) }
}

export function checkpointKey(size: number): string {
  return `checkpoints/${numbered(size)}`
}

/** True if two files are one: of checkpoints the text counts, since others may have signed one. */
export function isSame(key: string, one: Buffer, other: Buffer): boolean {
  if (one.equals(other)) return true
  if (!key.startsWith('checkpoints/')) return false
  const text = parseNote(one.toString())?.text
  return text !== undefined && text === parseNote(other.toString())?.text
}

/** What is in the place of a file and is not it: two journals of one name have grown apart. */
export function contradiction(sink: string, key: string): RestoredError {
  return new RestoredError(
    'FORKED',
    `sink ${sink} has another ${key} than this journal: it was forked, or the sink is that of another journal`,
    {
      remedy:
        'nothing is destroyed and nothing was overwritten; compare both with: retentiond journal verify. A new journal needs a new folder or prefix',
    },
  )
}
