/**
 * What the journal can say. One entry is one line of UTF-8 JSON with a fixed key order; its bytes
 * are made once, then signed, stored, hashed and exported as they are (docs/journal-format.md).
 */
import { Bug, RefusedError } from '../base/errors.ts'
import { NO_ENTRY, type Hash, type TreeHead } from './merkle.ts'
import { shaped, type ShapeFault } from './shape.ts'
import { fromWire, toWire, wireEntry } from './wire.ts'

export type Action = 'purge' | 'anonymise' | 'block'

/** Why a run acts. An enum, never free text: free text is where personal data gets in. */
export type Trigger = 'schedule' | 'manual' | 'request'

export type RunOutcome =
  | 'done'
  | 'partial'
  | 'refused'
  | 'stopped'
  | 'clock'
  | 'catalog'
  | 'lease'
  | 'failed'
  | 'interrupted'

/** Rows of one table acted on: in a batch for a child, in a run for every table. */
export type TableRows = {
  readonly target: string
  /** `detach`: rows that stay, whose link to a row acted on became null. */
  readonly action: Action | 'detach'
  readonly rows: number
}

/** Rows of a child; with the root over their tokens if the batch keeps evidence of rows. */
export type ChildRows = TableRows & { readonly root?: Hash }

/** What a batch can show of its rows later: their number, or each of them. */
export type BatchEvidence =
  | { readonly alg: 'count' }
  /** `key` names the evidence key; `root` is over the tokens of the governed table. */
  | { readonly alg: 'pj1'; readonly key: string; readonly root: Hash }

/** The policy entry that a batch rests on. */
export type PolicyReference = {
  readonly rule: string
  /** Digest of the rule, hexadecimal. */
  readonly sha256: string
  /** Sequence number of the policy entry. */
  readonly seq: number
}

/** What a writer wants to say; `seq`, `prev`, `time`, `clock` and `db` are added under the head lock. */
export type EntryDraft =
  | {
      readonly type: 'genesis'
      readonly origin: string
      readonly log: string
      readonly product: string
      readonly entryKey: string
      /** The journal that this one takes the place of, as far as it was known outside. */
      readonly previous?: Previous
    }
  | {
      readonly type: 'policy'
      readonly rule: string
      readonly sha256: string
      /** Digest of the whole policy set. */
      readonly set: string
      readonly target: string
      readonly count: number
      readonly unit: 'day' | 'week' | 'month' | 'year'
      readonly action: Action
      /** `column:strategy`, for an anonymisation; never a mask's literal. */
      readonly masks: readonly string[]
      /** Where a block moves the rows of each table: both names as `schema.name`. */
      readonly archives: readonly { readonly target: string; readonly archive: string }[]
    }
  | {
      readonly type: 'approval'
      readonly phase: 'given' | 'revoked'
      readonly rule: string
      /** Digest of its body (table retentiond.approval); who gave it is not said. */
      readonly approval: string
    }
  | {
      readonly type: 'run'
      readonly phase: 'start'
      readonly run: string
      readonly trigger: Trigger
      /** Digest of the plan, hexadecimal. */
      readonly plan: string
      readonly policySet: string
      readonly cutoff: string
      /** A person said that the long silence before this run is in order. */
      readonly clockAccepted: boolean
    }
  | {
      readonly type: 'run'
      readonly phase: 'end'
      readonly run: string
      readonly outcome: RunOutcome
      readonly totals: readonly TableRows[]
    }
  | {
      readonly type: 'batch'
      readonly run: string
      readonly batch: string
      readonly policy: PolicyReference
      readonly target: string
      readonly action: Action
      readonly method: 'sql-delete' | 'sql-update' | 'sql-move' | 'sql-drop'
      readonly reason: Trigger
      /** The rule's today, YYYY-MM-DD. */
      readonly day: string
      readonly firstDayNotDue: string
      readonly children: readonly ChildRows[]
      readonly rows: number
      readonly evidence: BatchEvidence
    }
  | HoldDraft
  | KeysDraft
  /** Nothing happened for a day: silence becomes visible. */
  | { readonly type: 'heartbeat' }
  /** The tokens of the batches from `from` to `to` were removed, and of how many. */
  | {
      readonly type: 'evidence-pruned'
      readonly from: number
      readonly to: number
      readonly batches: number
    }
  /**
   * The bodies of `entries` batches, runs and heartbeats from `from` to `to` were archived, behind the
   * checkpoint of this size and root; their leaf hashes stay.
   */
  | ArchivedDraft
  /** Nobody can open a token of this key any more. */
  | { readonly type: 'evidence-key-destroyed'; readonly key: string }
  | RecoveredDraft

export type ArchivedDraft = TreeHead & {
  readonly type: 'archived'
  readonly from: number
  readonly to: number
  readonly entries: number
}

/** Why a journal came to an end, and another one takes its place. */
export type WhySucceeded = 'key-lost' | 'key-stolen' | 'restored' | 'other'

export type Previous = TreeHead & { readonly origin: string; readonly why: WhySucceeded }

/**
 * A person looked at a database that was restored or moved, and said that the journal goes on here:
 * with entries of an archive, in another cluster, or as it is, since nothing outside remembers it.
 */
