import { sql, type Kysely } from 'kysely'
import { JournalCorruptError } from '../base/errors.ts'
import type { OwnTables } from '../db/schema.ts'
import { parseEntry, type Entry, type PolicyReference, type TableRows } from './entry.ts'
import type { Hash } from './merkle.ts'
import { readCheckpoints } from './stored-checkpoints.ts'
import { addTotals, rowsOf, type Totals } from './totals.ts'
import { interleaved } from './archived.ts'
import { lastArchived, readArchivedEntries, readArchivedLeaves } from './read-archived.ts'
import type { JournalReader, StoredEntry, TokensRead } from './reader.ts'

/** Where the next entry goes. */
export type Head = {
  readonly origin: string
  readonly size: number
  readonly lastHash: Hash
}

export type EntryRange = {
  /** First sequence number. */
  readonly from?: number
  /** Most entries. */
  readonly limit?: number
}

export type UnfinishedRun = { readonly run: string; readonly seq: number }

/** Rows fetched at once: at most 32 MB of bodies, half a megabyte with ordinary ones. */
const PAGE = 500
const TOKEN_PAGE = 25
/** The largest bigint of PostgreSQL: above every entry. */
const LAST_SEQ = 2n ** 63n - 1n

type Db = Kysely<OwnTables>
type Row = { seq: bigint; body: Buffer; sig: Buffer; leaf_hash: Buffer }

const COLUMNS = ['seq', 'body', 'sig', 'leaf_hash'] as const

/** Reads the head; null if no journal was opened here. */
export async function readHead(db: Db): Promise<Head | null> {
  const row = await db
    .selectFrom('retentiond.head')
    .select(['origin', 'size', 'last_hash'])
    .executeTakeFirst()
  return row === undefined
    ? null
    : { origin: row.origin, size: Number(row.size), lastHash: row.last_hash }
}

/** Yields entries in the order of their numbers, a page at a time. */
export async function* readEntries(
  db: Db,
  { from = 0, limit = Infinity }: EntryRange = {},
): AsyncGenerator<StoredEntry, void> {
  let left = limit
  for (let next = from; left > 0;) {
    const rows = await db
      .selectFrom('retentiond.entry')
      .select(COLUMNS)
      .where('seq', '>=', BigInt(next))
      .orderBy('seq')
      .limit(Math.min(PAGE, left))
      .execute()
    for (const row of rows) yield stored(row)
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    next = Number(last.seq) + 1
    left -= rows.length
  }
}

/** Yields entries from the newest to the oldest, a page at a time. */
export async function* entriesBackwards(db: Db): AsyncGenerator<StoredEntry, void> {
  for await (const row of rowsBackwards(db, 'retentiond.entry')) yield stored(row)
}

async function* rowsBackwards(
  db: Db,
  from: 'retentiond.entry' | 'retentiond.run_entry' | 'retentiond.policy_entry',
): AsyncGenerator<Row, void> {
  for (let before = LAST_SEQ; ;) {
    const rows = await db
      .selectFrom(from)
      .select(COLUMNS)
      .where('seq', '<', before)
      .orderBy('seq', 'desc')
      .limit(PAGE)
      .execute()
    for (const row of rows) yield row
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    before = last.seq
  }
}

/** Finds one entry: after a lost answer to a commit, its bytes say whether the batch was committed. */
export async function findEntryBySeq(db: Db, seq: number): Promise<StoredEntry | null> {
  const row = await db
    .selectFrom('retentiond.entry')
    .select(COLUMNS)
    .where('seq', '=', BigInt(seq))
    .executeTakeFirst()
  return row === undefined ? null : stored(row)
}

/** The journal as `verify` wants it. */
export function journalReader(db: Db): JournalReader {
  return {
    size: async () => (await readHead(db))?.size ?? null,
    tokenBytes: async () => tokenBytes(db),
    archives: async () => readArchivedEntries(db),
    entries: (tokens) => interleaved(bodies(db, tokens), readArchivedLeaves(db)),
    checkpoints: () => storedCheckpoints(db),
  }
}

