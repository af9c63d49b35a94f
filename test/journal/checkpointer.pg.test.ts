import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { connect } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { takeLease, releaseLease } from '../../src/db/lease.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { pulse } from '../../src/daemon/pulse.ts'
import { openCheckpoint } from '../../src/journal/checkpoint.ts'
import {
  makeCheckpoint,
  openCheckpointer,
  type CheckpointTools,
  type SignedHead,
} from '../../src/journal/checkpointer.ts'
import { readCheckpoints } from '../../src/journal/stored-checkpoints.ts'
import { parseEntry } from '../../src/journal/entry.ts'
import { beat } from '../../src/journal/heartbeat.ts'
import { readNamedKeys } from '../../src/journal/keys.ts'
import {
  checkConsistency,
  EMPTY_RANGE,
  extend,
  leafHash,
  proveConsistency,
  rootOf,
} from '../../src/journal/merkle.ts'
import { readNodes, rootAt, treeHead } from '../../src/journal/nodes.ts'
import { noteSignerOf, type NoteSigner } from '../../src/journal/note.ts'
import { journalReader, readEntries } from '../../src/journal/read.ts'
import { appendEntry, openLog } from '../../src/journal/store.ts'
import { readStatus } from '../../src/journal/status.ts'
import { verify } from '../../src/journal/verify.ts'
import { openTestDatabase } from '../support/database.ts'
import { openBed } from '../support/bed.ts'
import { createRoles, MIGRATIONS_FOLDER, openJournalBench, type JournalBench } from './bench.ts'
import {
  fixedClock,
  OTHER_PEM,
  otherSigner,
  policy,
  runStart,
  testSigner,
  TEST_PEM,
} from './builders.ts'

function requireSigner(pem: string): NoteSigner {
  const signer = noteSignerOf(pem)
  if (signer === null) throw new Error('the test key is no Ed25519 key')
  return signer
}

const checkpoints = requireSigner(OTHER_PEM)

function toolsOf({ db }: JournalBench): CheckpointTools {
  return { db, signer: testSigner, checkpoints, clock: fixedClock }
}

/** Root of the leaves, computed from their bytes. */
async function recomputed({ db }: JournalBench) {
  let range = EMPTY_RANGE
  for await (const { body } of readEntries(db)) range = extend(range, leafHash(body))
  return { size: range.size, root: rootOf(range) }
}

/** Does what a superuser can: the guards are taken away first. */
async function tamper({ database }: JournalBench, statement: string): Promise<void> {
  for (const table of ['entry', 'head', 'node', 'checkpoint']) {
    await database.superuser.query(`alter table retentiond.${table} disable trigger all`)
  }
  await database.superuser.query(statement)
}

test('the stored hashes give the root of the entries at every size, and proofs between any two', async () => {
  await using bench = await openJournalBench()
  const heads = [await recomputed(bench)]
  for (let size = 2; size <= 21; size += 1) {
    await bench.append(policy)
    heads.push(await recomputed(bench))
    expect(await treeHead(bench.db)).toEqual(heads.at(-1))
  }
  for (const older of heads) {
    expect(await rootAt(bench.db, older.size)).toEqual(older)
    const path = await proveConsistency(async (nodes) => readNodes(bench.db, nodes), older.size, 21)
    expect(checkConsistency(older, heads.at(-1) as never, path)).toBe(true)
  }
  const { rows } = await bench.database.superuser.query(
    'select count(*)::int as stored from retentiond.node',
  )
  // 10 + 5 + 2 + 1: less than one for each entry.
  expect(rows).toEqual([{ stored: 18 }])
})

test('a hash that is not stored is made of those below, by the program and by PostgreSQL', async () => {
  await using bench = await openJournalBench()
  for (let size = 2; size <= 7; size += 1) await bench.append(policy)
  await tamper(bench, 'delete from retentiond.node where index = 0')
  await bench.append(policy)

  expect(await treeHead(bench.db)).toEqual(await recomputed(bench))
})

