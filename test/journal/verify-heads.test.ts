import { createHash, generateKeyPairSync, sign as signBytes, type KeyObject } from 'node:crypto'
import { expect, test } from 'vitest'
import { printCheckpoint, signCheckpoint } from '../../src/journal/checkpoint.ts'
import { NO_ENTRY, type TreeHead } from '../../src/journal/merkle.ts'
import { noteSignerOf, parseNote, parseVerifierKey, printNote } from '../../src/journal/note.ts'
import { bestFirst, withCosignatures } from '../../src/journal/stored-checkpoints.ts'
import { hasQuorum, parseTrust, type Trust } from '../../src/journal/trust.ts'
import { verifyHeads, type HeadsOptions, type KeptNote } from '../../src/journal/verify-heads.ts'
import type { StoredEntry } from '../../src/journal/reader.ts'
import { exitOf } from '../../src/journal/verify.ts'
import type { EntryDraft } from '../../src/journal/entry.ts'
import {
  batch,
  codes,
  genesis,
  headOf,
  journalOf,
  ORIGIN,
  OTHER_PEM,
  otherSigner,
  policy,
  readerOf,
  runEnd,
  runStart,
  testSigner,
} from './builders.ts'

function noteSigner(pem: string) {
  const signer = noteSignerOf(pem)
  if (signer === null) throw new Error('the test key is no Ed25519 key')
  return signer
}

const LOG = noteSigner(OTHER_PEM)
const STRANGER = noteSigner(newPem())
const NEXT = noteSigner(newPem())
const NOW = Date.parse('2026-11-22T13:00:00Z')
const HOUR = 3_600_000

const DRAFTS: readonly EntryDraft[] = [
  genesis(),
  { type: 'keys', use: 'checkpoint', key: LOG.vkey(ORIGIN) },
  { ...policy },
  runStart,
  batch({ policy: { rule: 'site-connection', sha256: policy.sha256, seq: 2 } }),
  runEnd(),
  { type: 'heartbeat' },
]
const ENTRIES = journalOf(DRAFTS)

const TRUST = trusting(`log ${LOG.vkey(ORIGIN)}\nlog ${testSigner.vkey(ORIGIN)}\n`)
const LOG_ONLY = trusting(`log ${LOG.vkey(ORIGIN)}\n`)

function trusting(file: string): Trust {
  const read = parseTrust(file)
  if (read.fault !== undefined) throw new Error(read.fault)
  return read.trust
}

const noteOf = (entries: readonly StoredEntry[], signer = LOG, name = 'anchor'): KeptNote => ({
  name,
  note: signCheckpoint(signer, ORIGIN, headOf(entries)),
})
const ANCHOR = noteOf(ENTRIES)

async function found(entries: readonly StoredEntry[], options: Partial<HeadsOptions> = {}) {
  return verifyHeads(readerOf(entries), {
    trustKey: null,
    expected: null,
    trust: TRUST,
    anchors: [ANCHOR],
    ...options,
  })
}

const REWRITTEN = DRAFTS.map((draft) =>
  draft.type === 'batch' ? { ...draft, rows: draft.rows - 1 } : draft,
)

test('J-T1: an untouched journal is verified against a checkpoint that was kept elsewhere', async () => {
  const early = noteOf(ENTRIES.slice(0, 3), LOG, 'early')
  for (const trust of [TRUST, LOG_ONLY, null]) {
    const report = await found(ENTRIES, { trust, anchors: [ANCHOR, early] })
    expect(report).toMatchObject({ verdict: 'verified', findings: [], anchors: { count: 2 } })
    expect(report.anchors?.newest).toMatchObject({ size: 7, where: 'anchor' })
  }
})

test('J-T2: a trust file without a checkpoint kept elsewhere verifies nothing', async () => {
  const report = await found(ENTRIES, { anchors: [] })

  expect(report).toMatchObject({ verdict: 'unanchored', anchors: { count: 0, newest: null } })
  expect(exitOf(report.verdict)).toBe(3)
})

test('J-T4: a journal rewritten whole differs from the checkpoint, with whatever key', async () => {
  const honest = journalOf(REWRITTEN)
  const forged = journalOf([genesis(otherSigner), ...REWRITTEN.slice(1)], { signer: otherSigner })

  expect(codes(await found(honest))).toEqual(['5 TOTALS', '6 ROOT'])
  expect(codes(await found(forged))).toEqual(expect.arrayContaining(['0 SIGNATURE', '6 ROOT']))
  expect(codes(await found(forged, { trust: LOG_ONLY }))).toEqual(['5 TOTALS', '6 ROOT'])
})

