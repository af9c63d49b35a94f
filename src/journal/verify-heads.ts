/**
 * The checks of every journal, and its heads: those it keeps itself must be heads of its entries, and
 * those that somebody kept elsewhere show that nothing was rewritten or cut off before them.
 */
import { openCheckpoint, parseCheckpoint } from './checkpoint.ts'
import { parseEntry } from './entry.ts'
import { EMPTY_RANGE, extend, leafHash, printTreeHead, rootOf, type Hash } from './merkle.ts'
import { parseNote, parseVerifierKey, type NoteSigned, type VerifierKey } from './note.ts'
import { hasQuorum, type Trust } from './trust.ts'
import type { JournalEntry, JournalReader, StoredEntry } from './reader.ts'
import {
  verify,
  withFindings,
  type AnchorReport,
  type Finding,
  type Remark,
  type VerifyOptions,
  type VerifyReport,
} from './verify.ts'

/** A checkpoint as it is kept, and where. */
export type KeptNote = {
  readonly name: string
  readonly note: string
  /** The journal's own copy: believed for those who cosigned it. */
  readonly own?: true
}

/** A head that the journal states beside its checkpoints. */
export type StatedHead = { readonly size: number; readonly root: Hash; readonly where: string }

export type HeadsOptions = VerifyOptions & {
  /** Null: what the journal itself names is believed. */
  readonly trust?: Trust | null
  /** Checkpoints that were kept elsewhere. */
  readonly anchors?: readonly KeptNote[]
  /** How old the newest head that was kept elsewhere may be, and what time it is. */
  readonly age?: { readonly mostMs: number; readonly nowMs: number } | null
}

/** Verifies a journal with every head that is known of it. */
export async function verifyHeads(
  reader: JournalReader,
  options: HeadsOptions,
  stated: readonly StatedHead[] = [],
): Promise<VerifyReport> {
  const { trust = null, anchors = [], expected } = options
  const stored: KeptNote[] = []
  for await (const each of reader.checkpoints?.() ?? []) stored.push(each)
  const seen = noSeen([
    ...stated.map(({ size }) => size),
    ...[...stored, ...anchors].flatMap(({ note }) => sizeOf(note)),
    ...(expected === null ? [] : [expected.size]),
  ])
  const report = await verify(
    { ...reader, entries: (tokens) => noting(reader.entries(tokens), seen) },
    { ...options, trustKey: options.trustKey ?? trust?.entry ?? null },
  )
  const findings = [
    ...checkOrigin(report, trust),
    ...stated.flatMap((head) => checkRoot(seen, head, head.where)),
    ...checkStored(stored, seen, trust),
  ]
  const pinned = options.trustKey !== null || (trust !== null && trust.entry !== null)
  const believed = pinned && report.findingCount === 0
  const own = cosigned(stored, seen, trust)
  const kept = checkAnchors([...anchors, ...own], seen, { trust, believed })
  // An entry that cannot be read has no time.
  const expectedMs = Date.parse(seen.times.get(expected?.size ?? 0) ?? '') || null
  return withFindings(judged(report, { ...kept, expectedMs }, options), [
    ...findings,
    ...kept.findings,
  ])
}

/** What the reading notes for the heads. */
type Seen = {
  /** The root at each size that a head speaks of; null if there are fewer entries. */
  readonly roots: Map<number, Hash | null>
  /** The time of the last entry at each of these sizes. */
  readonly times: Map<number, string>
  /** Every checkpoint key that the journal names, by its entry. What it names wrongly, `verify` finds. */
  readonly keys: { readonly seq: number; readonly key: VerifierKey }[]
}

function noSeen(sizes: readonly number[]): Seen {
  return { roots: new Map(sizes.map((size) => [size, null])), times: new Map(), keys: [] }
}

function sizeOf(note: string): readonly number[] {
  const checkpoint = parseCheckpoint(parseNote(note)?.text ?? '')
  return checkpoint === null ? [] : [checkpoint.size]
}

