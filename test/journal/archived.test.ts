import { expect, test } from 'vitest'
import { withArchives } from '../../src/journal/archived.ts'
import type { ArchivedDraft, EntryDraft } from '../../src/journal/entry.ts'
import { NO_ENTRY } from '../../src/journal/merkle.ts'
import type { JournalEntry, JournalReader, StoredEntry } from '../../src/journal/reader.ts'
import { verifyHeads } from '../../src/journal/verify-heads.ts'
import { verify } from '../../src/journal/verify.ts'
import { codes, headOf, journalOf, readerOf, runEnd, runStart, SMALL_JOURNAL } from './builders.ts'

const AGAIN = '6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d01'

const BEFORE: readonly EntryDraft[] = [...SMALL_JOURNAL, { type: 'heartbeat' }]

/** Behind a checkpoint whose last entry is the heartbeat: the run of the small journal. */
const SAID: ArchivedDraft = {
  type: 'archived',
  from: 0,
  to: 5,
  entries: 4,
  ...headOf(journalOf(BEFORE)),
}

/** The small journal, whose first part was archived, and a run since. */
function archived(said: EntryDraft = SAID): readonly StoredEntry[] {
  return journalOf([
    ...BEFORE,
    said,
    { ...runStart, run: AGAIN },
    runEnd({ run: AGAIN, totals: [] }),
  ])
}

type Changes = {
  readonly said?: ArchivedDraft
  readonly gone?: readonly number[]
  readonly change?: (entry: JournalEntry) => JournalEntry
}

/** The journal as the database has it: of these entries the leaf hash is left. */
function reader({ said = SAID, gone = [2, 3, 4, 5], change = (entry) => entry }: Changes = {}) {
  const entries = archived(said)
  return {
    size: async () => entries.length,
    archives: async () => [{ ...said, seq: 7 }],
    entries: async function* list() {
      for (const { seq, leafHash, ...rest } of entries) {
        const left = gone.includes(seq)
          ? { seq, leafHash, archived: true as const }
          : { seq, leafHash, ...rest }
        yield change(left)
      }
    },
  } satisfies JournalReader
}

async function found(journal: JournalReader) {
  return codes(await verify(journal, { trustKey: null, expected: headOf(archived()) }))
}

test('a journal verifies without the bodies that an entry says were archived, and says so', async () => {
  const report = await verifyHeads(reader(), { trustKey: null, expected: headOf(archived()) })

  expect(report).toMatchObject({ verdict: 'verified', findings: [], head: headOf(archived()) })
  expect(report.remarks.map(({ code, seq }) => `${seq} ${code}`)).toEqual(['5 ARCHIVED'])
})

test('bodies that are gone without an entry that says so are found', async () => {
  expect(await found(reader({ gone: [2, 3, 4, 5, 6] }))).toContain('6 ARCHIVE')
  // In the range, and not one of those that may go.
  expect(await found(reader({ gone: [1, 2, 3, 4, 5] }))).toContain('5 ARCHIVE')
  expect(await found(reader({ gone: [8] }))).toContain('8 ARCHIVE')
  // A reader that does not know of any.
  const { archives: _, ...ignorant } = reader()
  expect(await found(ignorant)).toContain('7 ARCHIVE')
})

test('a leaf hash that is another one does not make the root that was signed', async () => {
  const change = (entry: JournalEntry) =>
    entry.seq === 3 ? { seq: 3, leafHash: NO_ENTRY, archived: true as const } : entry

  expect(await found(reader({ change }))).toEqual(['7 ARCHIVE', '9 ROOT'])
})

test.for<[string, Partial<ArchivedDraft>]>([
  ['begins behind the end of what was archived before', { from: 1 }],
  ['goes up to its checkpoint', { to: 6 }],
  ['names another root', { root: NO_ENTRY }],
  ['names a checkpoint behind itself', { size: 8 }],
])('an entry on an archive that %s is found', async ([, wrong]) => {
  const said = { ...SAID, ...wrong }
  const expected = headOf(archived(said))

  expect(codes(await verify(reader({ said }), { trustKey: null, expected }))).toContain('7 ARCHIVE')
})

test('with its archive a journal is read whole, and a body that is another one is found', async () => {
  const whole = await verify(withArchives(reader(), [readerOf(archived().slice(0, 7))]), {
    trustKey: null,
    expected: headOf(archived()),
  })
  const others = archived().map((entry) =>
    entry.seq === 3 ? { ...entry, body: Buffer.from('{}') } : entry,
  )

  expect(whole).toMatchObject({ verdict: 'verified', remarks: [] })
  expect(await found(withArchives(reader(), [readerOf(others)]))).toContain('3 LEAF')
})