test('J-T7: a journal that is shorter than a checkpoint kept elsewhere was cut off', async () => {
  expect(codes(await found(ENTRIES.slice(0, 4)))).toEqual(['6 TRUNCATED'])
})

test('J-T5: a stored checkpoint that is no head of the entries, or that nobody known signed, is found', async () => {
  const stored = async (note: string) =>
    codes(
      await verifyHeads(
        {
          ...readerOf(ENTRIES),
          checkpoints: async function* list() {
            yield { name: '3', note }
          },
        },
        { trustKey: null, expected: headOf(ENTRIES) },
      ),
    )
  const head: TreeHead = { size: 3, root: NO_ENTRY }

  expect(await stored(noteOf(ENTRIES.slice(0, 3)).note)).toEqual([])
  expect(await stored(signCheckpoint(LOG, ORIGIN, head))).toEqual(['2 ROOT'])
  expect(await stored(signCheckpoint(STRANGER, ORIGIN, headOf(ENTRIES)))).toEqual(['3 SIGNATURE'])
  expect(await stored(signCheckpoint(LOG, ORIGIN, { size: 9, root: NO_ENTRY }))).toEqual([
    '8 TRUNCATED',
  ])
  expect(await stored('nonsense')).toEqual(['3 SIGNATURE'])
})

test('J-T22: a checkpoint of an unknown key is worth nothing, beside a known one it does no harm', async () => {
  const unknown = noteOf(ENTRIES, STRANGER)
  const both = printNote({
    text: parseNote(ANCHOR.note)?.text ?? '',
    signatures: [unknown, ANCHOR].flatMap(({ note }) => parseNote(note)?.signatures ?? []),
  })

  expect(codes(await found(ENTRIES, { anchors: [unknown] }))).toEqual(['6 KEY'])
  expect(await found(ENTRIES, { anchors: [{ name: 'both', note: both }] })).toMatchObject({
    verdict: 'verified',
  })
})

test('J-T23: a checkpoint with a broken signature of a known key is refused whole', async () => {
  const name = ORIGIN
  const [good] = parseNote(ANCHOR.note)?.signatures ?? []
  const bytes = Buffer.from(good?.bytes ?? Buffer.alloc(68))
  bytes.writeUInt8(bytes.readUInt8(50) ^ 1, 50)
  const signatures = [...(good === undefined ? [] : [good]), { name, bytes }]
  const note = printNote({ text: parseNote(ANCHOR.note)?.text ?? '', signatures })

  expect(codes(await found(ENTRIES, { anchors: [{ name: 'broken', note }] }))).toEqual([
    '6 SIGNATURE',
  ])
})

test('J-T24: two checkpoints of one size with different roots are a fork, and both are shown', async () => {
  const other = { name: 'other', note: signCheckpoint(LOG, ORIGIN, { size: 7, root: NO_ENTRY }) }

  const report = await found(ENTRIES, { anchors: [ANCHOR, other] })

  expect(codes(report)).toEqual(['6 FORK', '6 ROOT'])
  const [fork] = report.findings
  expect(fork?.message).toContain(`7:${headOf(ENTRIES).root.toString('base64')} in anchor`)
  expect(fork?.message).toContain(`7:${NO_ENTRY.toString('base64')} in other`)
})

test('J-T25: a checkpoint with a line more is an anchor, and the line is remarked', async () => {
  const text = `${printCheckpoint(ORIGIN, headOf(ENTRIES))}more\n`
  const signatures = [{ name: ORIGIN, bytes: LOG.sign(ORIGIN, Buffer.from(text)) }]

  const report = await found(ENTRIES, {
    anchors: [{ name: 'long', note: printNote({ text, signatures }) }],
  })

  expect(report).toMatchObject({ verdict: 'verified', remarks: [{ code: 'EXTENSION' }] })
})

test('J-T37: a journal begun anew is of another origin than the trust file', async () => {
  const origin = 'example.test/purge/00000001'
  const anew = journalOf([genesis(testSigner, origin), policy], { origin })

  for (const trust of [TRUST, LOG_ONLY]) {
    expect(codes(await found(anew, { trust, anchors: [] }))).toContain('0 ORIGIN')
  }
})

