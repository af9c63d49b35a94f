/**
 * Re-derives everything a journal says about itself from the bytes of its entries, and compares it
 * with a size and root that somebody kept elsewhere. Only that comparison shows that nothing was
 * cut off at the end, so without it the answer is never "verified".
 */
import { EXIT, type ExitStatus } from '../base/errors.ts'
import { parseEntry, type Entry } from './entry.ts'
import {
  EMPTY_RANGE,
  extend,
  leafHash,
  NO_ENTRY,
  rootOf,
  type CompactRange,
  type Hash,
  type TreeHead,
} from './merkle.ts'
import { nextKey } from './follow.ts'
import type {
  JournalEntry,
  JournalReader,
  StatedArchive,
  StoredEntry,
  TokensRead,
} from './reader.ts'
import {
  checkArchived,
  checkStated,
  judgeArchived,
  noArchivedSeen,
  noteHead,
  passArchived,
  type ArchivedSeen,
} from './verify-archived.ts'
import { checkEvidence, noEvidenceSeen, unexplained, type EvidenceSeen } from './verify-evidence.ts'
import { parseVerifierKey, type VerifierKey } from './note.ts'
import { checkSignature, keyName } from './signature.ts'
import {
  checkApproval,
  checkPolicy,
  checkTotals,
  type Content,
  type OpenRun,
} from './verify-content.ts'

/** What each check is called; docs/journal-format.md lists them in the order they are made. */
export type FindingCode =
  | 'GAP'
  | 'LEAF'
  | 'ENCODING'
  | 'CHAIN'
  | 'ORIGIN'
  | 'TIME'
  | 'SIGNATURE'
  | 'POLICY'
  | 'APPROVAL'
  | 'TOTALS'
  | 'EVIDENCE'
  | 'EVIDENCE-MISSING'
  | 'RESURRECTED'
  | 'ARCHIVE'
  | 'TRUNCATED'
  | 'ROOT'
  | 'KEY'
  | 'FORK'
  | 'MANIFEST'

/** Something that an untouched journal cannot show. */
export type Finding = { readonly code: FindingCode; readonly seq: number; readonly message: string }

/** Something worth knowing that proves nothing: clocks apart, a run cut short. */
export type Remark = {
  readonly code:
    'CLOCK' | 'UNFINISHED' | 'PRUNED' | 'ARCHIVED' | 'UNREAD' | 'EXTENSION' | 'QUORUM' | 'SAMPLED'
  readonly seq: number
  readonly message: string
}

export type VerifyOptions = {
  /** The first entry key as kept elsewhere; null takes the one that the journal names itself. */
  readonly trustKey: VerifierKey | null
  /** Size and root as kept elsewhere; null leaves the end of the journal unproven. */
  readonly expected: TreeHead | null
  /** Reads all tokens, however many there are. */
  readonly everyToken?: boolean
}

/**
 * Tokens read without being asked to: those of two million rows, about a second. They bear no part
 * of the proof that the journal is whole; a row whose token was altered can no longer be proved.
 */
const MOST_TOKEN_BYTES = 2_000_000 * 32

/** `stale`: whole up to the newest head kept elsewhere, which is older than was asked for. */
export type Verdict = 'verified' | 'stale' | 'unanchored' | 'tampered'

export type VerifyReport = {
  readonly verdict: Verdict
  /** Null if entry 0 is missing or unreadable. */
  readonly origin: string | null
  readonly head: TreeHead
  readonly expected: TreeHead | null
  /** Where the key came from that the signatures were checked with; null if there was none. */
  readonly key: 'given' | 'journal' | null
  /** By sequence number; at most `KEPT`. */
  readonly findings: readonly Finding[]
  readonly findingCount: number
  readonly remarks: readonly Remark[]
  readonly remarkCount: number
  /** Left out: nobody asked for heads that were kept elsewhere. */
  readonly anchors?: AnchorReport
}

/** The heads that were kept elsewhere and hold. */
export type AnchorReport = {
  readonly count: number
  readonly newest: (TreeHead & { readonly where: string }) | null
  /** When somebody surely had seen the newest of them, or the expected head. */
  readonly newestAt: string | null
}

/** Findings and remarks kept in a report: a ruined journal must not fill the memory. */
const KEPT = 100

/** Database and daemon clock may differ by so much before it is remarked. */
const CLOCK_SKEW_MS = 300_000

/** The exit status of `journal verify`. */
export function exitOf(verdict: Verdict): ExitStatus {
  switch (verdict) {
    case 'verified':
      return EXIT.done
    case 'stale':
    case 'unanchored':
      return EXIT.refused
    case 'tampered':
      return EXIT.failed
    default:
      return verdict satisfies never
  }
}

