import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Bug, RefusedError } from '../../src/base/errors.ts'
import {
  encodeEntry,
  MAX_BODY_BYTES,
  parseEntry,
  requireEncodable,
  type EntryDraft,
  type Position,
  type TableRows,
} from '../../src/journal/entry.ts'
import { batch, ORIGIN, policy, positionOf, runEnd, SMALL_JOURNAL, testSigner } from './builders.ts'

const hex = (length: number) =>
  fc
    .uint8Array({ minLength: length / 2, maxLength: length / 2 })
    .map((bytes) => Buffer.from(bytes).toString('hex'))
const action = fc.constantFrom('purge' as const, 'anonymise' as const)
const trigger = fc.constantFrom('schedule' as const, 'manual' as const, 'request' as const)
const name = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' })
const word = fc.stringMatching(/^[ -~]{1,40}$/)
const day = fc
  .date({ min: new Date('1900-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10))
const seq = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const root = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))
const tableRows: fc.Arbitrary<TableRows> = fc.record({ target: name, action, rows: seq })

const draft: fc.Arbitrary<EntryDraft> = fc.oneof(
  fc.record({
    type: fc.constant('policy' as const),
    rule: word,
    sha256: hex(64),
    set: hex(64),
    target: name,
    count: fc.integer({ min: 1, max: 73_000 }),
    unit: fc.constantFrom('day' as const, 'week' as const, 'month' as const, 'year' as const),
    action,
    masks: fc.array(name.map((column) => `${column}:nothing`)),
    archives: fc.array(fc.record({ target: name, archive: name })),
  }),
  fc.record({
    type: fc.constant('run' as const),
    phase: fc.constant('start' as const),
    run: fc.uuid(),
    trigger,
    plan: hex(64),
    policySet: hex(64),
    cutoff: day.map((text) => `${text}T01:02:03.004005Z`),
    clockAccepted: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('run' as const),
    phase: fc.constant('end' as const),
    run: fc.uuid(),
    outcome: fc.constantFrom('done' as const, 'interrupted' as const, 'clock' as const),
    totals: fc.array(tableRows),
  }),
  fc.record({
    type: fc.constant('batch' as const),
    run: fc.uuid(),
    batch: fc.uuid(),
    policy: fc.record({ rule: word, sha256: hex(64), seq }),
    target: name,
    action,
    method: fc.constantFrom('sql-delete' as const, 'sql-update' as const),
    reason: trigger,
    day,
    firstDayNotDue: day,
    children: fc.array(fc.oneof(tableRows, fc.record({ target: name, action, rows: seq, root }))),
    rows: fc.integer({ min: 1 }),
    evidence: fc.oneof(
      fc.constant({ alg: 'count' as const }),
      fc.record({ alg: fc.constant('pj1' as const), key: fc.constant('ek-2026'), root }),
    ),
  }),
  fc.record({
    type: fc.constant('keys' as const),
    use: fc.constantFrom('entry' as const, 'checkpoint' as const),
    key: fc.constant(testSigner.vkey(ORIGIN)),
  }),
  fc.record({ type: fc.constant('heartbeat' as const) }),
  fc.record({
    type: fc.constant('keys' as const),
    use: fc.constant('evidence' as const),
    key: fc.constant('ek-2026'),
    check: root.map((bytes) => bytes.toString('base64')),
  }),
  fc.record({
    type: fc.constant('evidence-pruned' as const),
    from: seq,
    to: seq,
    batches: fc.integer({ min: 1 }),
  }),
  fc.record({ type: fc.constant('evidence-key-destroyed' as const), key: fc.constant('ek-2026') }),
  fc.record({
    type: fc.constant('hold' as const),
    phase: fc.constantFrom('placed' as const, 'lifted' as const),
    hold: fc.integer({ min: 1 }),
    caseDigest: hex(64),
    scope: fc.constantFrom('rule' as const, 'subject' as const, 'row' as const),
    target: fc.option(name),
  }),
)

const position: fc.Arbitrary<Position> = fc
  .record({
    seq,
    prev: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  })
  .map((changes) => positionOf(changes))

test('a batch is one line of JSON with its keys in this order', () => {
  const body = encodeEntry(
    batch({ children: [{ target: 'site.event', action: 'purge', rows: 7 }] }),
    positionOf({ seq: 57 }),
  )

  expect(body.toString()).toMatchInlineSnapshot(
    `"{"v":1,"type":"batch","seq":57,"prev":"bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=","time":"2026-11-22T12:00:00.000000Z","clock":"2026-11-22T12:00:00.250Z","db":{"sysid":"7711079735163709739","tli":"00000001","lsn":"E/758F83A0","xid":"54951"},"run":"6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d00","batch":"0e3c2c1a-72a8-4a52-8f0e-5b2f4a9c6d11","policy":{"rule":"site-connection","sha256":"abababababababababababababababababababababababababababababababab","seq":1},"target":"site.connection","action":"purge","method":"sql-delete","reason":"schedule","day":"2026-11-22","first_day_not_due":"2025-11-22","children":[{"target":"site.event","action":"purge","rows":7}],"rows":100,"evidence":{"alg":"count"}}"`,
  )
})

test('the other entries are spelled so', () => {
  const lines = SMALL_JOURNAL.filter(({ type }) => type !== 'batch').map((entry) =>
    encodeEntry(entry, positionOf())
      .toString()
      .replace(/^.*"db":\{[^}]*\},/, ''),
  )

  expect(lines.join('\n')).toMatchInlineSnapshot(`
    ""origin":"example.test/purge/1f0c77a2","log":"1f0c77a2","product":"retentiond test","entry_key":"example.test/purge/1f0c77a2/entry+9aa0358e+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"}
    "rule":"site-connection","sha256":"abababababababababababababababababababababababababababababababab","policy_set":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","target":"site.connection","period":{"count":12,"unit":"month"},"action":"purge","masks":[]}
    "phase":"start","run":"6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d00","trigger":"schedule","plan":"efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef","policy_set":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","cutoff":"2026-11-22T12:00:00.123456Z"}
    "phase":"end","run":"6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d00","outcome":"done","totals":[{"target":"site.connection","action":"purge","rows":140},{"target":"site.event","action":"purge","rows":7}]}"
  `)
})

