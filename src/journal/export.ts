/** A journal as a folder of files, for whoever checks it elsewhere (docs/journal-format.md). */
import type { Kysely } from 'kysely'
import { ConfigError, JournalCorruptError } from '../base/errors.ts'
import type { OwnTables } from '../db/schema.ts'
import { readCheckpoints } from './stored-checkpoints.ts'
import { parseEntry, type Entry } from './entry.ts'
import { openExportFolder, type ExportFolder, type GrowingFile } from './export-folder.ts'
import { README } from './export-readme.ts'
import { remainder, summarise, SUMMARY_HEADER, type Summary } from './export-summary.ts'
import { printTreeHead, type TreeHead } from './merkle.ts'
import { rootAt } from './nodes.ts'
import { printVerifierKey } from './note.ts'
import { readNamedKeys, type NamedKeys } from './keys.ts'
import { readArchivedEntries, readArchivedLeaves } from './read-archived.ts'
import { findEntryBySeq, readEntries, readHead, readWithTokens } from './read.ts'
import { addToTiles, beginTiles, partialTiles, type Tile } from './tiles.ts'
import type { StoredEntry } from './reader.ts'
import { readGenesis } from './verify.ts'

export type ExportOptions = {
  readonly out: string
  /** First and last entry; the last one there is, if it is left out. */
  readonly from: number
  readonly to?: number
  /** The tokens of the batches too. */
  readonly evidence: boolean
  /** The tree up to the newest checkpoint in the layout of tlog-tiles too. */
  readonly tiles: boolean
  /** The texts of rules that are at hand, by their digests. */
  readonly rules: ReadonlyMap<string, string>
}

type Db = Kysely<OwnTables>
type ArchivedEntry = Extract<Entry, { type: 'archived' }>
type Note = { readonly size: number; readonly note: string }

/** What goes into a file as the entries come by. */
type Files = {
  readonly folder: ExportFolder
  readonly entries: GrowingFile
  readonly signatures: GrowingFile
  readonly summary: GrowingFile
  /** Digests of rules whose texts were not written yet. */
  readonly rules: Map<string, string>
}

/**
 * Writes entries, signatures and checkpoints to a folder in which nothing is, and returns the head
 * that it goes up to. `db` is one snapshot: evidence that is pruned meanwhile would look stolen.
 */
export async function exportJournal(db: Db, options: ExportOptions): Promise<TreeHead> {
  const size = await sizeOf(db, options)
  const notes = (await readCheckpoints(db)).filter((note) => note.size <= size)
  const archives = await readArchivedEntries(db)
  requireBodies(archives, size, options)
  const tiled = options.tiles ? requireTiled(notes, options) : null
  // The stored hashes; that they are those of the entries, whoever verifies the folder finds out.
  const head = await rootAt(db, size)
  await using folder = await openExportFolder(options.out)
  await writeEntries(db, { folder, size, options, tiled })
  if (archives.length > 0) await writeArchived(db, { folder, size, options, tiled }, archives)
  for (const { size, note } of notes) {
    await folder.write(`checkpoints/${String(size).padStart(12, '0')}`, note)
  }
  const first = await findEntryBySeq(db, 0)
  const key = first === null ? null : (readGenesis(first.body)?.key ?? null)
  if (key !== null) await folder.write('entry-key.txt', `${printVerifierKey(key)}\n`)
  const named = await readNamedKeys(db, size)
  await folder.write('trust.txt', trustFile(named))
  if (options.from > 0) await folder.write('part.txt', `${options.from} ${size - 1}\n`)
  await folder.write('head.txt', `${printTreeHead(head)}\n`)
  await folder.write('README.txt', README)
  await folder.complete()
  return head
}

/** What the journal says of its keys, in the form of a trust file. */
function trustFile({ checkpoint, first }: Pick<NamedKeys, 'checkpoint' | 'first'>): string {
  const keys = [...checkpoint, first].map((key) => `log ${printVerifierKey(key)}\n`)
  return `# as the journal names them: compare with the keys that you got elsewhere\n${keys.join('')}`
}

async function sizeOf(db: Db, { from, to }: ExportOptions): Promise<number> {
  const there = (await readHead(db))?.size ?? 0
  const size = to === undefined ? there : to + 1
  if (size <= there && from < size) return size
  throw new ConfigError(`there are no entries from ${from} to ${size - 1}`, {
    remedy:
      there === 0 ? 'run: retentiond migrate' : `the journal has those from 0 to ${there - 1}`,
  })
}

