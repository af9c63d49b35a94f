import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { openAnchored } from '../../src/anchor/anchored.ts'
import { openAnchoring } from '../../src/anchor/anchoring.ts'
import { openArchive } from '../../src/anchor/archive.ts'
import { fileSink } from '../../src/anchor/file-sink.ts'
import { requireRemembered, readRemembered } from '../../src/anchor/guard.ts'
import { acknowledge, recoverFrom } from '../../src/anchor/recover.ts'
import { readState, writeState } from '../../src/anchor/state-file.ts'
import { silentLog } from '../../src/base/log.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { encodeEntry, parseEntry } from '../../src/journal/entry.ts'
import { openMemory } from '../../src/journal/memory.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import { findEntryBySeq, journalReader, readEntries } from '../../src/journal/read.ts'
import { appendEntry, lockHead } from '../../src/journal/store.ts'
import { verify } from '../../src/journal/verify.ts'
import { openJournalBench, type JournalBench } from '../journal/bench.ts'
import { fixedClock, policy, runStart, testSigner } from '../journal/builders.ts'
import { putBack, takeBackup } from '../support/restore.ts'
import { checkpointSigner, temporaryFolder } from './journal.ts'

const superuserOf = (bench: JournalBench) => async (statement: string) =>
  bench.database.superuser.query(statement)

/** A bench with a state file and a folder, and heads that go to both. */
async function anchoredBench(bench: JournalBench) {
  const root = await temporaryFolder()
  const [stateFile, folder] = [join(root, 'state'), join(root, 'kept')]
  const sinks = [fileSink({ name: 'worm', required: true, folder, evidence: true })]
  const guarded = { db: bench.db, log: silentLog, stateFile, sinks }
  const tools = {
    db: bench.db,
    signer: testSigner,
    checkpoints: checkpointSigner,
    clock: fixedClock,
  }
  const remember = async (head: Parameters<typeof writeState>[1]) => writeState(stateFile, head)
  const anchoring = openAnchoring({ ...tools, log: silentLog, sinks, quorum: 1, maxLagMs: 1e9 })
  const checkpointer = () => openAnchored({ ...tools, remember }, anchoring, () => {})
  return { stateFile, folder, guarded, tools, sign: async () => checkpointer().sign() }
}

test('J-T31: a journal that is shorter than the state file or a sink remembers starts nothing', async () => {
  await using bench = await openJournalBench()
  const { guarded, sign, stateFile } = await anchoredBench(bench)
  const run = superuserOf(bench)
  await requireRemembered(guarded)
  await takeBackup(run, [])
  await bench.append(policy)
  const { size } = await sign()
  await requireRemembered(guarded)

  await putBack(run, [])
  await expect(requireRemembered(guarded)).rejects.toMatchObject({
    code: 'ROLLED_BACK',
    exit: 5,
    message: expect.stringMatching(
      new RegExp(`has 1 entries, and the state file remembers ${size}.*same timeline 00000001`),
    ),
  })
  // Without the state file the sink remembers it, and refuses.
  await rm(stateFile)
  await expect(requireRemembered(guarded)).rejects.toThrow('sink worm remembers')
})

test('J-T32: a recovery to a point in time is told from a copy by its timeline', async () => {
  await using bench = await openJournalBench()
  const { guarded, stateFile, sign } = await anchoredBench(bench)
  // As a server after a recovery sees it: the newest entry is of a timeline that is not its own.
  await writtenElsewhere(bench, { tli: '0000000A' })
  const { size, root, origin } = await sign()
  await writtenElsewhere(bench, { tli: '0000000A' })
  await writeState(stateFile, { origin, size: size + 7, root })

  await expect(requireRemembered(guarded)).rejects.toMatchObject({
    code: 'ROLLED_BACK',
    message: expect.stringContaining('on timeline 00000001 after 0000000A: a recovery'),
  })
})

