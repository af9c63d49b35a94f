/**
 * What a certificate states of a run, of a period or of one record: a value, taken from the entries
 * while they are verified, so that what is certified is what was verified.
 */
import type { Action, Entry, TableRows } from './entry.ts'
import { parseEntry } from './entry.ts'
import type { RowKey } from './evidence.ts'
import { Leaves } from './leaves.ts'
import { leafHash, proveInclusion, type TreeHead } from './merkle.ts'
import { parseVerifierKey, type NoteSigned, type VerifierKey } from './note.ts'
import type { Proof, Proved, ProvedEntry } from './proof.ts'
import type { JournalEntry, JournalReader, StoredEntry } from './reader.ts'
import type { AnchorReport, Verdict } from './verify.ts'

type BatchEntry = Extract<Entry, { type: 'batch' }>
type PolicyEntry = Extract<Entry, { type: 'policy' }>
type RunEnd = Extract<Entry, { type: 'run'; phase: 'end' }>

/** What is certified. Days are those of the journal, UTC. */
export type Scope =
  | { readonly kind: 'run'; readonly run: string }
  | { readonly kind: 'period'; readonly from: string; readonly to: string }

/** What one version of a rule did to one table. */
export type CertifiedLine = {
  readonly rule: string
  readonly sha256: string
  readonly period: Pick<PolicyEntry, 'count' | 'unit'> | null
  readonly target: string
  readonly action: TableRows['action']
  readonly rows: number
  /** Time of the first and of the last batch. */
  readonly from: string
  readonly to: string
  /** Of the last batch: records that start on this day or later were kept. */
  readonly firstDayNotDue: string
  readonly masks: readonly string[]
  /** What can be shown of the rows: each of them, their number, or each in some batches only. */
  readonly evidence: 'rows' | 'count' | 'both'
}

export type CertifiedRun = {
  readonly run: string
  readonly trigger: string
  readonly startedAt: string
  readonly endedAt: string | null
  readonly outcome: RunEnd['outcome'] | null
}

/** What the operator adds: the journal knows neither names nor backups. */
export type Stated = {
  readonly controller: string | null
  readonly system: string | null
  /** Days for which backups are kept; null if nobody said so. */
  readonly backupDays: number | null
  readonly issuedAt: string
}

/** A checkpoint as a bound in time. */
export type Bound = {
  readonly size: number
  /** Of the last entry that it covers, by the database; null if that is not at hand. */
  readonly time: string | null
  /** Who saw it, and when, by their own clocks. */
  readonly cosigned: readonly Cosigned[]
}

export type Cosigned = { readonly name: string; readonly at: string }

export type Certificate = Stated & {
  /** Unique by construction: the origin, and what of it is certified. */
  readonly number: string
  readonly scope: Scope | { readonly kind: 'record'; readonly key: RowKey; readonly target: string }
  readonly origin: string
  /** Name and version of the program that began the journal. */
  readonly product: string
  readonly entryKeyId: string
  /** System identifiers of the database clusters. */
  readonly databases: readonly string[]
  readonly lines: readonly CertifiedLine[]
  readonly runs: readonly CertifiedRun[]
  /** When the database was restored to a state before some of this: its rows were there again. */
  readonly restoredAt: readonly string[]
  readonly verdict: Verdict | 'proved'
  readonly head: TreeHead
  readonly anchors: AnchorReport | null
  /** The checkpoints between which it was journalled; null where there is none, or it is not known. */
  readonly bounds: { readonly before: Bound | null; readonly after: Bound | null }
  /** The signed note that covers what is certified; null if none was signed since. */
  readonly checkpoint: string | null
  /** The entries that state it, each with its way to the root of the checkpoint. */
  readonly entries: readonly ProvedEntry[]
  /** Texts of the rules that are at hand, by digest. */
  readonly rules: ReadonlyMap<string, string>
}

/** What is gathered while the entries pass by. */
export type Gathered = {
  readonly scope: Scope
  origin: string
  product: string
  entryKeyId: string
  /** As the journal names them. */
  readonly checkpointKeys: VerifierKey[]
  readonly leaves: Leaves
  /** Of each entry; empty where there is none at hand. */
  readonly times: string[]
  readonly policies: Map<number, PolicyEntry>
  readonly databases: Set<string>
  readonly lines: Map<string, CertifiedLine>
  readonly runs: Map<string, CertifiedRun>
  /** Restores: to how many entries, and when that was noticed. */
  readonly restores: { readonly size: number; readonly time: string }[]
  /** The first entry that is certified; -1 if there is none. */
  first: number
  lastBatch: number
  /** The bodies of what was journalled before then were not there, or not all; null: all were. */
  archivedUntil: string | null
  /** The entries that state what is certified: beginning and end of a run, or the last of a period. */
  readonly stating: StoredEntry[]
}

