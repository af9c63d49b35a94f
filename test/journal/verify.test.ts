import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeEntry, parseEntry } from '../../src/journal/entry.ts'
import { leafHash, NO_ENTRY } from '../../src/journal/merkle.ts'
import { parseVerifierKey, type VerifierKey } from '../../src/journal/note.ts'
import { checkSignature } from '../../src/journal/signature.ts'
import type { StoredEntry } from '../../src/journal/reader.ts'
import {
  exitOf,
  readGenesis,
  verify,
  type VerifyOptions,
  type VerifyReport,
} from '../../src/journal/verify.ts'
import {
  codes,
  genesis,
  headOf,
  journalOf,
  ORIGIN,
  otherSigner,
  policy,
  positionOf,
  readerOf,
  RUN,
  runStart,
  sealed,
  SMALL_JOURNAL,
  testSigner,
} from './builders.ts'

const untouched = journalOf(SMALL_JOURNAL)

async function report(
  entries: readonly StoredEntry[],
  options: Partial<VerifyOptions> = {},
): Promise<VerifyReport> {
  return verify(readerOf(entries), { trustKey: null, expected: headOf(untouched), ...options })
}

function keyOf(vkey: string): VerifierKey {
  const key = parseVerifierKey(vkey)
  if (key === null) throw new Error('not a verifier key')
  return key
}

/** The journal with one entry replaced. */
function withEntry(seq: number, changed: StoredEntry): readonly StoredEntry[] {
  return untouched.map((entry) => (entry.seq === seq ? changed : entry))
}

function at(seq: number): StoredEntry {
  const entry = untouched[seq]
  if (entry === undefined) throw new Error(`no entry ${seq}`)
  return entry
}

/** Body of an entry with one text replaced by another of any length. */
function edited(seq: number, from: string, to: string): Buffer {
  const text = at(seq).body.toString()
  if (!text.includes(from)) throw new Error(`entry ${seq} does not hold ${from}`)
  return Buffer.from(text.replace(from, to))
}

test('an untouched journal is verified against its head as kept elsewhere', async () => {
  const seen = await report(untouched)

  expect(seen).toEqual({
    verdict: 'verified',
    origin: ORIGIN,
    head: headOf(untouched),
    expected: headOf(untouched),
    key: 'journal',
    findings: [],
    findingCount: 0,
    remarks: [],
    remarkCount: 0,
  })
  expect(exitOf(seen.verdict)).toBe(0)
})

test('an untouched journal without an outside head is unanchored, never verified', async () => {
  const seen = await report(untouched, { expected: null })

  expect(seen).toMatchObject({ verdict: 'unanchored', findings: [] })
  expect(exitOf(seen.verdict)).toBe(3)
})

test('a journal that grew since its head was kept is verified', async () => {
  const seen = await report(untouched, { expected: headOf(untouched.slice(0, 4)) })

  expect(seen).toMatchObject({ verdict: 'verified', head: { size: 6 }, expected: { size: 4 } })
})

test('a given key is used, and the report says so', async () => {
  const seen = await report(untouched, { trustKey: keyOf(testSigner.vkey(ORIGIN)) })

  expect(seen).toMatchObject({ verdict: 'verified', key: 'given' })
})

test('one changed byte under the old leaf hash is found at its entry', async () => {
  const body = edited(3, '"rows":100', '"rows":101')

  const seen = await report(withEntry(3, { ...at(3), body }))

  expect(seen.verdict).toBe('tampered')
  expect(exitOf(seen.verdict)).toBe(1)
  expect(codes(seen)).toEqual(['3 LEAF', '3 SIGNATURE', '4 CHAIN', '5 TOTALS', '5 ROOT'])
})

test('one changed byte with its leaf hash made anew is found by signature, chain and root', async () => {
  const body = edited(3, '"rows":100', '"rows":101')

  const seen = await report(withEntry(3, { ...at(3), body, leafHash: leafHash(body) }))

  expect(codes(seen)).toEqual(['3 SIGNATURE', '4 CHAIN', '5 TOTALS', '5 ROOT'])
})

test('a changed leaf hash is found even if the body is untouched', async () => {
  const seen = await report(withEntry(3, { ...at(3), leafHash: NO_ENTRY }))

  expect(codes(seen)).toEqual(['3 LEAF'])
})

test('a journal rewritten whole with a stolen key differs from the root kept elsewhere', async () => {
  const drafts = SMALL_JOURNAL.map((draft) =>
    draft.type === 'genesis' ? { ...draft, product: 'other' } : draft,
  )

  const seen = await report(journalOf(drafts))

  expect(codes(seen)).toEqual(['5 ROOT'])
})