/** Reads the journal once, from its first entry to its last, and reports everything it finds. */
export async function verify(reader: JournalReader, options: VerifyOptions): Promise<VerifyReport> {
  const claimed = await reader.size()
  const walk = startOf(options, (await reader.archives?.()) ?? [])
  const tokens = await tokensToRead(reader, options)
  for await (const stored of reader.entries(tokens)) visit(walk, stored)
  if (tokens === 'counted') {
    const message = 'the tokens were counted, and not compared with their roots: --deep reads them'
    remark(walk, { code: 'UNREAD', seq: 0, message })
  }
  checkEnd(walk, claimed)
  for (const [run, { seq }] of walk.runs) {
    remark(walk, { code: 'UNFINISHED', seq, message: `run ${run} has no end` })
  }
  return reportOf(walk)
}

async function tokensToRead(reader: JournalReader, options: VerifyOptions): Promise<TokensRead> {
  if (options.everyToken === true || reader.tokenBytes === undefined) return 'read'
  return (await reader.tokenBytes()) > MOST_TOKEN_BYTES ? 'counted' : 'read'
}

/** Who a journal says it is, in its entry 0. */
export type Genesis = { readonly origin: string; readonly key: VerifierKey | null }

/** Reads entry 0, to check a single signature with; null if these bytes are no genesis. */
export function readGenesis(body: Uint8Array): Genesis | null {
  const { entry } = parseEntry(body)
  return entry?.type === 'genesis'
    ? { origin: entry.origin, key: parseVerifierKey(entry.entryKey) }
    : null
}

/** Where the reading stands. Changed by each entry; no larger than the rules and open runs. */
type Walk = Content & {
  readonly options: VerifyOptions
  next: number
  range: CompactRange
  prev: Hash
  time: string
  origin: string | null
  key: VerifierKey | null
  rootAtExpected: Hash | null
  readonly evidence: EvidenceSeen
  readonly archived: ArchivedSeen
  readonly findings: Finding[]
  findingCount: number
  readonly remarks: Remark[]
  remarkCount: number
}

function startOf(options: VerifyOptions, archives: readonly StatedArchive[]): Walk {
  return {
    options,
    next: 0,
    range: EMPTY_RANGE,
    prev: NO_ENTRY,
    time: '',
    origin: null,
    key: options.trustKey,
    rootAtExpected: null,
    evidence: noEvidenceSeen(),
    archived: noArchivedSeen(archives),
    policies: new Map(),
    runs: new Map<string, OpenRun>(),
    approvals: new Map(),
    findings: [],
    findingCount: 0,
    remarks: [],
    remarkCount: 0,
  }
}

function visit(walk: Walk, stored: JournalEntry): void {
  const { seq } = stored
  if (seq !== walk.next) {
    const message =
      seq > walk.next ? `entries ${walk.next} to ${seq - 1} are missing` : 'comes twice'
    find(walk, { code: 'GAP', seq: Math.min(seq, walk.next), message })
  }
  if (stored.archived === true) {
    passArchived(walk.archived, seq)
    return advance(walk, seq, stored.leafHash)
  }
  const { body } = stored
  const leaf = leafHash(body)
  if (!leaf.equals(stored.leafHash)) {
    find(walk, { code: 'LEAF', seq, message: 'the stored leaf hash is not that of the body' })
  }
  const { entry, fault } = parseEntry(body)
  if (entry === undefined) find(walk, { code: 'ENCODING', seq, message: `the body ${fault}` })
  else checkPlace(walk, seq, entry)
  const signed = checkSigned(walk, stored)
  if (entry !== undefined) checkContent(walk, entry, stored.tokens)
  // A key that another one than its predecessor put in place signs nothing.
  if (entry !== undefined && signed && walk.key !== null) walk.key = nextKey(walk.key, entry)
  advance(walk, seq, leaf)
}

function advance(walk: Walk, seq: number, leaf: Hash): void {
  walk.next = seq + 1
  walk.prev = leaf
  walk.range = extend(walk.range, leaf)
  if (walk.range.size === walk.options.expected?.size) walk.rootAtExpected = rootOf(walk.range)
  noteHead(walk.archived, walk.range)
}

/** What binds an entry to its place: number, predecessor, genesis, time. */
function checkPlace(walk: Walk, seq: number, entry: Entry): void {
  if (entry.seq !== seq) {
    find(walk, { code: 'CHAIN', seq, message: `the body says it is entry ${entry.seq}` })
  }
  if (!entry.prev.equals(walk.prev)) {
    find(walk, { code: 'CHAIN', seq, message: 'prev is not the leaf hash of the entry before' })
  }
  if ((entry.type === 'genesis') !== (seq === 0)) {
    find(walk, { code: 'CHAIN', seq, message: 'the genesis is entry 0, and no other entry is one' })
  }
  if (entry.type === 'genesis' && seq === 0) takeGenesis(walk, entry)
  if (entry.time < walk.time) {
    find(walk, { code: 'TIME', seq, message: `its time is before that of the entry before` })
  }
  walk.time = entry.time
  const skew = Math.abs(Date.parse(entry.time) - Date.parse(entry.clock))
  if (skew > CLOCK_SKEW_MS) {
    const seconds = Math.round(skew / 1000)
    remark(walk, { code: 'CLOCK', seq, message: `the two clocks are ${seconds} s apart` })
  }
}