/** Passes entries on, and remembers what the heads need. */
async function* noting(
  entries: AsyncIterable<JournalEntry>,
  seen: Seen,
): AsyncGenerator<JournalEntry, void> {
  let range = EMPTY_RANGE
  for await (const stored of entries) {
    const archived = stored.archived === true
    range = extend(range, archived ? stored.leafHash : leafHash(stored.body))
    if (seen.roots.has(range.size)) seen.roots.set(range.size, rootOf(range))
    if (seen.roots.has(range.size) && !archived) {
      seen.times.set(range.size, parseEntry(stored.body).entry?.time ?? '')
    }
    // Parsing every entry twice would double the time of a long journal.
    if (!archived && stored.body.includes('"type":"keys"')) noteKey(seen, stored)
    yield stored
  }
}

function noteKey({ keys }: Seen, { seq, body }: StoredEntry): void {
  const { entry } = parseEntry(body)
  if (entry?.type !== 'keys' || entry.use !== 'checkpoint') return
  const key = parseVerifierKey(entry.key)
  if (key !== null) keys.push({ seq, key })
}

function checkOrigin({ origin }: VerifyReport, trust: Trust | null): readonly Finding[] {
  if (trust === null || origin === null || origin === trust.origin || trust.entry !== null)
    return []
  const message = `the journal is ${origin}, and the trust file speaks of ${trust.origin}`
  return [{ code: 'ORIGIN', seq: 0, message }]
}

function checkRoot(
  { roots }: Seen,
  { size, root }: { readonly size: number; readonly root: Hash },
  where: string,
): readonly Finding[] {
  const own = roots.get(size) ?? null
  if (own === null) {
    const message = `${where} is of ${size} entries, and there are fewer`
    return [{ code: 'TRUNCATED', seq: size - 1, message }]
  }
  if (own.equals(root)) return []
  const message = `the root of the first ${size} entries is not the one of ${where}`
  return [{ code: 'ROOT', seq: size - 1, message }]
}

/** The checkpoints that the journal keeps itself: they prove nothing, and must not contradict it. */
function checkStored(
  stored: readonly KeptNote[],
  seen: Seen,
  trust: Trust | null,
): readonly Finding[] {
  const keys = [...seen.keys.map(({ key }) => key), ...(trust?.log ?? [])]
  return stored.flatMap(({ name, note }) => {
    const opened = openCheckpoint(note, keys)
    if (opened.fault === undefined) return checkRoot(seen, opened.checkpoint, `checkpoint ${name}`)
    const message = `checkpoint ${name} is ${opened.fault}: no key that the journal names signed it`
    return [{ code: 'SIGNATURE', seq: Number.parseInt(name, 10) || 0, message }]
  })
}

/**
 * The journal's own checkpoints that have a quorum of witnesses: wherever the note was read, they have seen this
 * head, and so it is known elsewhere. Without witnesses nobody has.
 */
function cosigned(
  stored: readonly KeptNote[],
  seen: Seen,
  trust: Trust | null,
): readonly KeptNote[] {
  if (trust === null || trust.quorum === null) return []
  const keys = [...trust.log, ...seen.keys.map(({ key }) => key), ...trust.witnesses]
  return stored.flatMap(({ name, note }) => {
    const opened = openCheckpoint(note, keys)
    const witnessed = opened.fault === undefined && hasQuorum(trust, opened.signed)
    return witnessed ? [{ name: `checkpoint ${name}`, note, own: true as const }] : []
  })
}

type Believed = {
  readonly trust: Trust | null
  /** The keys that the journal names follow from one that is trusted. */
  readonly believed: boolean
}

/** A head that was kept elsewhere and holds. */
type Anchor = {
  readonly size: number
  readonly root: Hash
  readonly where: string
  /** When somebody surely had seen it, in milliseconds: its last entry, or the newest cosignature. */
  readonly atMs: number
}

type Kept = {
  readonly anchors: readonly Anchor[]
  readonly findings: readonly Finding[]
  readonly remarks: readonly Remark[]
}