test('a journal rewritten whole with another key fails the trusted key from its first entry', async () => {
  const drafts = [genesis(otherSigner), ...SMALL_JOURNAL.slice(1)]
  const rewritten = journalOf(drafts, { signer: otherSigner })

  const seen = await report(rewritten, { trustKey: keyOf(testSigner.vkey(ORIGIN)), expected: null })

  expect(seen.verdict).toBe('tampered')
  expect(seen.findings[0]).toMatchObject({ seq: 0, code: 'SIGNATURE' })
})

test('a journal dropped and begun anew is of another origin than the trusted key', async () => {
  const anew = 'example.test/purge/00000001'
  const entries = journalOf([genesis(testSigner, anew)], { origin: anew })

  const seen = await report(entries, { trustKey: keyOf(testSigner.vkey(ORIGIN)), expected: null })

  expect(seen.verdict).toBe('tampered')
  expect(seen.findings[0]).toMatchObject({ seq: 0, code: 'ORIGIN' })
})

test('a cut tail is found by the head kept elsewhere, at the first missing entry', async () => {
  const seen = await report(untouched.slice(0, 4))

  expect(codes(seen)).toEqual(['4 TRUNCATED'])
})

test('a cut tail is found by the head row if that was forgotten', async () => {
  const reader = readerOf(untouched.slice(0, 4), 6)

  const seen = await verify(reader, { trustKey: null, expected: null })

  expect(codes(seen)).toEqual(['4 TRUNCATED'])
})

test('a cut tail with nothing kept elsewhere is unanchored, and its run has no end', async () => {
  const seen = await report(untouched.slice(0, 4), { expected: null })

  expect(seen).toMatchObject({ verdict: 'unanchored', findings: [] })
  expect(seen.remarks).toEqual([{ code: 'UNFINISHED', seq: 2, message: `run ${RUN} has no end` }])
})

test('a deleted entry is a gap, named by its number', async () => {
  const seen = await report(untouched.filter(({ seq }) => seq !== 3))

  expect(codes(seen).slice(0, 2)).toEqual(['3 GAP', '4 CHAIN'])
})

test('a deleted entry whose successors were renumbered breaks the chain', async () => {
  const renumbered = untouched
    .filter(({ seq }) => seq !== 3)
    .map((entry, seq) => ({ ...entry, seq }))

  const seen = await report(renumbered)

  expect(seen.findings[0]).toMatchObject({ seq: 3, code: 'CHAIN' })
})

test('an entry that comes twice is found', async () => {
  const seen = await report([...untouched.slice(0, 4), at(3), ...untouched.slice(4)])

  expect(seen.findings[0]).toMatchObject({ seq: 3, code: 'GAP', message: 'comes twice' })
})

test('two neighbours that were swapped break the chain', async () => {
  const swapped = withEntry(3, { ...at(4), seq: 3 }).map((entry) =>
    entry.seq === 4 ? { ...at(3), seq: 4 } : entry,
  )

  const seen = await report(swapped)

  expect(seen.findings[0]).toMatchObject({ seq: 3, code: 'CHAIN' })
})

test('a forged entry at the end lacks the signature of the entry key', async () => {
  const longer = journalOf([...SMALL_JOURNAL, { ...runStart, run: RUN.replace('6b', '7b') }])
  const forged = longer.map((entry) =>
    entry.seq === 6 ? { ...entry, sig: otherSigner.sign(ORIGIN, entry.body) } : entry,
  )

  const seen = await report(forged)

  expect(codes(seen)).toEqual(['6 SIGNATURE'])
})

test('an entry whose body says another number is found though its chain is whole', async () => {
  const entries = journalOf(SMALL_JOURNAL, {
    place: (position) => (position.seq === 3 ? { ...position, seq: 30 } : position),
  })

  const seen = await report(entries, { expected: headOf(entries) })

  expect(codes(seen)).toEqual(['3 CHAIN'])
})

test('what the whole shows is listed among the entries, by number', async () => {
  const late = withEntry(5, { ...at(5), leafHash: NO_ENTRY })

  const seen = await report(late, { expected: { size: 4, root: NO_ENTRY } })

  expect(codes(seen)).toEqual(['3 ROOT', '5 LEAF'])
})

test('an entry of another journal, signed by the same key, is refused here', async () => {
  const { body } = at(4)

  const seen = await report(
    withEntry(4, sealed(4, body, { origin: 'example.test/purge/00000001' })),
  )

  expect(codes(seen)).toEqual(['4 SIGNATURE'])
})

test.for([
  ['a repeated key', '"rows":100', '"rows":1,"rows":100'],
  ['white space', '"rows":100', '"rows": 100'],
  ['an unknown key', '"rows":100', '"rows":100,"why":"x"'],
])('an entry with %s is refused though it is signed', async ([, from, to]) => {
  const seen = await report(withEntry(3, sealed(3, edited(3, from ?? '', to ?? ''))))

  expect(seen.findings[0]).toMatchObject({ seq: 3, code: 'ENCODING' })
})