test('every entry is read as it was written, and always written in the same bytes', () => {
  fc.assert(
    fc.property(draft, position, (written, place) => {
      const body = encodeEntry(written, place)
      const { entry } = parseEntry(body)
      expect(entry).toEqual({ ...place, ...written })
      expect(encodeEntry(written, place)).toEqual(body)
    }),
  )
})

const text = encodeEntry(batch(), positionOf({ seq: 57 })).toString()

test.for([
  [
    'an unknown key',
    text.replace('"rows":', '"why":"x","rows":'),
    'has an unknown key in the entry',
  ],
  [
    'an unknown key inside',
    text.replace('{"alg":', '{"x":1,"alg":'),
    'has an unknown key in evidence',
  ],
  [
    'a repeated key',
    text.replace('"rows":', '"rows":1,"rows":'),
    'is not in the canonical spelling',
  ],
  ['white space', text.replace('{"v":1', '{ "v":1'), 'is not in the canonical spelling'],
  ['a line break at the end', `${text}\n`, 'is not in the canonical spelling'],
  [
    'another order of keys',
    text.replace('{"v":1,"type":"batch"', '{"type":"batch","v":1'),
    'is not in the canonical spelling',
  ],
  [
    'a number spelled otherwise',
    text.replace('"rows":100', '"rows":1e2'),
    'is not in the canonical spelling',
  ],
  [
    'an escape that need not be',
    text.replace('site.conn', String.raw`site.\u0063onn`),
    'is not in the canonical spelling',
  ],
  ['a missing key', text.replace('"rows":100,', ''), 'breaks the schema at rows'],
  ['a batch without rows', text.replace('"rows":100', '"rows":0'), 'breaks the schema at rows'],
  ['a fraction', text.replace('"rows":100', '"rows":1.5'), 'breaks the schema at rows'],
  ['a later version', text.replace('"v":1', '"v":2'), 'breaks the schema at v'],
  ['an unknown type', text.replace('"type":"batch"', '"type":"note"'), 'breaks the schema at type'],
  ['prev with trailing bits', text.replace('oB0=', 'oB1='), 'breaks the schema at prev'],
  [
    'a free text for the reason',
    text.replace('"reason":"schedule"', '"reason":"asked by Ann"'),
    'breaks the schema at reason',
  ],
  ['no JSON', '{', 'is not JSON'],
  ['a bare value', 'null', 'breaks the schema at the entry'],
  ['nothing', '', 'is not JSON'],
])('bytes are refused for %s', ([, bytes, fault]) => {
  expect(parseEntry(Buffer.from(bytes ?? '')).fault).toBe(fault)
})

