import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { archiveJournal } from '../../src/journal/archive.ts'
import { makeCheckpoint } from '../../src/journal/checkpointer.ts'
import type { EntryDraft } from '../../src/journal/entry.ts'
import { rowsSince } from '../../src/journal/history.ts'
import { openMemory } from '../../src/journal/memory.ts'
import { noteSignerOf, type NoteSigner } from '../../src/journal/note.ts'
import { hasRuns, journalReader } from '../../src/journal/read.ts'
import { appendEntry } from '../../src/journal/store.ts'
import { verify } from '../../src/journal/verify.ts'
import { openJournalBench, type JournalBench } from './bench.ts'
import {
  batch,
  codes,
  fixedClock,
  OTHER_PEM,
  policy,
  runEnd,
  runStart,
  TEST_PEM,
  testSigner,
} from './builders.ts'

const HEARTBEAT: EntryDraft = { type: 'heartbeat' }
const SECOND = '6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d01'

function requireSigner(pem: string): NoteSigner {
  const signer = noteSignerOf(pem)
  if (signer === null) throw new Error('no key')
  return signer
}

/** A journal with a run, a day of silence, and a second run that is at work. */
async function openArchivable(bench: JournalBench) {
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-archive-'))
  const owner = connect(bench.database.superuserUrl)
  onTestFinished(async () => {
    await owner[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  const { db } = bench
  const sign = async (pem = OTHER_PEM) =>
    makeCheckpoint(
      { db, signer: testSigner, checkpoints: requireSigner(pem), clock: fixedClock },
      null,
    )
  for (const draft of [policy, runStart, batch(), runEnd()]) await bench.append(draft)
  const long = { ...testSigner, memory: openMemory() }
  const append = async (draft: EntryDraft) =>
    inTransaction(db, async (trx) => appendEntry(trx, long, draft, fixedClock))
  await append(HEARTBEAT)
  for (const draft of [HEARTBEAT, { ...runStart, run: SECOND }]) await bench.append(draft)
  await sign()
  const archive = async (name: string, more = {}) =>
    archiveJournal(
      { db: owner.db, signer: testSigner, clock: fixedClock, owner: bench.roles.owner },
      {
        before: '2099-01-01',
        anchored: Infinity,
        out: join(folder, name),
        rules: new Map(),
        ...more,
      },
    )
  return { folder, sign, append, archive }
}

test('a journal is archived up to the run at work, and whoever remembers more of it goes on', async () => {
  await using bench = await openJournalBench()
  const { db } = bench
  const { folder, sign, append, archive } = await openArchivable(bench)
  const owner = bench.database.superuser

  await expect(archive('none', { anchored: 7 })).rejects.toMatchObject({ code: 'REFUSED' })
  await expect(archive('none', { before: '2020-01-01' })).rejects.toMatchObject({ code: 'REFUSED' })
  expect(await readdir(folder)).toEqual([])

  await owner.query('create table kept as table retentiond.entry; grant select on kept to public')
  const said = await archive('first')
  const last = await append({ type: 'heartbeat' })

  expect(said).toMatchObject({ from: 0, to: 6, entries: 5, size: 9 })
  expect(last.seq).toBe(10)
  const { rows } = await owner.query<{ seq: number }>(
    'select seq::int as seq from retentiond.entry order by seq',
  )
  expect(rows.map(({ seq }) => seq)).toEqual([0, 1, 7, 8, 9, 10])
  await expect(archive('again')).rejects.toMatchObject({ code: 'REFUSED' })

  // What was archived counts: nothing is allowed twice, and the journal is no new one.
  expect(await rowsSince(db, 'site-connection', 1)).toBe(Infinity)
  expect(await hasRuns(db)).toBe(true)
  // A key that did not sign the last checkpoint verifies everything, and stands on that.
  const key = requireSigner(TEST_PEM).vkey(bench.origin)
  await append({ type: 'keys', use: 'checkpoint', key })
  expect(await sign(TEST_PEM)).toMatchObject({ size: 12 })

  // A restored backup brings bodies back; the next archive takes them again.
  await owner.query(`
    alter table retentiond.archived_leaf disable trigger all;
    delete from retentiond.archived_leaf;
    set role ${bench.roles.owner};
    insert into retentiond.entry (seq, body, sig) select seq, body, sig from public.kept where seq between 2 and 6;
    reset role`)
  await append(runEnd({ run: SECOND, totals: [] }))
  await append(HEARTBEAT)
  await sign(TEST_PEM)
  expect(await archive('second')).toMatchObject({ from: 7, to: 12, entries: 3 })
  const left = await owner.query<{ seq: number }>(
    'select seq::int as seq from retentiond.archivable_entry order by seq',
  )
  expect(left.rows).toEqual([{ seq: 13 }])

  await owner.query(`
    update retentiond.archived_leaf set leaf_hash = sha256('x') where seq = 3`)
  const report = await verify(journalReader(db), { trustKey: null, expected: null })
  expect(codes(report)).toEqual(['9 ARCHIVE', '14 ARCHIVE'])
})

test('the owner archives only what an entry and a checkpoint speak of', async () => {
  await using bench = await openJournalBench()
  const { append } = await openArchivable(bench)
  const owner = bench.database.superuser
  await owner.query(`set role ${bench.roles.owner}`)
  const call = async (from: number, to: number, size: number) =>
    owner.query('select retentiond.archive($1, $2, $3)', [from, to, size])

  await expect(call(0, 6, 9)).rejects.toMatchObject({ code: '42501' })
  const root = Buffer.alloc(32)
  await append({ type: 'archived', from: 0, to: 6, entries: 5, size: 9, root })
  await expect(call(0, 5, 9)).rejects.toMatchObject({ code: '42501' })
  await append({ type: 'archived', from: 0, to: 6, entries: 4, size: 9, root })
  await expect(call(0, 6, 9)).rejects.toThrow('other entries')
  await append({ type: 'archived', from: 0, to: 6, entries: 5, size: 8, root })
  await expect(call(0, 6, 8)).rejects.toMatchObject({ code: '42501' })
})