function checkAnchors(kept: readonly KeptNote[], seen: Seen, by: Believed): Kept {
  const { trust, believed } = by
  const named = seen.keys.map(({ key }) => key)
  const keys = [...(trust?.log ?? named), ...(believed ? named : [])]
  const anchors: Anchor[] = []
  const findings: Finding[] = []
  const remarks: Remark[] = []
  const heads = new Map<number, { readonly root: Hash; readonly where: string }>()
  const bySize = kept.toSorted(
    (one, other) => (sizeOf(one.note)[0] ?? 0) - (sizeOf(other.note)[0] ?? 0),
  )
  for (const { name: where, note, own } of bySize) {
    const opened = openCheckpoint(note, [...keys, ...(trust?.witnesses ?? [])])
    const seq = Math.max((sizeOf(note)[0] ?? 0) - 1, 0)
    if (opened.fault !== undefined) {
      // Of its own it was said already, unless its key is not one to stand on.
      if (own === true) continue
      const code = opened.fault === 'unknown' ? 'KEY' : 'SIGNATURE'
      findings.push({ code, seq, message: `${where} is ${opened.fault}: ${WHY[opened.fault]}` })
      continue
    }
    const { checkpoint: head, signed } = opened
    const other = heads.get(head.size)
    if (other !== undefined && !other.root.equals(head.root)) {
      const both = `${printTreeHead({ ...head, root: other.root })} in ${other.where}, ${printTreeHead(head)} in ${where}`
      findings.push({ code: 'FORK', seq, message: `two heads of one size were signed: ${both}` })
    }
    heads.set(head.size, { root: head.root, where })
    const wrong = checkRoot(seen, head, where)
    if (own !== true) findings.push(...wrong)
    if (head.extensions.length > 0) {
      const message = `${where} has lines after the third, which are not believed`
      remarks.push({ code: 'EXTENSION', seq, message })
    }
    if (wrong.length > 0) continue
    // A head that holds covers the entries that name later keys.
    keys.push(...seen.keys.flatMap((each) => (each.seq < head.size ? [each.key] : [])))
    if (trust === null || hasQuorum(trust, signed)) {
      anchors.push({ ...head, where, atMs: timeOf(seen, head.size, signed) })
    } else {
      const message = `${where} lacks the cosignatures that the trust file asks for`
      remarks.push({ code: 'QUORUM', seq, message })
    }
  }
  return { anchors, findings, remarks }
}

const WHY = {
  malformed: 'it is in no form of a checkpoint',
  unknown: 'no trusted key signed it',
  forged: 'a signature in it is broken',
} as const

function timeOf({ times }: Seen, size: number, signed: readonly NoteSigned[]): number {
  const cosigned = signed.map(({ time }) => (time ?? 0) * 1000)
  return Math.max(Date.parse(times.get(size) ?? '') || 0, ...cosigned)
}

type Held = Kept & {
  /** The time of the head that was expected; null if none was, or it is not there. */
  readonly expectedMs: number | null
}

/** What the heads that hold make of the verdict. */
function judged(report: VerifyReport, held: Held, { age = null }: HeadsOptions): VerifyReport {
  const { anchors, remarks, expectedMs } = held
  const newest = anchors.at(-1)
  const times = [...anchors.map(({ atMs }) => atMs), ...(expectedMs === null ? [] : [expectedMs])]
  const newestMs = times.length === 0 ? null : Math.max(...times)
  const ageMs = age === null || newestMs === null ? null : Math.max(age.nowMs - newestMs, 0)
  const told: AnchorReport = {
    count: anchors.length,
    newest:
      newest === undefined ? null : { size: newest.size, root: newest.root, where: newest.where },
    newestAt: newestMs === null ? null : new Date(newestMs).toISOString(),
  }
  const anchored =
    report.verdict === 'unanchored' && anchors.length > 0 ? 'verified' : report.verdict
  const late = age !== null && ageMs !== null && ageMs > age.mostMs
  return {
    ...report,
    verdict: late && anchored === 'verified' ? 'stale' : anchored,
    anchors: told,
    remarks: [...report.remarks, ...remarks],
    remarkCount: report.remarkCount + remarks.length,
  }
}
