/** What is read of a journal, from wherever it is. */
import type { ArchivedDraft } from './entry.ts'
import type { Hash } from './merkle.ts'

/** One entry as it is stored or exported. */
export type StoredEntry = {
  readonly seq: number
  readonly body: Buffer
  readonly sig: Buffer
  readonly leafHash: Hash
  /** Null: none are stored. A length: only their bytes were counted. Left out: nothing was asked. */
  readonly tokens?: StoredTokens
  readonly archived?: undefined
}

/** An entry whose body is in an archive: what it hashes to is left of it. */
export type ArchivedEntry = {
  readonly seq: number
  readonly leafHash: Hash
  readonly archived: true
}

/** What an entry of type `archived` says. */
export type StatedArchive = Omit<ArchivedDraft, 'type'> & { readonly seq: number }

/** One place of the journal. */
export type JournalEntry = StoredEntry | ArchivedEntry

/** The tokens of a batch, or how many bytes of them there are. */
export type StoredTokens = Buffer | { readonly bytes: number } | null

/** What to do about tokens: read them, count their bytes, or leave them alone. */
export type TokensRead = 'read' | 'counted' | 'left'

/** What verification reads: a database, an export, or a list in memory. */
export interface JournalReader {
  /** Number of entries that the journal claims; null if it claims nothing. Asked before `entries`. */
  size(): Promise<number | null>
  /** Bytes of all tokens that are stored. Left out: there are few, and all are read. */
  tokenBytes?(): Promise<number>
  /** What was archived, as entries say; some of them may lie beyond the end. Asked before `entries`. */
  archives?(): Promise<readonly StatedArchive[]>
  /** Every entry in the order of the sequence numbers. */
  entries(tokens: TokensRead): AsyncIterable<JournalEntry>
  /** The signed heads that are stored beside the entries, by their names. */
  checkpoints?(): AsyncIterable<{ readonly name: string; readonly note: string }>
}
