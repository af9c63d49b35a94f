/** The checks of every journal, and those of what an export says beside its entries. */
import { openCheckpoint } from './checkpoint.ts'
import { parseEntry } from './entry.ts'
import { EMPTY_RANGE, extend, leafHash, rootOf, type Hash } from './merkle.ts'
import { parseVerifierKey, type VerifierKey } from './note.ts'
import type { ExportReader } from './read-export.ts'
import {
  verify,
  type Finding,
  type StoredEntry,
  type VerifyOptions,
  type VerifyReport,
} from './verify.ts'

/** A head that the export states, and where. */
type Stated = { readonly size: number; readonly root: Hash; readonly where: string }

/**
 * Verifies an export as `verify` does any journal. Its own head and checkpoints must be those of
 * its entries, and its files those of its manifest; none of them shows that nothing was cut off.
 */
export async function verifyExport(
  reader: ExportReader,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const findings: Finding[] = []
  const stated: Stated[] = [{ ...(await reader.head()), where: 'head.txt' }]
  const notes: { readonly name: string; readonly note: string }[] = []
  for await (const each of reader.checkpoints()) notes.push(each)
  const keys = await checkpointKeys(reader)
  for (const { name, note } of notes) {
    const opened = openCheckpoint(note, keys)
    if (opened.fault !== undefined) {
      const message = `checkpoint ${name} is ${opened.fault}: no key that the journal names signed it`
      findings.push({ code: 'SIGNATURE', seq: Number.parseInt(name, 10) || 0, message })
    } else {
      stated.push({ ...opened.checkpoint, where: `checkpoint ${name}` })
    }
  }
  const roots = new Map<number, Hash | null>(stated.map(({ size }) => [size, null]))
  const report = await verify(
    { ...reader, entries: (tokens) => noting(reader.entries(tokens), roots) },
    options,
  )
  for (const { size, root, where } of stated) {
    if (roots.get(size)?.equals(root) === true) continue
    const message = `the root of the first ${size} entries is not the one of ${where}`
    findings.push({ code: 'ROOT', seq: size - 1, message })
  }
  for await (const name of reader.altered()) {
    const message = `${name} is not what the manifest says`
    findings.push({ code: 'MANIFEST', seq: 0, message })
  }
  return withFindings(report, findings)
}

/** Every checkpoint key that the journal names. What it names wrongly, `verify` finds. */
async function checkpointKeys(reader: ExportReader): Promise<readonly VerifierKey[]> {
  const keys: VerifierKey[] = []
  for await (const { body } of reader.entries('left')) {
    // Parsing every entry twice would double the time of a long journal.
    if (!body.includes('"type":"keys"')) continue
    const { entry } = parseEntry(body)
    if (entry?.type !== 'keys' || entry.use !== 'checkpoint') continue
    const key = parseVerifierKey(entry.key)
    if (key !== null) keys.push(key)
  }
  return keys
}

/** Passes entries on, and remembers the roots at the sizes that are asked for. */
async function* noting(
  entries: AsyncIterable<StoredEntry>,
  roots: Map<number, Hash | null>,
): AsyncGenerator<StoredEntry, void> {
  let range = EMPTY_RANGE
  for await (const stored of entries) {
    range = extend(range, leafHash(stored.body))
    if (roots.has(range.size)) roots.set(range.size, rootOf(range))
    yield stored
  }
}

function withFindings(report: VerifyReport, more: readonly Finding[]): VerifyReport {
  if (more.length === 0) return report
  return {
    ...report,
    verdict: 'tampered',
    findings: [...report.findings, ...more.slice(0, 100)].toSorted(
      (one, other) => one.seq - other.seq,
    ),
    findingCount: report.findingCount + more.length,
  }
}