export function gatheringOf(scope: Scope): Gathered {
  return {
    scope,
    origin: '',
    product: '',
    entryKeyId: '',
    checkpointKeys: [],
    leaves: new Leaves(),
    times: [],
    policies: new Map(),
    databases: new Set(),
    lines: new Map(),
    runs: new Map(),
    restores: [],
    first: -1,
    lastBatch: -1,
    archivedUntil: null,
    stating: [],
  }
}

/** A journal whose entries are gathered as they are read. */
export function gathering<R extends JournalReader>(reader: R, gathered: Gathered): R {
  return { ...reader, entries: (tokens) => passing(reader.entries(tokens), gathered) }
}

async function* passing(
  entries: AsyncIterable<JournalEntry>,
  gathered: Gathered,
): AsyncGenerator<JournalEntry, void> {
  let archived = false
  for await (const stored of entries) {
    if (stored.archived === true) {
      archived = true
      gathered.leaves.push(stored.leafHash)
      gathered.times.push('')
      yield stored
      continue
    }
    gathered.leaves.push(leafHash(stored.body))
    const { entry } = parseEntry(stored.body)
    gathered.times.push(entry?.time ?? '')
    // What cannot be read, the verification finds.
    if (entry !== undefined) {
      if (archived) gathered.archivedUntil = entry.time
      archived = false
      gather(gathered, stored, entry)
    }
    yield stored
  }
}

function gather(gathered: Gathered, stored: StoredEntry, entry: Entry): void {
  if (entry.type === 'genesis') {
    gathered.origin = entry.origin
    gathered.product = entry.product
    gathered.entryKeyId = keyIdOf(entry.entryKey)
  }
  if (entry.type === 'keys' && entry.use === 'entry') gathered.entryKeyId = keyIdOf(entry.key)
  if (entry.type === 'keys' && entry.use === 'checkpoint') {
    const key = parseVerifierKey(entry.key)
    if (key !== null) gathered.checkpointKeys.push(key)
  }
  if (entry.type === 'policy') gathered.policies.set(entry.seq, entry)
  if (entry.type === 'recovered') gathered.restores.push({ size: entry.size, time: entry.time })
  if (!isIn(gathered.scope, entry)) return
  if (gathered.first < 0) gathered.first = entry.seq
  if (entry.type === 'batch') {
    gathered.databases.add(entry.db.sysid)
    gathered.lastBatch = entry.seq
    addBatch(gathered, entry)
  }
  if (entry.type === 'run') addRun(gathered, entry)
  const { scope, stating } = gathered
  // A copy: what is read may be a view of a larger chunk.
  const kept = { ...stored, body: Buffer.from(stored.body) }
  if (scope.kind === 'run' ? entry.type === 'run' : true) {
    if (scope.kind === 'period') stating.length = 0
    stating.push(kept)
  }
}

function keyIdOf(vkey: string): string {
  return parseVerifierKey(vkey)?.keyId.toString('hex') ?? ''
}

function isIn(scope: Scope, entry: Entry): boolean {
  if (scope.kind === 'run') {
    return (entry.type === 'batch' || entry.type === 'run') && entry.run === scope.run
  }
  const day = entry.time.slice(0, 10)
  return day >= scope.from && day <= scope.to
}

function addBatch({ lines, policies }: Gathered, batch: BatchEntry): void {
  for (const line of linesOf(batch, policies.get(batch.policy.seq) ?? null)) {
    const key = JSON.stringify([line.sha256, line.target, line.action])
    const before = lines.get(key)
    const together = before === undefined || before.evidence === line.evidence
    lines.set(key, {
      ...line,
      rows: line.rows + (before?.rows ?? 0),
      from: before?.from ?? line.from,
      evidence: together ? line.evidence : 'both',
    })
  }
}

function linesOf(batch: BatchEntry, policy: PolicyEntry | null): readonly CertifiedLine[] {
  const { time, policy: reference, target, action, rows, children, evidence } = batch
  return [{ target, action, rows }, ...children].map((part) => ({
    rule: reference.rule,
    sha256: reference.sha256,
    period: policy,
    target: part.target,
    action: part.action,
    rows: part.rows,
    from: time,
    to: time,
    firstDayNotDue: batch.firstDayNotDue,
    masks: part.target === target ? (policy?.masks ?? []) : [],
    evidence: evidence.alg === 'pj1' && part.action !== 'detach' ? 'rows' : 'count',
  }))
}

