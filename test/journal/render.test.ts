import { expect, test } from 'vitest'
import {
  renderEntry,
  renderList,
  renderReport,
  renderReportJson,
} from '../../src/journal/render.ts'
import { verify } from '../../src/journal/verify.ts'
import {
  batch,
  genesis,
  headOf,
  journalOf,
  policy,
  readerOf,
  runStart,
  SMALL_JOURNAL,
} from './builders.ts'

const entries = journalOf(SMALL_JOURNAL)

test('the list has a line for each entry, with the rows acted on, children counted', () => {
  expect(renderList(entries)).toMatchInlineSnapshot(`
    "seq  time                  type       about                                                   rows
      0  2026-11-22T12:00:00Z  genesis    example.test/purge/1f0c77a2
      1  2026-11-22T12:00:01Z  policy     site-connection: purge site.connection after 12 months
      2  2026-11-22T12:00:02Z  run start  6b1e6f5e schedule
      3  2026-11-22T12:00:03Z  batch      6b1e6f5e site-connection: purge site.connection          107
      4  2026-11-22T12:00:04Z  batch      6b1e6f5e site-connection: purge site.connection           40
      5  2026-11-22T12:00:05Z  run end    6b1e6f5e done                                            147
    "
  `)
})

test('the list fits 100 columns whatever the names', () => {
  const long = batch({ target: `${'s'.repeat(63)}.${'t'.repeat(63)}`, rows: 123_456_789 })
  const listed = renderList(journalOf([genesis(), policy, runStart, long]))

  expect(Math.max(...listed.split('\n').map((line) => line.length))).toBe(100)
  expect(listed).toContain('…')
})

test('an entry that cannot be read keeps its line', () => {
  const broken = entries.map((entry) => ({ ...entry, body: Buffer.from('{}') }))

  expect(renderList(broken)).toMatch(/^  0 +\? +breaks the schema at type$/m)
})

test('a table that is called like a terminal sequence does not reach the terminal', () => {
  const hostile = batch({ target: 'p.\u001b[2J\u202e\n' })
  const shown = journalOf([genesis(), policy, runStart, hostile])

  const listed = renderList(shown)
  const entry = shown[3] === undefined ? '' : renderEntry({ stored: shown[3], signed: true })

  expect(listed).toContain(String.raw`p.\u{1b}[2J\u{202e}\u{a}`)
  expect(entry).toContain(String.raw`p.\u001b[2J\u{202e}\n`)
  // eslint-disable-next-line no-control-regex
  expect(listed + entry).not.toMatch(/[\u001b\u202e]/)
})

test('an entry is shown with its leaf hash and what its signature is worth', () => {
  const [stored] = entries
  if (stored === undefined) throw new Error('the journal is empty')

  expect(renderEntry({ stored, signed: true })).toMatchInlineSnapshot(`
    "{
      "v": 1,
      "type": "genesis",
      "seq": 0,
      "prev": "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=",
      "time": "2026-11-22T12:00:00.000000Z",
      "clock": "2026-11-22T12:00:00.250Z",
      "db": {
        "sysid": "7711079735163709739",
        "tli": "00000001",
        "lsn": "E/758F83A0",
        "xid": "54951"
      },
      "origin": "example.test/purge/1f0c77a2",
      "log": "1f0c77a2",
      "product": "retentiond test",
      "entry_key": "example.test/purge/1f0c77a2/entry+9aa0358e+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
    }
    leaf hash  xocI8V7AbQsksKYidktTHogJQmgeHCe/aC6Es//3RmA=
    signature  valid
    "
  `)
  expect(renderEntry({ stored, signed: false })).toContain('signature  NOT VALID')
  expect(renderEntry({ stored, signed: null })).toContain('signature  not checked')
})

test('a report of a sound journal says what it was compared with', async () => {
  const report = await verify(readerOf(entries), { trustKey: null, expected: headOf(entries) })

  expect(renderReport(report)).toMatchInlineSnapshot(`
    "verified: the journal is whole and unchanged up to the newest head kept elsewhere
    journal   example.test/purge/1f0c77a2
    head      6:33HRcwbAgnq76hBWy2S+fyYJ16r0SiLgAy7vkxXaSFk=
    expected  6:33HRcwbAgnq76hBWy2S+fyYJ16r0SiLgAy7vkxXaSFk=
    key       the one that the journal names itself; --trust-key takes one kept elsewhere
    "
  `)
})

test('a report of a tampered journal begins with its first bad entry', async () => {
  const ruined = entries.map((entry, seq) =>
    seq === 4 ? { ...entry, leafHash: entry.sig.subarray(0, 32) } : entry,
  )

  const report = await verify(readerOf(ruined.slice(0, 5)), {
    trustKey: null,
    expected: headOf(entries),
  })

  expect(renderReport(report)).toMatchInlineSnapshot(`
    "TAMPERED: the journal is not as it was written
    finding   entry 4: LEAF: the stored leaf hash is not that of the body
    finding   entry 5: TRUNCATED: 6 entries are expected, and 5 are there
    remark    entry 2: UNFINISHED: run 6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d00 has no end
    journal   example.test/purge/1f0c77a2
    head      5:X0e10BCbcUUpnklqIcZAJ647tw881KD8iUNxCcYi7Vc=
    expected  6:33HRcwbAgnq76hBWy2S+fyYJ16r0SiLgAy7vkxXaSFk=
    key       the one that the journal names itself; --trust-key takes one kept elsewhere
    "
  `)
})

test('a report of an unanchored journal says how to anchor it', async () => {
  const report = await verify(readerOf(entries), { trustKey: null, expected: null })

  expect(renderReport(report)).toMatch(/^unanchored: .* without --anchor or --expect SIZE:ROOT/)
})

test('the report for programs carries its version and the same facts', async () => {
  const report = await verify(readerOf(entries.slice(0, 4)), {
    trustKey: null,
    expected: headOf(entries),
  })

  expect(JSON.parse(renderReportJson(report))).toEqual({
    schema_version: 1,
    anchors: null,
    verdict: 'tampered',
    origin: 'example.test/purge/1f0c77a2',
    size: 4,
    root: report.head.root.toString('base64'),
    expected: { size: 6, root: headOf(entries).root.toString('base64') },
    key: 'journal',
    findings: [{ code: 'TRUNCATED', seq: 4, message: '6 entries are expected, and 4 are there' }],
    finding_count: 1,
    remarks: [{ code: 'UNFINISHED', seq: 2, message: expect.stringMatching(/has no end$/) }],
    remark_count: 1,
  })
})