/** Tiles hold the bodies of all entries; an end before that of an archive makes a part that nothing explains. */
function requireBodies(
  archives: readonly ArchivedEntry[],
  size: number,
  { tiles }: ExportOptions,
): void {
  const last = archives.at(-1)
  if (last === undefined) return
  if (size < last.size) {
    throw new ConfigError(`the entries up to ${last.to} are archived`, {
      remedy: `export up to ${last.size - 1} or later, or use the archive itself`,
    })
  }
  if (!tiles) return
  throw new ConfigError(`tiles hold every entry, and those up to ${last.to} are archived`, {
    remedy: 'leave --tiles out',
  })
}

/** What is left of archived entries, and what entries say of them. */
async function writeArchived(
  db: Db,
  { folder, size, options }: Work,
  archives: readonly ArchivedEntry[],
): Promise<void> {
  const leaves = await folder.begin('archived.txt')
  for await (const { seq, leafHash } of readArchivedLeaves(db)) {
    if (seq >= options.from && seq < size) {
      await leaves.add(`${seq} ${leafHash.toString('base64')}\n`)
    }
  }
  await folder.end(leaves)
  await folder.write(
    'archives.txt',
    archives
      .map(({ seq, from, to, entries, ...head }) => {
        return `${seq} ${from} ${to} ${entries} ${printTreeHead(head)}\n`
      })
      .join(''),
  )
}

/** Tiles without a checkpoint are read by nobody, and their widths are those of its size. */
function requireTiled(notes: readonly Note[], { from }: ExportOptions): Note {
  const newest = notes.at(-1)
  if (from === 0 && newest !== undefined) return newest
  throw new ConfigError(
    from > 0 ? 'tiles begin with entry 0' : 'no checkpoint of these entries was signed',
    { remedy: from > 0 ? 'leave --from out' : 'run: retentiond journal checkpoint' },
  )
}

type Work = {
  readonly folder: ExportFolder
  readonly size: number
  readonly options: ExportOptions
  readonly tiled: Note | null
}

async function writeEntries(db: Db, { folder, size, options, tiled }: Work): Promise<void> {
  const { from, evidence } = options
  const files: Files = {
    folder,
    entries: await folder.begin('entries.jsonl'),
    signatures: await folder.begin('signatures.txt'),
    summary: await folder.begin('summary.csv'),
    rules: new Map(options.rules),
  }
  await files.summary.add(SUMMARY_HEADER)
  const summary: Summary = new Map()
  const tiling = beginTiles()
  const entries = evidence ? readWithTokens(db, from) : readEntries(db, { from })
  for await (const stored of entries) {
    if (stored.seq >= size) break
    await writeEntry(files, stored)
    const { entry } = parseEntry(stored.body)
    if (entry !== undefined) await files.summary.add(summarise(summary, entry))
    if (entry?.type === 'policy') await writeRule(files, entry.sha256)
    if (tiled !== null && stored.seq < tiled.size) {
      await writeTiles(folder, addToTiles(tiling, stored.body))
    }
  }
  await files.summary.add(remainder(summary))
  for (const file of [files.entries, files.signatures, files.summary]) await folder.end(file)
  if (tiled === null) return
  await writeTiles(folder, partialTiles(tiling))
  await folder.write('tiles/checkpoint', tiled.note)
}

async function writeEntry(files: Files, { seq, body, sig, tokens }: StoredEntry): Promise<void> {
  if (body.includes('\n')) {
    throw new JournalCorruptError(`entry ${seq} has a line break, so it is no line of a file`, {
      remedy: 'run: retentiond journal verify',
    })
  }
  await files.entries.add(body, '\n')
  await files.signatures.add(`${seq} ${sig.toString('base64')}\n`)
  if (Buffer.isBuffer(tokens)) await files.folder.write(evidenceFile(seq), tokens)
}

/** The text of a rule that the journal names: its digest is the name of the file. */
async function writeRule({ folder, rules }: Files, sha256: string): Promise<void> {
  const text = rules.get(sha256)
  if (text === undefined) return
  rules.delete(sha256)
  await folder.write(`policies/${sha256}.json`, text)
}

async function writeTiles(folder: ExportFolder, tiles: readonly Tile[]): Promise<void> {
  for (const { path, bytes } of tiles) await folder.write(`tiles/${path}`, bytes)
}

/** Where the tokens of a batch are. */
export function evidenceFile(seq: number): string {
  return `evidence/${String(seq).padStart(6, '0')}.bin`
}
