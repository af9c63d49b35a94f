import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import { journalReader, readHead } from '../../src/journal/read.ts'
import { appendEntry } from '../../src/journal/store.ts'
import { verify } from '../../src/journal/verify.ts'
import { openBed } from '../support/bed.ts'
import { openJournalBench } from './bench.ts'
import { batch, codes, fixedClock, policy, runEnd, runStart, testSigner } from './builders.ts'

test('J-T6: a body that was edited under its stored leaf hash, as in a file, is found by it', async () => {
  await using bench = await openJournalBench()
  for (const draft of [policy, runStart, batch(), runEnd()]) await bench.append(draft)
  const expected = await treeHead(bench.db)
  // What an edit of the file leaves: PostgreSQL computed the hash once, and does not look at it again.
  await bench.database.superuser.query(`
    alter table retentiond.entry disable trigger all;
    alter table retentiond.entry alter column leaf_hash drop expression;
    update retentiond.entry
    set body = set_byte(body, position('"rows":100'::bytea in body) + 6, ascii('2'))
    where seq = 3`)

  const report = await verify(journalReader(bench.db), { trustKey: null, expected })

  expect(codes(report)).toEqual(['3 LEAF', '3 SIGNATURE', '4 CHAIN', '4 TOTALS', '4 ROOT'])
})

test('J-T40: an append whose transaction fails leaves no entry and no gap, and is repeated', async () => {
  await using bench = await openJournalBench()
  const append = async (failure: 'deadlock_detected' | 'serialization_failure' | null) =>
    inTransaction(bench.db, async (trx) => {
      const { seq } = await appendEntry(trx, testSigner, policy, fixedClock)
      if (failure === 'deadlock_detected')
        await sql`do $$ begin raise deadlock_detected; end $$`.execute(trx)
      if (failure !== null) await sql`do $$ begin raise serialization_failure; end $$`.execute(trx)
      return seq
    })

  await expect(append('deadlock_detected')).rejects.toMatchObject({ code: '40P01' })
  await expect(append('serialization_failure')).rejects.toMatchObject({ code: '40001' })
  expect(await readHead(bench.db)).toMatchObject({ size: 1 })
  expect(await append(null)).toBe(1)
  const expected = await treeHead(bench.db)
  expect(await verify(journalReader(bench.db), { trustKey: null, expected })).toMatchObject({
    verdict: 'verified',
    head: { size: 2 },
  })
})

test('J-T56: a role or database that commits asynchronously does not do so with an entry', async () => {
  await using bench = await openJournalBench()
  const { superuser } = bench.database
  for (const value of ['off', 'local']) {
    await superuser.query(`alter role ${bench.roles.daemon} set synchronous_commit = ${value}`)
    await using connection = connect(bench.database.urlOf(bench.roles.daemon))
    const shown = await inTransaction(connection.db, async (trx) => {
      await appendEntry(trx, testSigner, policy, fixedClock)
      return sql<{ synchronous_commit: string }>`show synchronous_commit`.execute(trx)
    })
    expect(shown.rows).toEqual([{ synchronous_commit: 'on' }])
  }
})

test('J-T41: a constraint that is checked at the end stops a batch before its entry', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, at date);
    insert into site.visit select n, '2015-01-01' from generate_series(1, 3) as n;
    create table site.kind (id int primary key);
    create table site.copy (kind int references site.kind deferrable initially deferred);
    create function site.hook() returns trigger language plpgsql security definer as $$
      begin insert into site.copy values (99); return old; end $$;
    create trigger hook after delete on site.visit for each row execute function site.hook()`)
  await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10, max_percent: 100 }, pace: { share: 100 } }
rules:
  - { id: visit, table: site.visit, start: at, keep: 1 year, then: purge, triggers: { acknowledge: [hook] } }
`)

  const { outcome } = await bed.enforce()
  const entries = await bed.rows<{ type: string }>(
    "select convert_from(body, 'UTF8')::json ->> 'type' as type from retentiond.entry order by seq",
  )

  expect(outcome).not.toBe('done')
  expect(await bed.rows('select id from site.visit')).toHaveLength(3)
  expect(entries.map(({ type }) => type)).not.toContain('batch')
})
