import { expect, test } from 'vitest'
import type { EntryDraft } from '../../src/journal/entry.ts'
import { verify, type VerifyReport } from '../../src/journal/verify.ts'
import {
  batch,
  codes,
  DIGEST,
  genesis,
  headOf,
  journalOf,
  policy,
  readerOf,
  RUN,
  runEnd,
  runStart,
} from './builders.ts'

/** Verifies a journal that is signed, chained and anchored: only what it says can be wrong. */
async function reportOf(drafts: readonly EntryDraft[]): Promise<VerifyReport> {
  const entries = journalOf([genesis(), policy, ...drafts])
  return verify(readerOf(entries), { trustKey: null, expected: headOf(entries) })
}

const anonymise = { action: 'anonymise', method: 'sql-update' } as const

test.for<[string, EntryDraft]>([
  ['of no policy entry', batch({ policy: { rule: 'site-connection', sha256: DIGEST, seq: 2 } })],
  ['of a later entry', batch({ policy: { rule: 'site-connection', sha256: DIGEST, seq: 9 } })],
  ['of another rule', batch({ policy: { rule: 'customer', sha256: DIGEST, seq: 1 } })],
  [
    'of another version of the rule',
    batch({ policy: { rule: 'site-connection', sha256: 'ff'.repeat(32), seq: 1 } }),
  ],
  ['on another table', batch({ target: 'crm.customer' })],
  ['with another action', batch(anonymise)],
  ['by another method', batch({ method: 'sql-update' })],
])('a batch %s rests on no policy', async ([, wrong]) => {
  const seen = await reportOf([runStart, wrong])

  expect(codes(seen)).toEqual(['3 POLICY'])
})

test.for<[string, readonly EntryDraft[], number]>([
  ['drops a batch', [runStart, batch(), batch(), runEnd()], 5],
  ['adds a batch', [runStart, runEnd()], 3],
  [
    'forgets a child',
    [runStart, batch({ children: [{ target: 'site.event', action: 'purge', rows: 7 }] }), runEnd()],
    4,
  ],
  [
    'names another table',
    [
      runStart,
      batch(),
      runEnd({ totals: [{ target: 'crm.customer', action: 'purge', rows: 100 }] }),
    ],
    4,
  ],
  [
    'names another action',
    [
      runStart,
      batch(),
      runEnd({ totals: [{ target: 'site.connection', action: 'anonymise', rows: 100 }] }),
    ],
    4,
  ],
  ['never began', [runEnd({ totals: [] })], 2],
  ['begins twice', [runStart, runStart], 3],
  ['has ended already', [runStart, batch(), runEnd(), batch()], 5],
  ['is not the one that is open', [runStart, batch({ run: RUN.replace('6b', '7b') })], 3],
])('a run that %s is found by its totals', async ([, drafts, seq]) => {
  const seen = await reportOf(drafts)

  expect(codes(seen)).toEqual([`${seq} TOTALS`])
})

test('rows purged and rows anonymised of one table are totals of their own', async () => {
  const masking: EntryDraft = {
    ...policy,
    rule: 'masking',
    action: 'anonymise',
    masks: ['ip:nothing'],
  }
  const masked = batch({
    ...anonymise,
    policy: { rule: 'masking', sha256: DIGEST, seq: 2 },
    rows: 30,
  })
  const totals = [
    { target: 'site.connection', action: 'anonymise', rows: 30 },
    { target: 'site.connection', action: 'purge', rows: 100 },
  ] as const

  const seen = await reportOf([masking, runStart, batch(), masked, runEnd({ totals })])

  expect(seen.findings).toEqual([])
})

test('a run may state a table in which nothing was due', async () => {
  const totals = [
    { target: 'crm.customer', action: 'anonymise', rows: 0 },
    { target: 'site.connection', action: 'purge', rows: 100 },
  ] as const

  const seen = await reportOf([runStart, batch(), runEnd({ totals })])

  expect(seen.verdict).toBe('verified')
})
