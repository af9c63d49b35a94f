/** A journal part of which was archived: leaf hashes among its entries, and their bodies from elsewhere. */
import type {
  ArchivedEntry,
  JournalEntry,
  JournalReader,
  StoredEntry,
  TokensRead,
} from './reader.ts'

/** Entries and leaf hashes as one sequence; both come in the order of their numbers. */
export async function* interleaved(
  entries: AsyncIterable<StoredEntry>,
  archived: AsyncIterable<ArchivedEntry>,
): AsyncGenerator<JournalEntry, void> {
  const leaves = archived[Symbol.asyncIterator]()
  let leaf = await leaves.next()
  for await (const entry of entries) {
    while (leaf.done !== true && leaf.value.seq < entry.seq) {
      yield leaf.value
      leaf = await leaves.next()
    }
    yield entry
  }
  for (; leaf.done !== true; leaf = await leaves.next()) yield leaf.value
}

/**
 * The journal with the bodies that archives have. The leaf hash stays the journal's own, so that a body
 * that is another one is a finding.
 */
export function withArchives<R extends JournalReader>(
  reader: R,
  archives: readonly JournalReader[],
): R {
  if (archives.length === 0) return reader
  return {
    ...reader,
    // Left out, the tokens of the journal are few; those of its archives need not be.
    tokenBytes: async () => {
      const all = [reader, ...archives].map(async (each) => (await each.tokenBytes?.()) ?? 0)
      return (await Promise.all(all)).reduce((sum, each) => sum + each, 0)
    },
    entries: (tokens) => filled(reader.entries(tokens), archives, tokens),
  }
}

async function* filled(
  entries: AsyncIterable<JournalEntry>,
  archives: readonly JournalReader[],
  tokens: TokensRead,
): AsyncGenerator<JournalEntry, void> {
  const open = archives.map((archive) => new Bodies(archive.entries(tokens)))
  for await (const entry of entries) {
    if (entry.archived !== true) {
      yield entry
      continue
    }
    let found: StoredEntry | null = null
    for (const bodies of open) found ??= await bodies.at(entry.seq)
    yield found === null ? entry : { ...found, leafHash: entry.leafHash }
  }
}

/** Reads an archive along with the journal: forwards, and once. */
class Bodies {
  readonly #entries: AsyncIterator<JournalEntry>
  #next: IteratorResult<JournalEntry> | null = null

  constructor(entries: AsyncIterable<JournalEntry>) {
    this.#entries = entries[Symbol.asyncIterator]()
  }

  /** The entry of this number, larger than any asked before; null if the archive has no body of it. */
  async at(seq: number): Promise<StoredEntry | null> {
    this.#next ??= await this.#entries.next()
    while (this.#next.done !== true && this.#next.value.seq < seq) {
      this.#next = await this.#entries.next()
    }
    if (this.#next.done === true) return null
    const { value } = this.#next
    return value.seq === seq && value.archived !== true ? value : null
  }
}