test('bytes are refused for a byte order mark or broken UTF-8', () => {
  const bytes = Buffer.from(text)
  const mark = Buffer.from([0xef, 0xbb, 0xbf])

  expect(parseEntry(Buffer.concat([mark, bytes])).fault).toBe('is not JSON')
  expect(parseEntry(Buffer.concat([bytes, Buffer.of(0xff)])).fault).toBe('is not UTF-8')
})

test('a fault never quotes what stands in the entry', () => {
  const secret = 'ann@example.test'
  for (const bytes of [
    text.replace('"reason":"schedule"', `"reason":"${secret}"`),
    text.replace('"rows":', `"${secret}":1,"rows":`),
    text.slice(0, -1) + secret,
  ]) {
    expect(parseEntry(Buffer.from(bytes)).fault).not.toContain(secret)
  }
})

test('an entry holds 65,535 bytes and no more', () => {
  const rest = encodeEntry(runEnd({ totals: [] }), positionOf()).length
  const longest = (length: number): EntryDraft => {
    const totals: TableRows[] = []
    let room = length - rest
    while (room > 0) {
      const frame =
        JSON.stringify({ target: '', action: 'purge', rows: 0 }).length +
        (totals.length > 0 ? 1 : 0)
      const size = room - frame > 355 ? 255 : Math.min(255, room - frame)
      const left = room - frame - size
      const chars = left > 0 && left < 60 ? size - 60 : size
      totals.push({ target: 'x'.repeat(chars), action: 'purge', rows: 0 })
      room -= frame + chars
    }
    return runEnd({ totals })
  }

  expect(encodeEntry(longest(MAX_BODY_BYTES), positionOf())).toHaveLength(MAX_BODY_BYTES)
  expect(() => encodeEntry(longest(MAX_BODY_BYTES + 1), positionOf())).toThrow(RefusedError)
})

test('bytes are refused for being longer than an entry may be', () => {
  const long = text.replace(
    '"children":[]',
    `"children":[${`${JSON.stringify({
      target: 'x',
      action: 'purge',
      rows: 1,
    })},`.repeat(2000)}{"target":"x","action":"purge","rows":1}]`,
  )

  expect(parseEntry(Buffer.from(long)).fault).toBe('is longer than 65535 bytes')
})

test('an entry that will be too long in any place is refused before it has one', () => {
  const masks = Array.from({ length: 1100 }, (_, index) => `${'c'.repeat(55)}${index}:nothing`)

  expect(() => requireEncodable({ ...policy, masks })).toThrow(/too long: the journal takes 65535/)
  expect(() => requireEncodable(policy)).not.toThrow()
})

test('a draft that breaks the schema is a bug, named by its key alone', () => {
  const wrong = batch({ day: 'ann@example.test' })

  expect(() => encodeEntry(wrong, positionOf())).toThrow(
    new Bug('a batch entry breaks the schema of the journal at day'),
  )
})