test('J-T33: what an archive has is appended byte for byte, and old heads still hold', async () => {
  await using bench = await openJournalBench()
  const { guarded, sign, folder, tools } = await anchoredBench(bench)
  const run = superuserOf(bench)
  await sign()
  await takeBackup(run, [])
  await bench.append(policy)
  await sign()
  await bench.append(runStart)
  const { size, root } = await sign()
  const before: string[] = []
  for await (const { body, sig } of readEntries(bench.db))
    before.push(`${body.toString()}${sig.toString('hex')}`)
  await putBack(run, [])

  const recovered = await recoverFrom(
    tools,
    await openArchive(folder),
    await readRemembered(guarded),
  )

  expect(recovered).toMatchObject({ size: 2, entries: size - 2, withoutTokens: 0 })
  await requireRemembered(guarded)
  const after: string[] = []
  for await (const { body, sig } of readEntries(bench.db))
    after.push(`${body.toString()}${sig.toString('hex')}`)
  expect(after.slice(0, size)).toEqual(before)
  const last = parseEntry((await findEntryBySeq(bench.db, size))?.body ?? Buffer.alloc(0))
  expect(last.entry).toMatchObject({
    type: 'recovered',
    why: 'archive',
    size: 2,
    entries: size - 2,
  })
  const report = await verify(journalReader(bench.db), { trustKey: null, expected: { size, root } })
  expect(report.findings).toEqual([])
  expect((await sign()).size).toBe(size + 1)
})

test('J-T34: an archive that was altered, has a gap or is too short appends nothing', async () => {
  await using bench = await openJournalBench()
  const { guarded, sign, folder, tools, stateFile } = await anchoredBench(bench)
  const run = superuserOf(bench)
  await sign()
  await takeBackup(run, [])
  await bench.append(policy)
  await sign()
  await bench.append(runStart)
  await sign()
  await putBack(run, [])
  const recover = async () =>
    recoverFrom(tools, await openArchive(folder), await readRemembered(guarded))
  const segment = join(folder, 'segments/000000000002-000000000003.jsonl')
  const sound = await readFile(segment, 'utf8')
  const refused = { code: 'ARCHIVE_UNSOUND', exit: 1 }

  await writeFile(segment, sound.replace('"count":12', '"count":21'))
  await expect(recover()).rejects.toMatchObject(refused)
  await writeFile(segment, sound)
  const newest = join(folder, 'checkpoints/000000000004')
  const note = await readFile(newest, 'utf8')
  await rm(newest)
  await expect(recover()).rejects.toMatchObject(refused)
  await writeFile(newest, note)
  await rm(join(folder, 'segments/000000000003-000000000004.jsonl'))
  await expect(recover()).rejects.toMatchObject(refused)
  await rm(newest)
  // Now the archive holds by itself, and ends before what the state file remembers.
  await expect(recover()).rejects.toThrow('ends with 3 entries, and 4 are remembered')
  expect((await treeHead(bench.db)).size).toBe(2)
  await rm(stateFile)
  expect(await recover()).toMatchObject({ entries: 1 })
})

test('J-T35: a journal that an old daemon went on with after a restore is a fork', async () => {
  await using bench = await openJournalBench()
  const { guarded, sign } = await anchoredBench(bench)
  const run = superuserOf(bench)
  await requireRemembered(guarded)
  await takeBackup(run, [])
  await bench.append(policy)
  await sign()
  await putBack(run, [])
  for (const draft of [runStart, policy, policy]) await bench.append(draft)

  await expect(requireRemembered(guarded)).rejects.toMatchObject({ code: 'FORKED', exit: 5 })
})

/** Appends an entry that says it was written elsewhere, as those of a dump do. */
async function writtenElsewhere(
  bench: JournalBench,
  where: { readonly sysid?: string; readonly tli?: string },
): Promise<void> {
  await inTransaction(bench.db, async (trx) => {
    const { origin, size, last_hash: prev, time, ...here } = await lockHead(trx)
    const clock = fixedClock.now().toISOString()
    const db = { sysid: here.sysid, tli: here.tli, lsn: here.lsn, xid: here.xid, ...where }
    const body = encodeEntry({ type: 'heartbeat' }, { seq: Number(size), prev, time, clock, db })
    await sql`select retentiond.append(${size}::bigint, ${prev}::bytea, ${time}::timestamptz,
      ${body}::bytea, ${testSigner.sign(origin, body)}::bytea)`.execute(trx)
  })
}

test('J-T36: a journal that was moved to another cluster waits for a person to say so', async () => {
  await using bench = await openJournalBench()
  const { guarded, tools } = await anchoredBench(bench)
  await writtenElsewhere(bench, { sysid: '1234567890' })

  await expect(requireRemembered(guarded)).rejects.toMatchObject({ code: 'OTHER_CLUSTER', exit: 5 })
  await requireRemembered({ ...guarded, acknowledged: 'cluster' })
  await acknowledge(tools, 'cluster')
  await requireRemembered(guarded)
  await expect(acknowledge(tools, 'cluster')).rejects.toMatchObject({ code: 'REFUSED' })
  const report = await verify(journalReader(bench.db), {
    trustKey: null,
    expected: await treeHead(bench.db),
  })
  expect(report.verdict).toBe('verified')
})