function bodies(db: Db, tokens: TokensRead): AsyncIterable<StoredEntry> {
  if (tokens === 'left') return readEntries(db)
  return tokens === 'read' ? readWithTokens(db) : readCounted(db)
}

/** The policy entry in effect for a rule: its newest. Null if the rule never took effect. */
export async function newestPolicyEntry(db: Db, rule: string): Promise<PolicyReference | null> {
  for await (const row of rowsBackwards(db, 'retentiond.policy_entry')) {
    const entry = requireEntry(stored(row))
    if (entry.type === 'policy' && entry.rule === rule) {
      return { rule, sha256: entry.sha256, seq: entry.seq }
    }
  }
  return null
}

/**
 * The run that began and has no end in the journal: cut short by a crash, or still at work. There is
 * one at most, the newest: under the lease a run begins only after the one before was given its end.
 */
export async function unfinishedRun(db: Db): Promise<UnfinishedRun | null> {
  const ended = new Set<string>()
  for await (const row of rowsBackwards(db, 'retentiond.run_entry')) {
    const entry = requireEntry(stored(row))
    if (entry.type !== 'run') continue
    if (entry.phase === 'end') ended.add(entry.run)
    else return ended.has(entry.run) ? null : { run: entry.run, seq: entry.seq }
  }
  return null
}

/** The entry with which a run began that was at work when the journal had so many entries; null: none was. */
export async function runOpenAt(db: Db, size: number): Promise<number | null> {
  const row = await db
    .selectFrom('retentiond.run_entry')
    .select(COLUMNS)
    .where('seq', '<', BigInt(size))
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  const entry = row === undefined ? null : requireEntry(stored(row))
  return entry?.type === 'run' && entry.phase === 'start' ? entry.seq : null
}

/** Sums the batches of a run as journalled, per table and action: the totals its end must state. */
export async function totalsOfRun(
  db: Db,
  { run, seq }: UnfinishedRun,
): Promise<readonly TableRows[]> {
  const totals: Totals = new Map()
  for await (const row of readEntries(db, { from: seq })) {
    const entry = requireEntry(row)
    if (entry.type === 'batch' && entry.run === run) addTotals(totals, entry)
  }
  return rowsOf(totals)
}

/** True if a run ever began; what was archived had some. */
export async function hasRuns(db: Db): Promise<boolean> {
  if ((await lastArchived(db)) >= 0) return true
  const row = await db.selectFrom('retentiond.run_entry').select('seq').limit(1).executeTakeFirst()
  return row !== undefined
}

/** Yields every approval given or revoked, in the order of the journal. */
export async function* readApprovalEntries(
  db: Db,
): AsyncGenerator<Extract<Entry, { type: 'approval' }>, void> {
  for await (const row of viewRows(db, 'retentiond.approval_entry')) {
    const entry = requireEntry(stored(row))
    if (entry.type === 'approval') yield entry
  }
}

/** Yields every hold placed or lifted, in the order of the journal. */
export async function* readHoldEntries(
  db: Db,
): AsyncGenerator<Extract<Entry, { type: 'hold' }>, void> {
  for await (const row of viewRows(db, 'retentiond.hold_entry')) {
    const entry = requireEntry(stored(row))
    if (entry.type === 'hold') yield entry
  }
}

/** Yields every entry that names a key, in the order of the journal. */
export async function* readKeysEntries(
  db: Db,
): AsyncGenerator<Extract<Entry, { type: 'keys' }>, void> {
  for await (const row of viewRows(db, 'retentiond.keys_entry')) {
    const entry = requireEntry(stored(row))
    if (entry.type === 'keys') yield entry
  }
}

/** Yields every entry about evidence that came to its end, in the order of the journal. */
export async function* readEvidenceEntries(db: Db): AsyncGenerator<Entry, void> {
  for await (const row of viewRows(db, 'retentiond.evidence_entry')) yield requireEntry(stored(row))
}