test('J-T49: a later checkpoint key is believed if a trusted one leads to it', async () => {
  const rotation: EntryDraft = { type: 'keys', use: 'checkpoint', key: NEXT.vkey(ORIGIN) }
  const entries = journalOf([...DRAFTS, rotation, { type: 'heartbeat' }])
  const later = noteOf(entries, NEXT, 'later')
  const between = noteOf(entries.slice(0, 8), LOG, 'between')

  // The first entry key signed the entry that names it; or a head of the old key covers that entry.
  expect(await found(entries, { anchors: [later] })).toMatchObject({ verdict: 'verified' })
  expect(codes(await found(entries, { trust: LOG_ONLY, anchors: [later] }))).toEqual(['8 KEY'])
  expect(await found(entries, { trust: LOG_ONLY, anchors: [later, between] })).toMatchObject({
    verdict: 'verified',
  })
})

test('J-T51: a newest checkpoint that is older than was asked for is stale', async () => {
  const at = async (hours: number, options: Partial<HeadsOptions> = {}) =>
    found(ENTRIES, { age: { mostMs: 26 * HOUR, nowMs: NOW + hours * HOUR }, ...options })

  expect(await at(24)).toMatchObject({
    verdict: 'verified',
    anchors: { newestAt: '2026-11-22T12:00:06.000Z' },
  })
  const late = await at(30)
  expect(late.verdict).toBe('stale')
  expect(exitOf(late.verdict)).toBe(3)
  expect(await at(30, { anchors: [], expected: headOf(ENTRIES) })).toMatchObject({
    verdict: 'stale',
  })
  expect(await at(30, { anchors: [] })).toMatchObject({ verdict: 'unanchored' })
  // A fault is a fault however old its evidence.
  expect(
    (
      await verifyHeads(readerOf(ENTRIES.slice(0, 4)), {
        trustKey: null,
        expected: null,
        anchors: [ANCHOR],
        age: { mostMs: 1, nowMs: NOW },
      })
    ).verdict,
  ).toBe('tampered')
})

/** A witness: its verifier key, and what it adds to a note. */
function witness(name: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const bytes = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  const id = createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.of(4))
    .update(bytes)
    .digest()
    .subarray(0, 4)
  const vkey = `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(4), bytes]).toString('base64')}`
  return {
    name,
    vkey,
    cosign: (note: string, seconds: number) => cosigned(note, { name, id, privateKey, seconds }),
  }
}

type Cosigner = { name: string; id: Buffer; privateKey: KeyObject; seconds: number }

function cosigned(note: string, { name, id, privateKey, seconds }: Cosigner): string {
  const text = parseNote(note)?.text ?? ''
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(seconds))
  const said = Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`)
  const bytes = Buffer.concat([id, time, signBytes(null, said, privateKey)])
  return `${note}— ${name} ${bytes.toString('base64')}\n`
}

const W1 = witness('w1.example')
const W2 = witness('w2.example')

test('a checkpoint anchors only with the cosignatures that the trust file asks for', async () => {
  const lines = `log ${LOG.vkey(ORIGIN)}\nwitness w1 ${W1.vkey} https://w1.example\nwitness w2 ${W2.vkey}\n`
  const all = trusting(`${lines}group both all w1 w2\nquorum both\n`)
  const any = trusting(`${lines}group either any w1 w2\nquorum either\n`)
  const seconds = (NOW + 20 * HOUR) / 1000
  const one = { ...ANCHOR, note: W1.cosign(ANCHOR.note, seconds) }
  const two = { ...ANCHOR, note: W2.cosign(one.note, seconds) }

  expect(await found(ENTRIES, { trust: all, anchors: [one] })).toMatchObject({
    verdict: 'unanchored',
    remarks: [{ code: 'QUORUM' }],
  })
  expect(await found(ENTRIES, { trust: all, anchors: [two] })).toMatchObject({
    verdict: 'verified',
  })
  expect(await found(ENTRIES, { trust: any, anchors: [ANCHOR] })).toMatchObject({
    verdict: 'unanchored',
  })
  // A cosignature says when: the checkpoint is as young as that.
  const age = { mostMs: 26 * HOUR, nowMs: NOW + 40 * HOUR }
  expect(await found(ENTRIES, { trust: any, anchors: [one], age })).toMatchObject({
    verdict: 'verified',
  })
  const forged = { ...one, note: one.note.replace(/.{6}\n$/, 'AAAA==\n') }
  expect(codes(await found(ENTRIES, { trust: any, anchors: [forged] }))).toEqual(['6 SIGNATURE'])
})