export type RecoveredDraft = {
  readonly type: 'recovered'
  readonly why: 'archive' | 'cluster' | 'trusted'
  /** Entries that the database came back with, and how many were appended again. */
  readonly size: number
  readonly entries: number
  /** Where the newest of them had been written. */
  readonly was: Omit<DatabasePosition, 'xid'>
}

/**
 * A key comes into use, or takes the place of the one before: an entry key for the entries after
 * this one, a checkpoint key for checkpoints that cover this one. Signed by the key in use before.
 */
export type KeysDraft =
  | {
      readonly type: 'keys'
      readonly use: 'entry' | 'checkpoint'
      /** Verifier key. */
      readonly key: string
    }
  /** An evidence key is secret: only its id is named, and a value that tells it from others. */
  | {
      readonly type: 'keys'
      readonly use: 'evidence'
      readonly key: string
      readonly check: string
    }

/** A hold placed or lifted: its number, case and scope. Never the key, the subject or the person. */
export type HoldDraft = {
  readonly type: 'hold'
  readonly phase: 'placed' | 'lifted'
  readonly hold: number
  /** Digest of the case reference, hexadecimal: a reference may be a name. */
  readonly caseDigest: string
  readonly scope: 'rule' | 'subject' | 'row'
  /** The rule's id, or the table of the row; null for a subject. */
  readonly target: string | null
}

/** Where the database stood when an entry was written: it explains a restore, it proves nothing. */
export type DatabasePosition = {
  /** System identifier of the cluster. */
  readonly sysid: string
  /** Timeline, eight hexadecimal digits. */
  readonly tli: string
  /** Insert position in the write-ahead log. */
  readonly lsn: string
  readonly xid: string
}

/** What an entry gets from its place in the journal. */
export type Position = {
  readonly seq: number
  /** Leaf hash of the entry before; `NO_ENTRY` for entry 0. */
  readonly prev: Hash
  /** Database time with microseconds, UTC; never before that of the entry before. */
  readonly time: string
  /** The daemon's wall clock with milliseconds, UTC. */
  readonly clock: string
  readonly db: DatabasePosition
}

export type Entry = Position & EntryDraft

/** An entry, or what is wrong with its bytes. The fault names keys, never values. */
export type ReadEntry =
  | { readonly entry: Entry; readonly fault?: undefined }
  | { readonly entry?: undefined; readonly fault: string }

/** Most bytes of a body: the limit of tlog-tiles, so that a journal can be published in that form. */
export const MAX_BODY_BYTES = 65_535

/** The widest position there can be, to measure a draft before its place is known. */
const WIDEST: Position = {
  seq: Number.MAX_SAFE_INTEGER,
  prev: NO_ENTRY,
  time: '9999-12-31T23:59:59.999999Z',
  clock: '9999-12-31T23:59:59.999Z',
  db: {
    sysid: '18446744073709551615',
    tli: 'FFFFFFFF',
    lsn: 'FFFFFFFF/FFFFFFFF',
    xid: '18446744073709551615',
  },
}

/** Makes the bytes of an entry: the only encoding there is. */
export function encodeEntry(draft: EntryDraft, position: Position): Buffer {
  const wire = shaped(wireEntry, toWire({ ...position, ...draft }))
  if (wire.fault !== undefined) {
    throw new Bug(`a ${draft.type} entry breaks the schema of the journal at ${wire.fault.at}`)
  }
  const body = Buffer.from(JSON.stringify(wire.value))
  if (body.length > MAX_BODY_BYTES) {
    throw new RefusedError(
      `a ${draft.type} entry of ${body.length} bytes is too long: the journal takes ${MAX_BODY_BYTES}`,
      { remedy: 'split the policy: it names too many tables or columns for one entry' },
    )
  }
  return body
}

/**
 * Throws if the draft cannot become an entry, wherever it would stand. To be asked before anything
 * is destroyed: inside the transaction it would cost the batch.
 */
export function requireEncodable(draft: EntryDraft): void {
  encodeEntry(draft, WIDEST)
}

/**
 * Reads the bytes of an entry. Accepts exactly what `encodeEntry` makes: no unknown or repeated key,
 * no other order, no white space, so that one leaf has one reading.
 */
export function parseEntry(body: Uint8Array): ReadEntry {
  if (body.length > MAX_BODY_BYTES) return { fault: `is longer than ${MAX_BODY_BYTES} bytes` }
  const text = decode(body)
  if (text === null) return { fault: 'is not UTF-8' }
  const json = parseJson(text)
  if (json === undefined) return { fault: 'is not JSON' }
  const wire = shaped(wireEntry, json)
  if (wire.fault !== undefined) return { fault: explain(wire.fault) }
  if (JSON.stringify(wire.value) !== text) return { fault: 'is not in the canonical spelling' }
  return { entry: fromWire(wire.value) }
}

function explain({ at, unknownKey }: ShapeFault): string {
  const place = at === '' ? 'the entry' : at
  return unknownKey ? `has an unknown key in ${place}` : `breaks the schema at ${place}`
}

function decode(body: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    // Fatal decoding has one reason to throw, which the caller names.
    return null
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's message would quote the text.
    return undefined
  }
}
