import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { JournalConflictError, JournalCorruptError, RefusedError } from '../../src/base/errors.ts'
import { connect } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import {
  findEntryBySeq,
  journalReader,
  newestPolicyEntry,
  readEntries,
  readHead,
  totalsOfRun,
  unfinishedRun,
} from '../../src/journal/read.ts'
import { appendEntry, openLog } from '../../src/journal/store.ts'
import { verify } from '../../src/journal/verify.ts'
import { openTestDatabase } from '../support/database.ts'
import { createRoles, MIGRATIONS_FOLDER, openJournalBench, type JournalBench } from './bench.ts'
import { batch, codes, fixedClock, policy, RUN, runEnd, runStart, testSigner } from './builders.ts'

async function sound(bench: JournalBench): Promise<void> {
  const expected = await treeHead(bench.db)
  const report = await verify(journalReader(bench.db), { trustKey: null, expected })
  expect(report.findings).toEqual([])
  expect(report.verdict).toBe('verified')
}

test('a journal written by the daemon verifies against its own tree head', async () => {
  await using bench = await openJournalBench()
  await bench.append(policy)
  await bench.append(runStart)
  await bench.append(batch())
  await bench.append(runEnd())

  const expected = await treeHead(bench.db)
  const report = await verify(journalReader(bench.db), { trustKey: null, expected })

  expect(report).toMatchObject({ verdict: 'verified', origin: bench.origin, findings: [] })
  expect(report.head).toEqual({ size: 5, root: expected.root })
  expect(bench.origin).toMatch(/^example\.test\/purge\/[0-9a-f]{8}$/)
})

test('what an append returns is what is stored, and where the head stands', async () => {
  await using bench = await openJournalBench()

  const appended = await bench.append(policy)

  expect(appended.seq).toBe(1)
  expect(await findEntryBySeq(bench.db, 1)).toMatchObject({
    body: appended.body,
    leafHash: appended.leafHash,
  })
  expect(await readHead(bench.db)).toEqual({
    origin: bench.origin,
    size: 2,
    lastHash: appended.leafHash,
  })
  expect(await findEntryBySeq(bench.db, 2)).toBeNull()
})

test('eight writers of whom some roll back leave one chain without a gap', async () => {
  await using bench = await openJournalBench()
  await bench.append(policy)
  await bench.append(runStart)
  class RolledBack extends Error {}
  const write = async (place: number): Promise<void> => {
    await inTransaction(bench.db, async (trx) => {
      await appendEntry(trx, testSigner, batch({ rows: place + 1 }), fixedClock)
      if (place % 7 === 3) throw new RolledBack()
    }).catch((error: unknown) => {
      if (!(error instanceof RolledBack)) throw error
    })
  }
  const writer = async (first: number): Promise<void> => {
    for (let n = 0; n < 50; n += 1) await write(first + n * 8)
  }

  await Promise.all(Array.from({ length: 8 }, async (_, first) => writer(first)))

  const rolledBack = Array.from({ length: 400 }, (_, place) => place).filter((n) => n % 7 === 3)
  expect(await readHead(bench.db)).toMatchObject({ size: 3 + 400 - rolledBack.length })
  await sound(bench)
})

test('the newest policy entry of a rule is the one in effect', async () => {
  await using bench = await openJournalBench()
  const newer = 'ff'.repeat(32)
  await bench.append(policy)
  await bench.append({ ...policy, rule: 'customer' })
  await bench.append({ ...policy, sha256: newer })

  expect(await newestPolicyEntry(bench.db, policy.rule)).toEqual({
    rule: policy.rule,
    sha256: newer,
    seq: 3,
  })
  expect(await newestPolicyEntry(bench.db, 'no-such-rule')).toBeNull()
})

test('a run without an end is found, with the totals its batches add up to', async () => {
  await using bench = await openJournalBench()
  const other = RUN.replace('6b', '7b')
  await bench.append(policy)
  await bench.append({ ...runStart, run: other })
  await bench.append(runEnd({ run: other, totals: [] }))
  await bench.append(runStart)
  await bench.append(batch({ children: [{ target: 'site.event', action: 'purge', rows: 7 }] }))
  await bench.append(batch({ rows: 40 }))
  await bench.append(batch({ run: other, rows: 5 }))

  const open = await unfinishedRun(bench.db)

  expect(open).toEqual({ run: RUN, seq: 4 })
  expect(await totalsOfRun(bench.db, { run: RUN, seq: 4 })).toEqual([
    { target: 'site.connection', action: 'purge', rows: 140 },
    { target: 'site.event', action: 'purge', rows: 7 },
  ])
})

test('no run is unfinished once each has its end', async () => {
  await using bench = await openJournalBench()
  await bench.append(policy)

  expect(await unfinishedRun(bench.db)).toBeNull()
  await bench.append(runStart)
  await bench.append(runEnd({ totals: [] }))
  expect(await unfinishedRun(bench.db)).toBeNull()
})

