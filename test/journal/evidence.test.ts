import { createCipheriv, createHash, createHmac } from 'node:crypto'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  EvidenceKey,
  openToken,
  rootOfTokens,
  tokenOf,
  tokensOf,
  TOKEN_BYTES,
  type RowKey,
} from '../../src/journal/evidence.ts'
import { checkInclusion, leafHash } from '../../src/journal/merkle.ts'
import type { JournalReader, StoredEntry } from '../../src/journal/reader.ts'
import { exitOf, verify } from '../../src/journal/verify.ts'
import type { EntryDraft } from '../../src/journal/entry.ts'
import {
  batch,
  codes,
  genesis,
  headOf,
  journalOf,
  ORIGIN,
  policy,
  readerOf,
  runEnd,
  runStart,
} from './builders.ts'

const SECRET = Buffer.alloc(32, 7)
const KEY = new EvidenceKey('ek-2026', SECRET)
const NAME = { origin: ORIGIN, batch: batch().batch }
const keysTo = (count: number): readonly RowKey[] =>
  Array.from({ length: count }, (_, index) => [String(index + 1)])

const sha256 = (...parts: readonly (string | Uint8Array)[]) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

test('a token is made step by step as the format says', async () => {
  const { tokens } = await tokensOf(KEY, NAME, [[['1', 'Zoë "\u001f']], [['2']]])

  const batchKey = createHmac('sha256', SECRET)
    .update(`pj1/batch\n${ORIGIN}\n${NAME.batch}`)
    .digest()
  const stream = createCipheriv('aes-256-ctr', batchKey, Buffer.alloc(16)).update(Buffer.alloc(64))
  expect(tokens).toEqual(
    Buffer.concat([
      sha256(Buffer.of(0), stream.subarray(0, 32), JSON.stringify(['1', 'Zoë "\u001f'])),
      sha256(Buffer.of(0), stream.subarray(32), JSON.stringify(['2'])),
    ]),
  )
  expect(KEY.check).toBe(sha256('pj1/kcv\n', SECRET).toString('base64'))
})

test('the tokens of a table are rooted in tiles of 256', async () => {
  const { tokens, roots } = await tokensOf(KEY, NAME, [keysTo(257)])
  const tiles = [tokens.subarray(0, 8192), tokens.subarray(8192)].map(leafHash)

  expect(roots).toEqual([sha256(Buffer.of(1), ...tiles)])
  expect(rootOfTokens(tokens.subarray(0, 32))).toEqual(leafHash(tokens.subarray(0, 32)))
})

test('every row of a batch is opened at its place, and no other row is', async () => {
  const [own, child] = [keysTo(600), keysTo(3)]
  const { tokens, roots } = await tokensOf(KEY, NAME, [own, child])
  const blinds = KEY.blinds(NAME, 603)
  const parts = [
    { from: 0, rows: 600 },
    { from: 600, rows: 3 },
  ]
  for (const [table, part] of parts.entries()) {
    for (const position of table === 0 ? [0, 255, 256, 511, 512, 599] : [0, 1, 2]) {
      const opened = await openToken(blinds, tokens, part, [String(position + 1)])
      expect(opened?.position).toBe(position)
      const at = (position % 256) * TOKEN_BYTES
      expect(tokenOf(opened?.blind as Buffer, [String(position + 1)])).toEqual(
        opened?.tile.subarray(at, at + TOKEN_BYTES),
      )
      expect(
        checkInclusion({
          leaf: leafHash(opened?.tile as Buffer),
          index: Math.floor(position / 256),
          size: Math.ceil(part.rows / 256),
          root: roots[table] as Buffer,
          path: opened?.path ?? [],
        }),
      ).toBe(true)
    }
    expect(await openToken(blinds, tokens, part, ['601'])).toBeNull()
  }
})

test('the same row has other tokens in another batch, journal or key, and none is a hash of its key', async () => {
  const text = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 })
  await fc.assert(
    fc.asyncProperty(text, async (key) => {
      const made = await Promise.all([
        tokensOf(KEY, NAME, [[key]]),
        tokensOf(KEY, { ...NAME, batch: NAME.batch.replace('0', '1') }, [[key]]),
        tokensOf(KEY, { ...NAME, origin: `${ORIGIN}x` }, [[key]]),
        tokensOf(new EvidenceKey('ek-2026', Buffer.alloc(32, 8)), NAME, [[key]]),
      ])
      const others = made.map(({ tokens }) => tokens.toString('hex'))
      expect(new Set(others).size).toBe(4)
      expect(others).not.toContain(sha256(JSON.stringify(key)).toString('hex'))
    }),
  )
})

test('an evidence key shows its id and check value, and nothing else', () => {
  const shown = JSON.stringify(KEY) + inspect(KEY, { showHidden: true, depth: 9 })

  expect(shown).toContain('ek-2026')
  expect(shown).not.toContain(SECRET.toString('hex'))
  expect(shown).not.toContain(SECRET.toString('base64'))
})

const announced: EntryDraft = {
  type: 'keys',
  use: 'evidence',
  key: KEY.id,
  check: KEY.check,
}
const FIRST = await tokensOf(KEY, NAME, [keysTo(100), keysTo(7)])
const SECOND = await tokensOf(KEY, { ...NAME, batch: NAME.batch.replace('11', '12') }, [keysTo(40)])
const root = (roots: readonly Buffer[], place: number) => roots[place] as Buffer