function addRun({ runs }: Gathered, entry: Extract<Entry, { type: 'run' }>): void {
  const { run, time } = entry
  if (entry.phase === 'start') {
    const { trigger } = entry
    runs.set(run, { run, trigger, startedAt: time, endedAt: null, outcome: null })
    return
  }
  const begun = runs.get(run) ?? { run, trigger: '', startedAt: '' }
  runs.set(run, { ...begun, endedAt: time, outcome: entry.outcome })
}

/** What was found of a journal when the certificate was issued. */
export type Verified = Pick<Certificate, 'verdict' | 'head' | 'anchors' | 'rules'> & {
  /** Signed notes that hold. */
  readonly notes: readonly HeldNote[]
}

export type HeldNote = {
  readonly size: number
  readonly note: string
  /** By witnesses that are trusted. */
  readonly cosigned: readonly Cosigned[]
}

/** Certifies what was gathered. */
export async function certify(
  gathered: Gathered,
  { notes, ...verified }: Verified,
  stated: Stated,
): Promise<Certificate> {
  const { scope, origin, leaves, stating } = gathered
  const last = stating.at(-1)?.seq ?? 0
  // The first that covers it: nearer in time than any later one.
  const bySize = together(notes)
  const covering = bySize.find(({ size }) => size > last)
  const before = bySize.findLast(({ size }) => size <= gathered.first)
  const entries: ProvedEntry[] = []
  for (const { seq, body, sig } of covering === undefined ? [] : stating) {
    entries.push({
      seq,
      body,
      sig,
      path: await proveInclusion(leaves.nodes, seq, covering?.size ?? 0),
    })
  }
  const what = scope.kind === 'run' ? `run:${scope.run}` : `${scope.from}..${scope.to}`
  return {
    ...verified,
    ...stated,
    number: `${origin}#${what}`,
    scope,
    origin,
    product: gathered.product,
    entryKeyId: gathered.entryKeyId,
    databases: [...gathered.databases],
    lines: [...gathered.lines.values()],
    runs: [...gathered.runs.values()],
    restoredAt: gathered.restores.flatMap(({ size, time }) =>
      size <= gathered.lastBatch ? [time] : [],
    ),
    bounds: {
      before: before === undefined ? null : boundOf(before, gathered),
      after: covering === undefined || last === 0 ? null : boundOf(covering, gathered),
    },
    checkpoint: covering?.note ?? null,
    entries,
  }
}

/** One note of each size, that of most signatures, the smallest size first. */
function together(notes: readonly HeldNote[]): readonly HeldNote[] {
  const bySize = new Map<number, HeldNote>()
  for (const each of notes) {
    const known = bySize.get(each.size)
    if (known === undefined || each.cosigned.length > known.cosigned.length) {
      bySize.set(each.size, each)
    }
  }
  return [...bySize.values()].toSorted((one, other) => one.size - other.size)
}

function boundOf({ size, cosigned }: HeldNote, { times }: Gathered): Bound {
  return { size, time: times[size - 1] || null, cosigned }
}

/** Who cosigned a note, of those that signed it. */
export function cosignedBy(signed: readonly NoteSigned[]): readonly Cosigned[] {
  return signed.flatMap(({ key, time }) =>
    time === null ? [] : [{ name: key.name, at: new Date(time * 1000).toISOString() }],
  )
}

/** Certifies one record by its proof, which was checked. */
export function certifyRecord(
  proof: Proof,
  { key, target, action, batch, policy, head, signed }: Proved,
  stated: Stated & Pick<Certificate, 'rules' | 'origin'>,
): Certificate {
  const lines = linesOf(batch, policy).filter(
    (line) => line.target === target && line.action === action,
  )
  return {
    ...stated,
    number: `${stated.origin}#${batch.seq}`,
    scope: { kind: 'record', key, target },
    product: '',
    entryKeyId: proof.batch.sig.subarray(0, 4).toString('hex'),
    databases: [batch.db.sysid],
    lines: lines.slice(0, 1).map((line) => ({ ...line, rows: 1 })),
    runs: [],
    restoredAt: [],
    verdict: 'proved',
    head,
    anchors: null,
    bounds: {
      before: null,
      after: { size: head.size, time: null, cosigned: cosignedBy(signed) },
    },
    checkpoint: proof.checkpoint,
    entries: [proof.batch, proof.policy],
  }
}

/** The actions of a certificate, without the rows that only lost a link. */
export function actionsOf({ lines }: Pick<Certificate, 'lines'>): ReadonlySet<Action> {
  return new Set(lines.flatMap(({ action }) => (action === 'detach' ? [] : [action])))
}