test('a journal that was begun anew is not the one that is remembered', async () => {
  await using bench = await openJournalBench()
  const { guarded, stateFile, sign } = await anchoredBench(bench)
  await sign()
  const state = await readState(stateFile)
  if (state === null) throw new Error('no state')
  await using other = await openJournalBench()

  await expect(requireRemembered({ ...guarded, db: other.db })).rejects.toMatchObject({
    code: 'OTHER_JOURNAL',
    message: expect.stringContaining(state.origin),
  })
})

test('without state file and sink only a journal without a run is taken as it is', async () => {
  await using bench = await openJournalBench()
  const stateFile = join(await temporaryFolder(), 'state')
  const guarded = { db: bench.db, log: silentLog, stateFile, sinks: [] }
  await requireRemembered(guarded)
  await rm(stateFile)
  await bench.append(runStart)

  await expect(requireRemembered(guarded)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    remedy: expect.stringContaining('--trust-database'),
  })
  await requireRemembered({ ...guarded, acknowledged: 'trusted' })
  await requireRemembered(guarded)
  await appendFile(stateFile, 'x')
  await expect(requireRemembered(guarded)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

/** A signer that remembers, and a way to append by it in a transaction that may be rolled back. */
function remembering(bench: JournalBench) {
  const signer = { ...testSigner, memory: openMemory() }
  const append = async () =>
    inTransaction(bench.db, async (trx) => appendEntry(trx, signer, policy, fixedClock))
  const rollBack = async () => {
    const taken: { seq: number; body: Buffer; sig: Buffer }[] = []
    const failed = inTransaction(bench.db, async (trx) => {
      const { seq, body } = await appendEntry(trx, signer, policy, fixedClock)
      taken.push({ seq, body, sig: testSigner.sign(bench.origin, body) })
      throw new Error('rolled back')
    })
    await expect(failed).rejects.toThrow('rolled back')
    return taken[0] as { seq: number; body: Buffer; sig: Buffer }
  }
  return { append, rollBack }
}

/** Puts an entry where it does not belong, as whoever owns the server can. */
async function plant(
  bench: JournalBench,
  { seq, body, sig }: { seq: number; body: Buffer; sig: Buffer },
): Promise<void> {
  const { superuser } = bench.database
  for (const table of ['entry', 'head', 'node']) {
    await superuser.query(`alter table retentiond.${table} disable trigger all`)
  }
  await superuser.query('delete from retentiond.node')
  await superuser.query('delete from retentiond.entry where seq = $1', [seq])
  await superuser.query('insert into retentiond.entry (seq, body, sig) values ($1, $2, $3)', [
    seq,
    body,
    sig,
  ])
  await superuser.query(
    'update retentiond.head set size = $1::bigint + 1, last_hash = (select leaf_hash from retentiond.entry where seq = $1)',
    [seq],
  )
}

test('J-T12: an entry that was rolled back, put in the place of a real one, is found before the next', async () => {
  await using bench = await openJournalBench()
  const { append, rollBack } = remembering(bench)
  await append()
  const dead = await rollBack()
  await append()
  const kept = await treeHead(bench.db)
  await plant(bench, dead)

  await expect(append()).rejects.toMatchObject({ code: 'FORKED', exit: 5 })
  // It is signed and in its place: what was kept of the real one tells them apart.
  const report = await verify(journalReader(bench.db), { trustKey: null, expected: kept })
  expect(report.findings.map(({ code }) => code)).toEqual(['ROOT'])
})

test('J-T12b: an entry that was rolled back, put into the slot it left, is found before the next', async () => {
  await using bench = await openJournalBench()
  const { append, rollBack } = remembering(bench)
  await append()
  const dead = await rollBack()
  await plant(bench, dead)

  await expect(append()).rejects.toThrow('is one that this process rolled back')
})

test('a database that is put back while a process runs is found before its next entry', async () => {
  await using bench = await openJournalBench()
  const run = superuserOf(bench)
  const { append } = remembering(bench)
  await append()
  await takeBackup(run, [])
  await bench.append(runStart)
  await append()
  await putBack(run, [])

  await expect(append()).rejects.toMatchObject({ code: 'ROLLED_BACK' })
  // Others that wrote meanwhile are none of that.
  const { append: another } = remembering(bench)
  await another()
  await bench.append(policy)
  await expect(another()).resolves.toMatchObject({ seq: 4 })
})