test('a checkpoint of its own that witnesses cosigned shows what they saw, and no more', async () => {
  const one = trusting(`log ${LOG.vkey(ORIGIN)}\nwitness w1 ${W1.vkey}\nquorum w1\n`)
  const seconds = (NOW + 20 * HOUR) / 1000
  const cosigned = W1.cosign(ANCHOR.note, seconds)
  const own = async (note: string, trust: Trust, entries: readonly StoredEntry[] = ENTRIES) =>
    verifyHeads(
      {
        ...readerOf(entries),
        checkpoints: async function* notes() {
          yield { name: '7', note }
        },
      },
      { trustKey: null, expected: null, trust },
    )

  expect(await own(cosigned, one)).toMatchObject({
    verdict: 'verified',
    anchors: {
      newest: { where: 'checkpoint 7' },
      newestAt: new Date(seconds * 1000).toISOString(),
    },
  })
  expect(await own(cosigned, LOG_ONLY)).toMatchObject({ verdict: 'unanchored' })
  expect(await own(ANCHOR.note, one)).toMatchObject({ verdict: 'unanchored', remarks: [] })
  expect(await own(cosigned.replace(/.{6}\n$/, 'AAAA==\n'), one)).toMatchObject({
    verdict: 'unanchored',
  })
  expect(codes(await own(cosigned, one, ENTRIES.slice(0, 5)))).toContain('6 TRUNCATED')
})

test('signatures of witnesses go along with a checkpoint, and nothing else that sinks gave back', () => {
  const line = (note: string) => note.slice(ANCHOR.note.length)
  const one = line(W1.cosign(ANCHOR.note, 1))
  const two = line(W2.cosign(ANCHOR.note, 2))
  const own = ANCHOR.note.slice(ANCHOR.note.indexOf('— '))
  const worse = ['— nobody\n', `${one}${two}`, own, 'AAAA', `${one}\n`]

  expect(withCosignatures(ANCHOR.note, [one, two, one, ...worse])).toBe(
    `${ANCHOR.note}${one}${two}`,
  )
  const notes = [
    { size: 9, note: ANCHOR.note },
    { size: 5, note: `${ANCHOR.note}${one}` },
    { size: 7, note: `${ANCHOR.note}${two}` },
  ]
  expect(bestFirst(notes).map(({ size }) => size)).toEqual([7, 5, 9])
})

test('a trust file says who has to have seen a checkpoint, and nothing that means nothing', () => {
  const log = `log ${LOG.vkey(ORIGIN)}\n`
  const named = `${log}witness w1 ${W1.vkey}\nwitness w2 ${W2.vkey}\n`
  const key = parseVerifierKey(W1.vkey)
  const trust = trusting(`${named}group g 2 w1 w2\ngroup h any g w1\nquorum h\n`)

  expect(key === null ? null : hasQuorum(trust, [{ key, time: 1 }])).toBe(true)
  expect(parseTrust(named).fault).toContain('no line says which quorum')
  expect(parseTrust(`${named}quorum w3\n`).fault).toContain('line 4 asks for a quorum')
  expect(parseTrust(`${named}quorum w1\nquorum w2\n`).fault).toContain('second quorum')
  expect(parseTrust(`${named}group g 3 w1 w2\n`).fault).toContain('more members than it has')
  expect(parseTrust(`${named}group g 0 w1 w2\n`).fault).toContain('or for none')
  expect(parseTrust(`${named}group g all w1 w1\n`).fault).toContain('one twice')
  expect(parseTrust(`${named}group w1 all w2\n`).fault).toContain('gives a name twice')
  expect(parseTrust(`${named}witness w3 ${W1.vkey}\n`).fault).toContain('a second time')
  expect(parseTrust(`${log}witness w1 ${LOG.vkey(ORIGIN)}\n`).fault).toContain('no verifier key')
})

function newPem(): string {
  return generateKeyPairSync('ed25519')
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()
}
