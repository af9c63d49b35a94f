import { expect, test } from 'vitest'
import { signCheckpoint } from '../../src/journal/checkpoint.ts'
import { EvidenceKey, tokensOf, type RowKey } from '../../src/journal/evidence.ts'
import { leafHash, nodesOf } from '../../src/journal/merkle.ts'
import { noteSignerOf, type NoteSigner } from '../../src/journal/note.ts'
import { checkProof, parseProof, printProof, type Proof } from '../../src/journal/proof.ts'
import { proveRow } from '../../src/journal/prove.ts'
import { parseTrust, type Trust } from '../../src/journal/trust.ts'
import {
  batch,
  genesis,
  headOf,
  journalOf,
  ORIGIN,
  OTHER_PEM,
  policy,
  runStart,
  testSigner,
  TEST_PEM,
} from './builders.ts'

function noteSigner(pem: string): NoteSigner {
  const signer = noteSignerOf(pem)
  if (signer === null) throw new Error('the test key is no Ed25519 key')
  return signer
}

function trusting(file: string): Trust {
  const read = parseTrust(file)
  if (read.fault !== undefined) throw new Error(read.fault)
  return read.trust
}

const KEY = new EvidenceKey('ek-2026', Buffer.alloc(32, 7))
const SIGNER = noteSigner(OTHER_PEM)
const TRUST = trusting(`# ours\nlog ${SIGNER.vkey(ORIGIN)}\nlog ${testSigner.vkey(ORIGIN)}\n`)
const keysTo = (count: number): readonly RowKey[] =>
  Array.from({ length: count }, (_, index) => [`key ${index + 1}`, 'Zoë "\u001f'])
const NAME = { origin: ORIGIN, batch: batch().batch }
const { tokens, roots } = await tokensOf(KEY, NAME, [keysTo(300), keysTo(3)])
const root = (at: number) => roots[at] as Buffer
const ENTRIES = journalOf([
  genesis(),
  policy,
  { type: 'keys', use: 'evidence', key: KEY.id, check: KEY.check },
  runStart,
  batch({
    rows: 300,
    children: [
      { target: 'site.stays', action: 'detach', rows: 9 },
      { target: 'site.event', action: 'purge', rows: 3, root: root(1) },
    ],
    evidence: { alg: 'pj1', key: KEY.id, root: root(0) },
  }),
])
const NOTE = signCheckpoint(SIGNER, ORIGIN, headOf(ENTRIES))

async function made(target: string, key: RowKey, note = NOTE, evidence = KEY) {
  const source = {
    backwards: async function* list() {
      yield* ENTRIES.toReversed()
    },
    entry: async (seq: number) => ENTRIES[seq] ?? null,
    tokens: async (seq: number) => (seq === 4 ? tokens : null),
    nodes: nodesOf(ENTRIES.map(({ body }) => leafHash(body))),
  }
  const wanted = { origin: ORIGIN, target, key }
  return proveRow(source, evidence, wanted, { notes: [note], keys: TRUST.log })
}

async function proofOf(position: number, target = 'site.connection'): Promise<Proof> {
  const { proof } = (await made(target, keysTo(300)[position] as RowKey)) as { proof: Proof }
  return proof
}

const codeOf = (proof: Proof, trust = TRUST) => checkProof(proof, trust).fault?.code

test('a row that went is proved from its file alone, in its table and with its policy', async () => {
  for (const position of [0, 255, 256, 299]) {
    const read = parseProof(printProof(await proofOf(position)))
    expect(read === null ? null : checkProof(read, TRUST)).toMatchObject({
      proved: {
        key: keysTo(300)[position],
        target: 'site.connection',
        action: 'purge',
        policy: { rule: 'site-connection' },
        head: { size: 5 },
      },
    })
  }
  const child = await proofOf(2, 'site.event')
  expect(child.part).toBe(2)
  expect(checkProof(child, TRUST)).toMatchObject({ proved: { target: 'site.event' } })
})

test('J-T45: a row without a token, or a token without a checkpoint, makes no proof', async () => {
  const early = signCheckpoint(SIGNER, ORIGIN, headOf(ENTRIES.slice(0, 4)))
  const otherKey = new EvidenceKey('ek-2026', Buffer.alloc(32, 8))

  expect(await made('site.connection', ['never'])).toEqual({ fault: 'nothing' })
  expect(await made('site.other', ['key 1', 'Zoë "\u001f'])).toEqual({ fault: 'nothing' })
  const key = keysTo(1)[0] as RowKey
  expect(await made('site.connection', key, NOTE, otherKey)).toEqual({ fault: 'nothing' })
  expect(await made('site.connection', key, early)).toEqual({ fault: 'uncovered' })
})