test('time that runs backward is found', async () => {
  const entries = journalOf(SMALL_JOURNAL, {
    place: (position) =>
      position.seq === 3 ? { ...position, time: '2026-11-22T11:59:59.999999Z' } : position,
  })

  const seen = await report(entries, { expected: headOf(entries) })

  expect(codes(seen)).toEqual(['3 TIME'])
})

test('clocks more than 300 s apart are remarked, and prove nothing', async () => {
  const apart = (clock: string) =>
    journalOf([genesis(), policy], {
      place: (position) =>
        position.seq === 1 ? { ...position, time: '2026-11-22T12:00:01.000000Z', clock } : position,
    })
  const within = apart('2026-11-22T12:05:01.000Z')
  const beyond = apart('2026-11-22T12:05:01.001Z')

  expect(await report(within, { expected: headOf(within) })).toMatchObject({
    verdict: 'verified',
    remarks: [],
  })
  expect(await report(beyond, { expected: headOf(beyond) })).toMatchObject({
    verdict: 'verified',
    remarks: [{ code: 'CLOCK', seq: 1, message: 'the two clocks are 300 s apart' }],
  })
})

test('a journal that does not begin with its genesis is found', async () => {
  const entries = journalOf([policy, genesis()])

  const seen = await report(entries, { trustKey: keyOf(testSigner.vkey(ORIGIN)), expected: null })

  expect(codes(seen)).toEqual(['0 CHAIN', '1 CHAIN'])
})

test('a journal without entries is never verified', async () => {
  expect(await report([], { expected: null })).toMatchObject({
    verdict: 'unanchored',
    origin: null,
  })
  expect(codes(await report([]))).toEqual(['0 TRUNCATED'])
})

test('a ruined journal is reported by its first hundred findings and their number', async () => {
  const entries = journalOf([genesis(), ...Array.from({ length: 300 }, () => policy)])
  const ruined = entries.map((entry) => ({ ...entry, leafHash: NO_ENTRY }))

  const seen = await report(ruined, { expected: null })

  expect(seen.findingCount).toBe(301)
  expect(seen.findings).toHaveLength(100)
})

test('entry 0 names the origin and key that single entries are checked with, and no other does', () => {
  const { body, sig } = at(3)
  const named = readGenesis(at(0).body)

  expect(named?.origin).toBe(ORIGIN)
  expect(named?.key).toEqual(keyOf(testSigner.vkey(ORIGIN)))
  expect(checkSignature(keyOf(testSigner.vkey(ORIGIN)), { origin: ORIGIN, body, sig })).toBe(true)
  expect(readGenesis(body)).toBeNull()
})

test('any one changed bit anywhere in an anchored journal is found', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(untouched.length - 1),
      fc.constantFrom('body' as const, 'sig' as const, 'leafHash' as const),
      fc.nat(),
      async (seq, part, place) => {
        const bytes = Buffer.from(at(seq)[part])
        const bit = place % (bytes.length * 8)
        bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)

        const seen = await report(withEntry(seq, { ...at(seq), [part]: bytes }))

        expect(seen.verdict).toBe('tampered')
        expect(seen.findings[0]?.seq).toBe(seq)
      },
    ),
  )
})

test('the entries of a journal in memory are those of the encoder', () => {
  const [first] = untouched
  expect(first?.body).toEqual(encodeEntry(genesis(), positionOf()))
  expect(untouched.every(({ body }) => parseEntry(body).fault === undefined)).toBe(true)
})

const rotation = { type: 'keys', use: 'entry', key: otherSigner.vkey(ORIGIN) } as const

test('after a rotation the new key signs, and the first key is the one to know', async () => {
  const drafts = [genesis(), rotation, policy, runStart]
  const entries = journalOf(drafts, { rotated: { from: 2, signer: otherSigner } })
  const expected = headOf(entries)

  expect(await report(entries, { expected })).toMatchObject({ verdict: 'verified' })
  expect(
    await report(entries, { expected, trustKey: keyOf(testSigner.vkey(ORIGIN)) }),
  ).toMatchObject({ verdict: 'verified', key: 'given' })
})

test('an entry that the old key signed after a rotation is found', async () => {
  const entries = journalOf([genesis(), rotation, policy, runStart])

  expect(codes(await report(entries, { expected: headOf(entries) }))).toEqual([
    '2 SIGNATURE',
    '3 SIGNATURE',
  ])
})

test('a rotation that another key than the one in use signed changes nothing', async () => {
  const entries = journalOf([genesis(), rotation, policy], {
    rotated: { from: 1, signer: otherSigner },
  })

  expect(codes(await report(entries, { expected: headOf(entries) }))).toEqual([
    '1 SIGNATURE',
    '2 SIGNATURE',
  ])
})