/** Two batches with their tokens: entries 4 and 5. */
function withEvidence(after: readonly EntryDraft[] = []): StoredEntry[] {
  const drafts: EntryDraft[] = [
    genesis(),
    policy,
    announced,
    runStart,
    batch({
      children: [{ target: 'site.event', action: 'purge', rows: 7, root: root(FIRST.roots, 1) }],
      evidence: { alg: 'pj1', key: KEY.id, root: root(FIRST.roots, 0) },
    }),
    batch({
      batch: NAME.batch.replace('11', '12'),
      rows: 40,
      evidence: { alg: 'pj1', key: KEY.id, root: root(SECOND.roots, 0) },
    }),
    runEnd({
      totals: [
        { target: 'site.connection', action: 'purge', rows: 140 },
        { target: 'site.event', action: 'purge', rows: 7 },
      ],
    }),
    ...after,
  ]
  return journalOf(drafts).map((entry, seq) => ({
    ...entry,
    tokens: seq === 4 ? FIRST.tokens : seq === 5 ? SECOND.tokens : null,
  }))
}

async function found(entries: readonly StoredEntry[]) {
  return verify(readerOf(entries), { trustKey: null, expected: headOf(entries) })
}

const changed = (seq: number, tokens: Buffer | null) =>
  withEvidence().map((entry) => (entry.seq === seq ? { ...entry, tokens } : entry))

test('tokens that are those of their entries verify, and so does a journal without them at hand', async () => {
  expect((await found(withEvidence())).verdict).toBe('verified')
  const unread = withEvidence().map(({ seq, body, sig, leafHash: leaf }) => {
    return { seq, body, sig, leafHash: leaf }
  })
  expect((await found(unread)).verdict).toBe('verified')
})

test('J-T16: one changed byte of the tokens is found at their entry, and all else holds', async () => {
  const tokens = Buffer.from(FIRST.tokens)
  tokens.writeUInt8(tokens.readUInt8(3300) ^ 1, 3300)

  expect(codes(await found(changed(4, tokens)))).toEqual(['4 EVIDENCE'])
})

test('J-T18: the tokens of two batches that changed places are found', async () => {
  const swapped = withEvidence().map((entry) =>
    entry.seq === 4 || entry.seq === 5
      ? { ...entry, tokens: entry.seq === 4 ? SECOND.tokens : FIRST.tokens }
      : entry,
  )

  expect(codes(await found(swapped))).toEqual(['4 EVIDENCE', '5 EVIDENCE'])
})

test('J-T17: tokens that are gone are found, unless the journal says that they were removed', async () => {
  expect(codes(await found(changed(5, null)))).toEqual(['5 EVIDENCE-MISSING'])

  const pruned = withEvidence([{ type: 'evidence-pruned', from: 4, to: 5, batches: 2 }]).map(
    (entry) => ({ ...entry, tokens: null }),
  )
  const report = await found(pruned)
  expect(exitOf(report.verdict)).toBe(0)
  expect(report.remarks).toMatchObject([{ code: 'PRUNED', seq: 7 }])
})

test('tokens that no entry names, a root left out and a key not in use are found', async () => {
  const named = { alg: 'pj1', key: 'ek-2026', root: root(SECOND.roots, 0) } as const
  const lines: readonly (readonly [EntryDraft, Buffer | null])[] = [
    [batch(), FIRST.tokens],
    [batch({ rows: 40, evidence: named }), SECOND.tokens],
    [batch({ children: [{ target: 'x.y', action: 'purge', rows: 1, root: named.root }] }), null],
  ]
  const entries = journalOf([genesis(), policy, runStart, ...lines.map(([draft]) => draft)]).map(
    (entry, seq) => ({ ...entry, tokens: lines[seq - 3]?.[1] ?? null }),
  )

  expect(codes(await found(entries))).toEqual(['3 EVIDENCE', '4 EVIDENCE', '5 EVIDENCE'])
})

test('tokens that are too many to be read are counted, unless every token is asked for', async () => {
  const entries = changed(4, Buffer.alloc(FIRST.tokens.length))
  const counted = entries.map(({ tokens, ...entry }) => ({
    ...entry,
    tokens: Buffer.isBuffer(tokens) ? { bytes: tokens.length } : null,
  }))
  const reader: JournalReader = {
    size: async () => null,
    tokenBytes: async () => 2_000_001 * 32,
    entries: async function* list(tokens) {
      yield* tokens === 'read' ? entries : counted
    },
  }
  const options = { trustKey: null, expected: headOf(entries) }

  const report = await verify(reader, options)
  expect(report.findings).toEqual([])
  expect(report.remarks).toMatchObject([{ code: 'UNREAD' }])
  expect(codes(await verify(reader, { ...options, everyToken: true }))).toEqual(['4 EVIDENCE'])

  const short = counted.map((entry) =>
    entry.seq === 5 ? { ...entry, tokens: { bytes: 32 } } : entry,
  )
  expect(
    codes(await verify({ ...reader, entries: () => readerOf(short).entries('left') }, options)),
  ).toEqual(['5 EVIDENCE'])
})