/** True if the journal says that nobody holds this evidence key any more. */
export async function isEvidenceKeyDestroyed(db: Db, id: string): Promise<boolean> {
  for await (const entry of readEvidenceEntries(db)) {
    if (entry.type === 'evidence-key-destroyed' && entry.key === id) return true
  }
  return false
}

/** The tokens of one batch; null if none are stored. */
export async function readTokens(db: Db, seq: number): Promise<Buffer | null> {
  const row = await db
    .selectFrom('retentiond.evidence')
    .select('tokens')
    .where('seq', '=', BigInt(seq))
    .executeTakeFirst()
  return row?.tokens ?? null
}

async function* storedCheckpoints(db: Db) {
  for (const { size, note } of await readCheckpoints(db)) yield { name: String(size), note }
}

/** Bytes of all tokens. PostgreSQL knows the length of each without reading it. */
async function tokenBytes(db: Db): Promise<number> {
  const { rows } = await sql<{ bytes: bigint }>`
    select coalesce(sum(octet_length(tokens)), 0)::bigint as bytes
    from retentiond.evidence`.execute(db)
  return Number(rows[0]?.bytes ?? 0)
}

/** As `readEntries`, each with the length of its tokens or null. */
async function* readCounted(db: Db): AsyncGenerator<StoredEntry, void> {
  for (let next = 0n; ;) {
    const { rows } = await sql<Row & { bytes: number | null }>`
      select entry.seq, entry.body, entry.sig, entry.leaf_hash,
        octet_length(evidence.tokens) as bytes
      from retentiond.entry
      left join retentiond.evidence on evidence.seq = entry.seq
      where entry.seq >= ${next}
      order by entry.seq
      limit ${PAGE}`.execute(db)
    for (const { bytes, ...row } of rows) {
      yield { ...stored(row), tokens: bytes === null ? null : { bytes } }
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    next = last.seq + 1n
  }
}

/** As `readEntries`, each with its tokens or null. Fewer at once: a batch may have a megabyte of them. */
export async function* readWithTokens(
  db: Db,
  from = 0,
): AsyncGenerator<StoredEntry & { readonly tokens: Buffer | null }, void> {
  for (let next = from; ;) {
    const rows = await db
      .selectFrom('retentiond.entry')
      .leftJoin('retentiond.evidence', 'retentiond.evidence.seq', 'retentiond.entry.seq')
      .select([
        'retentiond.entry.seq as seq',
        'retentiond.entry.body as body',
        'retentiond.entry.sig as sig',
        'retentiond.entry.leaf_hash as leaf_hash',
        'retentiond.evidence.tokens as tokens',
      ])
      .where('retentiond.entry.seq', '>=', BigInt(next))
      .orderBy('retentiond.entry.seq')
      .limit(TOKEN_PAGE)
      .execute()
    for (const { tokens, ...row } of rows) yield { ...stored(row), tokens }
    const last = rows.at(-1)
    if (last === undefined || rows.length < TOKEN_PAGE) return
    next = Number(last.seq) + 1
  }
}

type EntriesOfType =
  | 'retentiond.approval_entry'
  | 'retentiond.keys_entry'
  | 'retentiond.hold_entry'
  | 'retentiond.evidence_entry'

async function* viewRows(db: Db, view: EntriesOfType): AsyncGenerator<Row, void> {
  for (let next = 0n; ;) {
    const rows = await db
      .selectFrom(view)
      .select(COLUMNS)
      .where('seq', '>=', next)
      .orderBy('seq')
      .limit(PAGE)
      .execute()
    for (const row of rows) yield row
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    next = last.seq + 1n
  }
}

function stored(row: Row): StoredEntry {
  return { seq: Number(row.seq), body: row.body, sig: row.sig, leafHash: row.leaf_hash }
}

/** Our own lookups rest on entries being readable; which one is not, `verify` says in full. */
export function requireEntry({ seq, body }: StoredEntry): Entry {
  const { entry, fault } = parseEntry(body)
  if (entry !== undefined) return entry
  throw new JournalCorruptError(`journal entry ${seq} ${fault}`, {
    remedy: 'run: retentiond journal verify',
  })
}