function takeGenesis(walk: Walk, genesis: Extract<Entry, { type: 'genesis' }>): void {
  walk.origin = genesis.origin
  if (walk.options.trustKey === null) {
    walk.key = parseVerifierKey(genesis.entryKey)
    return
  }
  if (walk.options.trustKey.name !== keyName(genesis.origin)) {
    const message = `the journal is ${genesis.origin}, and the trusted key belongs to another`
    find(walk, { code: 'ORIGIN', seq: 0, message })
  }
}

function checkSigned(walk: Walk, { seq, body, sig }: StoredEntry): boolean {
  const origin = walk.origin ?? originOf(walk.options.trustKey)
  if (walk.key !== null && origin !== null && checkSignature(walk.key, { origin, body, sig })) {
    return true
  }
  find(walk, { code: 'SIGNATURE', seq, message: 'the signature is not that of the entry key' })
  return false
}

/** The origin that a trusted key speaks for: needed when entry 0 cannot be read. */
function originOf(key: VerifierKey | null): string | null {
  return key === null ? null : key.name.replace(/\/entry$/, '')
}

function checkContent(walk: Walk, entry: Entry, tokens: StoredEntry['tokens']): void {
  const policy = checkPolicy(walk, entry)
  if (policy !== null) find(walk, { code: 'POLICY', seq: entry.seq, message: policy })
  const approval = checkApproval(walk, entry)
  if (approval !== null) find(walk, { code: 'APPROVAL', seq: entry.seq, message: approval })
  const totals = checkTotals(walk, entry)
  if (totals !== null) find(walk, { code: 'TOTALS', seq: entry.seq, message: totals })
  const evidence = checkEvidence(walk.evidence, entry, tokens)
  if (evidence !== null) find(walk, { code: 'EVIDENCE', seq: entry.seq, message: evidence })
  const archived = entry.type === 'archived' ? checkArchived(walk.archived, entry) : null
  if (archived !== null) find(walk, { code: 'ARCHIVE', seq: entry.seq, message: archived })
  if (entry.type === 'evidence-pruned') {
    const message = `the tokens of ${entry.batches} batches up to entry ${entry.to} were removed`
    remark(walk, { code: 'PRUNED', seq: entry.seq, message })
  }
}

/** What only the whole shows: is it as long as it says, and as somebody else remembers? */
function checkEnd(walk: Walk, claimed: number | null): void {
  const { expected } = walk.options
  const { size } = walk.range
  for (const seq of unexplained(walk.evidence)) {
    const message = 'its tokens are not stored, and no entry says that they were removed'
    find(walk, { code: 'EVIDENCE-MISSING', seq, message })
  }
  for (const { seq, message } of checkStated(walk.archived, size)) {
    find(walk, { code: 'ARCHIVE', seq, message })
  }
  const { seen, unsaid } = judgeArchived(walk.archived)
  if (unsaid !== null) find(walk, { code: 'ARCHIVE', ...unsaid })
  if (seen !== null) remark(walk, { code: 'ARCHIVED', ...seen })
  if (claimed !== null && claimed > size) {
    const message = `the head counts ${claimed} entries, and ${size} are there`
    find(walk, { code: 'TRUNCATED', seq: size, message })
  }
  if (expected === null) return
  if (size < expected.size) {
    const message = `${expected.size} entries are expected, and ${size} are there`
    find(walk, { code: 'TRUNCATED', seq: size, message })
  } else if (walk.rootAtExpected?.equals(expected.root) !== true) {
    const message = `the root of the first ${expected.size} entries is not the expected one`
    find(walk, { code: 'ROOT', seq: expected.size - 1, message })
  }
}

function reportOf(walk: Walk): VerifyReport {
  const { origin, options, findings, findingCount, remarks, remarkCount } = walk
  const given = options.trustKey === null ? 'journal' : 'given'
  return {
    verdict: verdictOf(walk),
    origin,
    head: { size: walk.range.size, root: rootOf(walk.range) },
    expected: options.expected,
    key: walk.key === null ? null : given,
    findings: findings.toSorted((one, other) => one.seq - other.seq),
    findingCount,
    remarks,
    remarkCount,
  }
}

/** A report with more findings: a journal that has one is tampered with. */
export function withFindings(report: VerifyReport, more: readonly Finding[]): VerifyReport {
  if (more.length === 0) return report
  return {
    ...report,
    verdict: 'tampered',
    findings: [...report.findings, ...more.slice(0, KEPT)].toSorted(
      (one, other) => one.seq - other.seq,
    ),
    findingCount: report.findingCount + more.length,
  }
}

function verdictOf({ findingCount, options }: Walk): Verdict {
  if (findingCount > 0) return 'tampered'
  return options.expected === null ? 'unanchored' : 'verified'
}

function find(walk: Walk, finding: Finding): void {
  walk.findingCount += 1
  if (walk.findings.length < KEPT) walk.findings.push(finding)
}

function remark(walk: Walk, one: Remark): void {
  walk.remarkCount += 1
  if (walk.remarks.length < KEPT) walk.remarks.push(one)
}
