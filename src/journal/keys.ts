/** The keys that a journal names: in entry 0, and since then in entries of type `keys`. */
import type { Kysely } from 'kysely'
import { JournalCorruptError } from '../base/errors.ts'
import type { OwnTables } from '../db/schema.ts'
import { parseVerifierKey, type VerifierKey } from './note.ts'
import { findEntryBySeq, readKeysEntries } from './read.ts'
import { readGenesis } from './verify.ts'

/** What a journal says of itself. It proves nothing to somebody who does not know the keys. */
export type NamedKeys = {
  readonly origin: string
  /** The key of entry 0, which signs until another one takes its place. */
  readonly first: VerifierKey
  /** The key that signs the next entry. */
  readonly entry: VerifierKey
  /** Every checkpoint key so far, the one in use last. */
  readonly checkpoint: readonly VerifierKey[]
  /** The check value of every evidence key, by its id. */
  readonly evidence: ReadonlyMap<string, string>
}

/** Reads the keys in use after the first `size` entries; all of them, if it is left out. */
export async function readNamedKeys(
  db: Kysely<OwnTables>,
  size: number = Infinity,
): Promise<NamedKeys> {
  const first = await findEntryBySeq(db, 0)
  const genesis = first === null ? null : readGenesis(first.body)
  if (genesis === null || genesis.key === null) throw unreadable(0)
  let entry = genesis.key
  const checkpoint: VerifierKey[] = []
  const evidence = new Map<string, string>()
  for await (const named of readKeysEntries(db)) {
    if (named.seq >= size) break
    if (named.use === 'evidence') {
      evidence.set(named.key, named.check)
      continue
    }
    const key = parseVerifierKey(named.key)
    if (key === null) throw unreadable(named.seq)
    if (named.use === 'entry') entry = key
    else checkpoint.push(key)
  }
  return { origin: genesis.origin, first: genesis.key, entry, checkpoint, evidence }
}

function unreadable(seq: number): JournalCorruptError {
  return new JournalCorruptError(`entry ${seq} of the journal names no key that can be read`, {
    remedy: 'run: retentiond journal verify; nothing is destroyed until it is sound',
  })
}
