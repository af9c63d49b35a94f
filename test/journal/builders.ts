import type { Clock } from '../../src/base/clock.ts'
import { encodeEntry, type EntryDraft, type Position } from '../../src/journal/entry.ts'
import {
  EMPTY_RANGE,
  extend,
  leafHash,
  NO_ENTRY,
  rootOf,
  type TreeHead,
} from '../../src/journal/merkle.ts'
import { signerOf, type Signer } from '../../src/journal/signature.ts'
import type { JournalReader, StoredEntry } from '../../src/journal/reader.ts'
import type { VerifyReport } from '../../src/journal/verify.ts'

export const fixedClock: Clock = {
  now: () => new Date('2026-11-22T12:00:00.250Z'),
  monotonicMs: () => 0,
}

/** The Ed25519 key of RFC 8032, section 7.1, test 1: everybody's, so fit for vectors. */
export const TEST_PEM = pem('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60')
/** Test 2 of the same section. */
export const OTHER_PEM = pem('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb')

export const testSigner = requireSigner(TEST_PEM)
export const otherSigner = requireSigner(OTHER_PEM)

export const ORIGIN = 'example.test/purge/1f0c77a2'
export const RUN = '6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d00'
export const DIGEST = 'ab'.repeat(32)

export function genesis(signer: Signer = testSigner, origin = ORIGIN): EntryDraft {
  const log = origin.slice(-8)
  return { type: 'genesis', origin, log, product: 'retentiond test', entryKey: signer.vkey(origin) }
}

export const policy: Extract<EntryDraft, { type: 'policy' }> = {
  type: 'policy',
  rule: 'site-connection',
  sha256: DIGEST,
  set: 'cd'.repeat(32),
  target: 'site.connection',
  count: 12,
  unit: 'month',
  action: 'purge',
  masks: [],
  archives: [],
}

export const runStart: Extract<EntryDraft, { phase: 'start' }> = {
  type: 'run',
  phase: 'start',
  run: RUN,
  trigger: 'schedule',
  plan: 'ef'.repeat(32),
  policySet: 'cd'.repeat(32),
  cutoff: '2026-11-22T12:00:00.123456Z',
  clockAccepted: false,
}

export function batch(
  changes: Partial<Extract<EntryDraft, { type: 'batch' }>> = {},
): Extract<EntryDraft, { type: 'batch' }> {
  return {
    type: 'batch',
    run: RUN,
    batch: '0e3c2c1a-72a8-4a52-8f0e-5b2f4a9c6d11',
    policy: { rule: 'site-connection', sha256: DIGEST, seq: 1 },
    target: 'site.connection',
    action: 'purge',
    method: 'sql-delete',
    reason: 'schedule',
    day: '2026-11-22',
    firstDayNotDue: '2025-11-22',
    children: [],
    rows: 100,
    evidence: { alg: 'count' },
    ...changes,
  }
}

export function runEnd(
  changes: Partial<Extract<EntryDraft, { phase: 'end' }>> = {},
): Extract<EntryDraft, { phase: 'end' }> {
  return {
    type: 'run',
    phase: 'end',
    run: RUN,
    outcome: 'done',
    totals: [{ target: 'site.connection', action: 'purge', rows: 100 }],
    ...changes,
  }
}

/** A small journal that has everything: a policy, a run with two batches and a child, its end. */
export const SMALL_JOURNAL: readonly EntryDraft[] = [
  genesis(),
  policy,
  runStart,
  batch({ children: [{ target: 'site.event', action: 'purge', rows: 7 }] }),
  batch({ batch: '0e3c2c1a-72a8-4a52-8f0e-5b2f4a9c6d12', rows: 40 }),
  runEnd({
    totals: [
      { target: 'site.connection', action: 'purge', rows: 140 },
      { target: 'site.event', action: 'purge', rows: 7 },
    ],
  }),
]

export function positionOf(changes: Partial<Position> = {}): Position {
  return {
    seq: 0,
    prev: NO_ENTRY,
    time: '2026-11-22T12:00:00.000000Z',
    clock: '2026-11-22T12:00:00.250Z',
    db: { sysid: '7711079735163709739', tli: '00000001', lsn: 'E/758F83A0', xid: '54951' },
    ...changes,
  }
}

const NOON = Date.parse('2026-11-22T12:00:00Z')

export type JournalOptions = {
  readonly signer?: Signer
  readonly origin?: string
  /** Signs the entries from this number on. */
  readonly rotated?: { readonly from: number; readonly signer: Signer }
  /** Changes the place of one entry before it is signed. */
  readonly place?: (position: Position) => Position
}

/** Writes a journal in memory as the database would, signing each entry in its place. */
export function journalOf(
  drafts: readonly EntryDraft[],
  {
    signer = testSigner,
    origin = ORIGIN,
    rotated,
    place = (position) => position,
  }: JournalOptions = {},
): StoredEntry[] {
  const entries: StoredEntry[] = []
  for (const draft of drafts) {
    const seq = entries.length
    const time = new Date(NOON + seq * 1000).toISOString().replace('Z', '000Z')
    const prev = entries.at(-1)?.leafHash ?? NO_ENTRY
    const by = rotated !== undefined && seq >= rotated.from ? rotated.signer : signer
    const body = encodeEntry(draft, place(positionOf({ seq, prev, time })))
    entries.push(sealed(seq, body, { signer: by, origin }))
  }
  return entries
}

/** Stores any bytes as an entry, correctly signed and hashed. */
export function sealed(
  seq: number,
  body: Buffer,
  { signer = testSigner, origin = ORIGIN }: Pick<JournalOptions, 'signer' | 'origin'> = {},
): StoredEntry {
  return { seq, body, sig: signer.sign(origin, body), leafHash: leafHash(body) }
}

export function readerOf(
  entries: readonly StoredEntry[],
  size: number | null = null,
): JournalReader {
  return {
    size: async () => size,
    entries: async function* list() {
      yield* entries
    },
  }
}

/** The tree head that somebody kept of a journal in memory. */
export function headOf(entries: readonly StoredEntry[]): TreeHead {
  const range = entries.reduce((grown, { body }) => extend(grown, leafHash(body)), EMPTY_RANGE)
  return { size: range.size, root: rootOf(range) }
}

/** What was found, in the words of a report: `3 LEAF`. */
export function codes({ findings }: VerifyReport): readonly string[] {
  return findings.map(({ seq, code }) => `${seq} ${code}`)
}

function requireSigner(text: string): Signer {
  const signer = signerOf(text)
  if (signer === null) throw new Error('the test key is no Ed25519 key')
  return signer
}

/** PKCS#8 is a fixed prefix before the 32 bytes of an Ed25519 seed (RFC 8410, section 7). */
function pem(seedHex: string): string {
  const der = Buffer.from(`302e020100300506032b657004220420${seedHex}`, 'hex')
  return `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`
}