test('J-T46: a proof with another key, blind, tile, place, entry or checkpoint proves nothing', async () => {
  const proof = await proofOf(7)
  const { opened } = proof
  const other = await proofOf(299)
  const flipped = Buffer.from(opened.tile)
  flipped.writeUInt8(flipped.readUInt8(9) ^ 1, 9)
  const body = Buffer.from(proof.batch.body.toString().replace('"rows":300', '"rows":301'))
  const forged = NOTE.replace('\n5\n', '\n6\n')

  expect(codeOf({ ...proof, key: ['key 9', 'x'] })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, part: 2 })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, part: 1 })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, opened: { ...opened, blind: other.opened.blind } })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, opened: { ...opened, tile: other.opened.tile } })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, opened: { ...opened, tile: flipped } })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, opened: { ...opened, position: 8 } })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, opened: { ...opened, position: 300 } })).toBe('EVIDENCE')
  expect(codeOf({ ...proof, batch: { ...proof.batch, body } })).toBe('ROOT')
  expect(codeOf({ ...proof, batch: proof.policy })).toBe('ENCODING')
  expect(codeOf({ ...proof, policy: proof.batch })).toBe('POLICY')
  const sig = Buffer.from(proof.batch.sig)
  sig.writeUInt8(sig.readUInt8(60) ^ 1, 60)
  expect(codeOf({ ...proof, batch: { ...proof.batch, sig } })).toBe('SIGNATURE')
  expect(codeOf({ ...proof, checkpoint: forged })).toBe('SIGNATURE')
  const shorter = signCheckpoint(SIGNER, ORIGIN, headOf(ENTRIES.slice(0, 4)))
  expect(codeOf({ ...proof, checkpoint: shorter })).toBe('ROOT')
  const unknown = signCheckpoint(noteSigner(TEST_PEM), ORIGIN, headOf(ENTRIES))
  expect(codeOf({ ...proof, checkpoint: unknown })).toBe('KEY')
})

test('J-T47: the proof of one row holds the key and the blind of no other', async () => {
  const file = printProof(await proofOf(7))
  const blinds = KEY.blinds(NAME, 303)

  for (let at = 0; at < 303; at += 1) {
    const blind = blinds.subarray(at * 32, at * 32 + 32).toString('base64')
    expect(file.includes(blind)).toBe(at === 7)
  }
  expect(file.match(/key \d+/g)).toEqual(['key 8'])
})

test('J-T26: a proof in another spelling is malformed', async () => {
  const file = printProof(await proofOf(7))
  const blind = (await proofOf(7)).opened.blind.toString('base64')

  expect(parseProof(file)).not.toBeNull()
  expect(parseProof(file.replace(blind, blind.slice(0, -1)))).toBeNull()
  expect(parseProof(file.replace(blind, blind.replace(/.=$/, 'B=')))).toBeNull()
  expect(parseProof(file.replace('"v": 1', '"v":1'))).toBeNull()
  expect(parseProof(file.replace('"part": 0', '"part": 1,\n    "part": 0'))).toBeNull()
  expect(parseProof(file.replace('"part": 0', '"part": 0,\n    "more": 0'))).toBeNull()
  expect(parseProof('{')).toBeNull()
})

test('J-T27: a trust file without a checkpoint key, of two journals or with an unknown line is refused', () => {
  const log = `log ${SIGNER.vkey(ORIGIN)}\n`

  expect(parseTrust('').fault).toContain('no checkpoint key')
  expect(parseTrust(`log ${testSigner.vkey(ORIGIN)}\n`).fault).toContain('no checkpoint key')
  expect(parseTrust(`${log}log ${SIGNER.vkey(`${ORIGIN}x`)}\n`).fault).toContain('more than one')
  expect(parseTrust(`${log}sigsum ${SIGNER.vkey('w')}\n`).fault).toContain('line 2 is none of')
  expect(parseTrust(`${log}log ${ORIGIN}\n`).fault).toContain('line 2 names no verifier key')
  expect(parseTrust(`${log}quorum none\n`).fault).toBeUndefined()
})