test('a journal that began before hashes were stored goes on, with the hashes of all its entries', async () => {
  await using database = await openTestDatabase()
  const roles = await createRoles(database)
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-migrations-'))
  onTestFinished(async () => rm(folder, { recursive: true }))
  await cp(MIGRATIONS_FOLDER, folder, {
    recursive: true,
    filter: (source) => !/\/000[4-9]_/.test(source),
  })
  await using migrator = connect(database.superuserUrl)
  await migrate(migrator.db, { folder, roles })
  await inTransaction(migrator.db, async (trx) =>
    openLog(
      trx,
      testSigner,
      { origin: 'example.test/purge', product: 'retentiond test', owner: roles.owner },
      fixedClock,
    ),
  )
  const append = async () =>
    inTransaction(migrator.db, async (trx) => appendEntry(trx, testSigner, policy, fixedClock))
  for (let size = 2; size <= 13; size += 1) await append()

  await migrate(migrator.db, { folder: MIGRATIONS_FOLDER, roles })
  await append()

  const bench = { db: migrator.db } as JournalBench
  expect(await treeHead(migrator.db)).toEqual(await recomputed(bench))
  const { rows } = await database.superuser.query(
    'select count(*)::int as stored from retentiond.node',
  )
  expect(rows).toEqual([{ stored: 7 + 3 + 1 }])
})

test('a checkpoint states size and root of the journal, whose key the journal names first', async () => {
  await using bench = await openJournalBench()
  await bench.append(policy)

  const signed = await makeCheckpoint(toolsOf(bench), null)

  const keys = await readNamedKeys(bench.db)
  const opened = openCheckpoint(signed.note, keys.checkpoint)
  expect(opened.fault).toBeUndefined()
  expect(opened).toMatchObject({ checkpoint: { origin: bench.origin, size: 3 } })
  expect(await recomputed(bench)).toEqual({ size: 3, root: signed.root })
  expect(await readCheckpoints(bench.db)).toEqual([{ size: 3, note: signed.note }])
  expect(
    (await verify(journalReader(bench.db), { trustKey: null, expected: signed })).verdict,
  ).toBe('verified')
})

test('the same journal signed twice gives one note, and one that grew gives another that continues it', async () => {
  await using bench = await openJournalBench()
  const published: SignedHead[] = []
  const signing = openCheckpointer(toolsOf(bench), (head) => {
    published.push(head)
  })

  const first = await signing.sign()
  expect(await signing.sign()).toEqual(first)
  await bench.append(policy)
  const second = await signing.sign()

  expect(published).toEqual([first, second])
  const path = await proveConsistency(
    async (nodes) => readNodes(bench.db, nodes),
    first.size,
    second.size,
  )
  expect(checkConsistency(first, second, path)).toBe(true)
  expect(await readStatus(bench.db)).toMatchObject({
    head: { size: 3, root: second.root },
    checkpoint: { size: 3 },
    unfinishedRuns: 0,
  })
})