test('entries are read page after page, from a number and up to a limit', async () => {
  await using bench = await openJournalBench()
  await inTransaction(bench.db, async (trx) => {
    for (let n = 0; n < 1_050; n += 1) await appendEntry(trx, testSigner, policy, fixedClock)
  })
  const read = async (from: number, limit = Infinity): Promise<readonly number[]> => {
    const seqs: number[] = []
    for await (const { seq } of readEntries(bench.db, { from, limit })) seqs.push(seq)
    return seqs
  }

  expect(await read(0)).toEqual(Array.from({ length: 1_051 }, (_, seq) => seq))
  expect(await read(1_045, 3)).toEqual([1_045, 1_046, 1_047])
  expect(await read(10, 501)).toEqual(Array.from({ length: 501 }, (_, n) => n + 10))
  expect(await read(2_000)).toEqual([])
  await sound(bench)
})

test('the time of an entry is never before that of the entry before', async () => {
  await using bench = await openJournalBench()
  await bench.database.superuser.query(
    `begin; set local role ${bench.roles.owner};
     update retentiond.head set last_time = '2099-01-01 00:00:00.123456+00'; commit`,
  )

  const appended = await bench.append(policy)

  expect(appended.time).toBe('2099-01-01T00:00:00.123456Z')
  expect((await bench.append(policy)).time).toBe(appended.time)
})

test('a head that is not where the writer saw it ends the append', async () => {
  await using bench = await openJournalBench()
  await bench.append(policy)
  const head = bench.database.superuser
  const { rows } = await head.query<{ source: string }>(
    "select pg_get_functiondef('retentiond.lock_head()'::regprocedure) as source",
  )
  await head.query(rows[0]?.source.replace('locked.size', 'locked.size - 1') ?? '')

  await expect(bench.append(policy)).rejects.toThrow(JournalConflictError)
  expect(await readHead(bench.db)).toMatchObject({ size: 2 })
})

test('one byte changed by a superuser is found at its entry', async () => {
  await using bench = await openJournalBench()
  for (const draft of [policy, runStart, batch(), runEnd()]) await bench.append(draft)
  const expected = await treeHead(bench.db)
  await bench.database.superuser.query(`
    begin;
    alter table retentiond.entry disable trigger all;
    update retentiond.entry
    set body = set_byte(body, position('"rows":100'::bytea in body) + 6, ascii('2'))
    where seq = 3;
    alter table retentiond.entry enable trigger all;
    commit`)

  const report = await verify(journalReader(bench.db), { trustKey: null, expected })

  expect(report.verdict).toBe('tampered')
  expect(codes(report)).toEqual(['3 SIGNATURE', '4 CHAIN', '4 TOTALS', '4 ROOT'])
})

test('a tail cut by a superuser is found, also when the head was set back', async () => {
  await using bench = await openJournalBench()
  for (const draft of [policy, policy, policy]) await bench.append(draft)
  const expected = await treeHead(bench.db)
  const before = await bench.database.superuser.query<{ leaf_hash: Buffer }>(
    'select leaf_hash from retentiond.entry where seq = 1',
  )
  await bench.database.superuser.query(
    'alter table retentiond.entry disable trigger all; alter table retentiond.head disable trigger all',
  )
  await bench.database.superuser.query('delete from retentiond.entry where seq >= 2')

  const forgotten = await verify(journalReader(bench.db), { trustKey: null, expected: null })
  await bench.database.superuser.query('update retentiond.head set size = 2, last_hash = $1', [
    before.rows[0]?.leaf_hash,
  ])
  const setBack = await verify(journalReader(bench.db), { trustKey: null, expected })
  const unanchored = await verify(journalReader(bench.db), { trustKey: null, expected: null })

  expect(codes(forgotten)).toEqual(['2 TRUNCATED'])
  expect(codes(setBack)).toEqual(['2 TRUNCATED'])
  expect(unanchored).toMatchObject({ verdict: 'unanchored', findings: [] })
})

test('a journal is opened once', async () => {
  await using bench = await openJournalBench()
  await using superuser = connect(bench.database.superuserUrl)
  const options = { origin: 'example.test/again', product: 'test', owner: bench.roles.owner }

  const again = inTransaction(superuser.db, async (trx) =>
    openLog(trx, testSigner, options, fixedClock),
  )

  await expect(again).rejects.toThrow(new RefusedError('this database has a journal already'))
  expect(await readHead(bench.db)).toMatchObject({ origin: bench.origin })
})

test('nothing is appended where no journal was opened', async () => {
  await using database = await openTestDatabase()
  const roles = await createRoles(database)
  await using superuser = connect(database.superuserUrl)
  await migrate(superuser.db, { folder: MIGRATIONS_FOLDER, roles })
  await using daemon = connect(database.urlOf(roles.daemon))

  const appended = inTransaction(daemon.db, async (trx) =>
    appendEntry(trx, testSigner, policy, fixedClock),
  )

  await expect(appended).rejects.toThrow(JournalCorruptError)
  expect(await readHead(daemon.db)).toBeNull()
})

test('the lookups of policies and runs use the small indexes', async () => {
  await using bench = await openJournalBench()
  const plan = await bench.db.connection().execute(async (db) => {
    await sql`set enable_seqscan = off`.execute(db)
    return db
      .selectFrom('retentiond.run_entry')
      .select('body')
      .where('seq', '>=', 0n)
      .orderBy('seq')
      .explain('json')
  })

  expect(JSON.stringify(plan)).toContain('entry_run')
})
