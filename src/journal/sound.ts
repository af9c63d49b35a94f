import { sql } from 'kysely'
import { ConfigError, JournalCorruptError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import { inSnapshot } from '../db/transaction.ts'
import { readNamedKeys } from './keys.ts'
import { leafHash } from './merkle.ts'
import { findEntryBySeq, journalReader, readHead, type Head } from './read.ts'
import { parseVerifierKey, printVerifierKey, samePublicKey } from './note.ts'
import { checkSignature, type Signer } from './signature.ts'
import { verify } from './verify.ts'

const MISSING_REMEDY = 'run: retentiond migrate; if there was a journal before, ask who removed it'
const UNSOUND_REMEDY = 'run: retentiond journal verify; nothing is destroyed until it is sound'

/**
 * Proves before a run that the journal can be appended to: it is there, the key is the one that
 * began it, and its head is its newest entry, signed by that key. What lies before the newest entry
 * is `verify`'s to check.
 */
export async function requireSoundHead(db: Db, signer: Signer): Promise<Head> {
  // On one snapshot: another writer may append between two looks.
  return inSnapshot(db, async (trx) => proveHead(trx, signer))
}

async function proveHead(db: Db, signer: Signer): Promise<Head> {
  const head = await readHead(db)
  if (head === null) {
    throw new JournalCorruptError('this database has no journal', { remedy: MISSING_REMEDY })
  }
  await requireOwnKey(db, signer, head)
  const newest = await findEntryBySeq(db, head.size - 1)
  const beyond = await findEntryBySeq(db, head.size)
  // The entry that names our key is signed by the one before.
  const { entry: key } = await readNamedKeys(db, head.size - 1)
  const sound =
    newest !== null &&
    beyond === null &&
    leafHash(newest.body).equals(head.lastHash) &&
    checkSignature(key, { origin: head.origin, ...newest })
  if (sound) return head
  throw new JournalCorruptError(
    `the head of the journal is not its newest entry ${head.size - 1}`,
    {
      remedy: UNSOUND_REMEDY,
    },
  )
}

/** Another key would sign entries that nobody can verify. */
async function requireOwnKey(db: Db, signer: Signer, head: Head): Promise<void> {
  const named = await readNamedKeys(db)
  if (named.origin !== head.origin) {
    throw new JournalCorruptError('entry 0 of the journal does not name its origin', {
      remedy: UNSOUND_REMEDY,
    })
  }
  if (printVerifierKey(named.entry) === signer.vkey(head.origin)) return
  throw new ConfigError(`the entry key is not the one that signs the journal ${head.origin}`, {
    remedy:
      'set RETENTIOND_ENTRY_KEY_FILE to the key that was given to retentiond migrate, or came after it',
  })
}

/** Verifies the whole journal, as a daemon does once when it starts. */
export async function requireSoundJournal(db: Db, signer: Signer): Promise<Head> {
  const head = await requireSoundHead(db, signer)
  const first = await readNamedKeys(db, 1)
  const own = parseVerifierKey(signer.vkey(head.origin))
  const report = await verify(journalReader(db), {
    // After a rotation ours is not the first; that it signed the newest entry is proved above.
    trustKey: own !== null && samePublicKey(own, first.entry) ? own : null,
    expected: null,
  })
  const [finding] = report.findings
  if (finding === undefined) return head
  throw new JournalCorruptError(
    `the journal is not sound: entry ${finding.seq}: ${finding.code}: ${finding.message}`,
    { remedy: UNSOUND_REMEDY },
  )
}

/** The database's time of the newest entry, in milliseconds since 1970. */
export async function newestEntryMs(db: Db): Promise<number> {
  const { rows } = await sql<{ ms: string }>`
    select (extract(epoch from last_time) * 1000)::bigint::text as ms
    from retentiond.head`.execute(db)
  const [row] = rows
  if (row !== undefined) return Number(row.ms)
  throw new JournalCorruptError('this database has no journal', { remedy: MISSING_REMEDY })
}