test('another checkpoint key than the one that the journal names signs nothing', async () => {
  await using bench = await openJournalBench()
  await makeCheckpoint(toolsOf(bench), null)

  const other = requireSigner(TEST_PEM)
  await expect(
    makeCheckpoint({ ...toolsOf(bench), checkpoints: other }, null),
  ).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

test('an entry that the entry key did not sign is never signed over', async () => {
  await using bench = await openJournalBench()
  await makeCheckpoint(toolsOf(bench), null)
  // With the functions of the schema and the right prev, as whoever stole the role's password can.
  await inTransaction(bench.db, async (trx) => appendEntry(trx, otherSigner, runStart, fixedClock))
  await expect(makeCheckpoint(toolsOf(bench), null)).rejects.toMatchObject({
    code: 'JOURNAL_CORRUPT',
  })
  await bench.append(policy)

  await expect(makeCheckpoint(toolsOf(bench), null)).rejects.toThrow(
    'entry 2 does not hold: the signature is not that of the entry key',
  )
  expect(await readCheckpoints(bench.db)).toHaveLength(1)
})

test('a journal that was cut off, rewritten or forked behind its checkpoint is not signed', async () => {
  const attempts = {
    'delete from retentiond.entry where seq >= 3; update retentiond.head set size = 3, last_hash = (select leaf_hash from retentiond.entry where seq = 2)':
      'it was rolled back',
    'update retentiond.node set hash = sha256(hash) where level = 2': 'forked',
    'update retentiond.entry set body = (select body from retentiond.entry where seq = 2) where seq = 1; update retentiond.node set hash = sha256(hash)':
      'forked',
  }
  for (const [statement, message] of Object.entries(attempts)) {
    await using bench = await openJournalBench()
    await bench.append(policy)
    await bench.append(policy)
    const known = await makeCheckpoint(toolsOf(bench), null)
    await tamper(bench, statement)

    await expect(makeCheckpoint(toolsOf(bench), null)).rejects.toThrow(message)
    await tamper(bench, 'delete from retentiond.checkpoint')
    // What the process remembers outlives the rows.
    await expect(makeCheckpoint(toolsOf(bench), known)).rejects.toThrow(message)
  }
})

test('entries that were cut off behind their hashes cannot be written anew', async () => {
  await using bench = await openJournalBench()
  await bench.append(policy)
  await tamper(
    bench,
    'delete from retentiond.entry where seq = 1; update retentiond.head set size = 1, last_hash = (select leaf_hash from retentiond.entry where seq = 0)',
  )

  await expect(bench.append(runStart)).rejects.toMatchObject({ code: 'JOURNAL_CONFLICT' })
})

test('a stored checkpoint that was changed stops the signing', async () => {
  await using bench = await openJournalBench()
  await makeCheckpoint(toolsOf(bench), null)
  await tamper(
    bench,
    "update retentiond.checkpoint set note = replace(note, E'\\n2\\n', E'\\n1\\n')",
  )

  await expect(makeCheckpoint(toolsOf(bench), null)).rejects.toThrow('is not what was signed')
})

test('a heartbeat comes when a day passed in silence, and once', async () => {
  await using bench = await openJournalBench()
  const tools = { db: bench.db, signer: testSigner, clock: fixedClock }
  expect(await beat(tools)).toBe(false)
  await tamper(bench, "update retentiond.head set last_time = last_time - interval '25 hours'")

  expect(await Promise.all([beat(tools), beat(tools)])).toEqual(
    expect.arrayContaining([true, false]),
  )
  const types: (string | undefined)[] = []
  for await (const { body } of readEntries(bench.db)) types.push(parseEntry(body).entry?.type)
  expect(types).toEqual(['genesis', 'heartbeat'])
})

test('the daemon signs nothing by itself while somebody enforces, and says when it cannot', async () => {
  await using bench = await openJournalBench()
  const tools = {
    db: bench.db,
    signer: testSigner,
    clock: systemClock,
    log: silentLog,
    checkpointer: openCheckpointer(toolsOf(bench), () => {}),
  }
  const lease = await takeLease(bench.db, 'other')
  expect(await pulse(tools)).toBeNull()
  expect(await readCheckpoints(bench.db)).toEqual([])
  await releaseLease(bench.db, lease)

  expect(await pulse(tools)).toBeNull()
  expect(await readCheckpoints(bench.db)).toHaveLength(1)
  await tamper(bench, 'delete from retentiond.entry where seq = 1')
  expect(await pulse(tools)).toMatchObject({ code: 'JOURNAL_CORRUPT' })
})

const SITE = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 2 } }
rules:
  - { id: connection, table: site.connection, start: at, keep: 1 year, then: purge }
`

test('a run is signed when it has ended, and fails if its journal turned out unsound', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.connection (id int primary key, at date);
    insert into site.connection select n, '2015-01-01' from generate_series(1, 4) as n`)
  await bed.govern(SITE)
  const { db } = bed.connection
  const checkpointer = openCheckpointer(
    { db, signer: bed.signer, checkpoints, clock: systemClock },
    () => {},
  )

  const { outcome } = await bed.enforce({ checkpointer })
  const { size } = await treeHead(db)
  expect(outcome).toBe('done')
  expect((await readCheckpoints(db)).map((each) => each.size)).toEqual([size])

  await bed.run('alter table retentiond.node disable trigger all')
  await bed.run('update retentiond.node set hash = sha256(hash)')
  await bed.run("insert into site.connection values (9, '2015-01-01')")
  const failed = await bed.enforce({ checkpointer })
  expect(failed).toMatchObject({ outcome: 'done', exit: 5, error: { code: 'JOURNAL_CORRUPT' } })
  // As it was: the invariant of the bed wants a sound journal.
  await bed.run('delete from retentiond.node')
})
