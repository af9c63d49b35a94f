import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { journalReader, readHead } from '../../src/journal/read.ts'
import { appendEntry } from '../../src/journal/store.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import { verify } from '../../src/journal/verify.ts'
import { openBed } from '../support/bed.ts'
import { openJournalBench } from './bench.ts'
import { fixedClock, policy, testSigner } from './builders.ts'

test('J-T40: a transaction that is given up behind its entry leaves no entry and no gap', async () => {
  await using bench = await openJournalBench()
  for (const state of ['40001', '40P01', '57014']) {
    const failing = inTransaction(bench.db, async (trx) => {
      await appendEntry(trx, testSigner, policy, fixedClock)
      await sql`
        select set_config('test.state', ${state}, true)`.execute(trx)
      await sql`do $$ begin
        raise exception 'given up' using errcode = current_setting('test.state');
      end $$`.execute(trx)
    })
    await expect(failing).rejects.toMatchObject({ code: state })
    expect((await readHead(bench.db))?.size).toBe(1)
  }

  expect(await bench.append(policy)).toMatchObject({ seq: 1 })
  const report = await verify(journalReader(bench.db), {
    trustKey: null,
    expected: await treeHead(bench.db),
  })
  expect(report.verdict).toBe('verified')
})

test('J-T56: a commit is durable before it is answered, whatever role and database say', async () => {
  await using bench = await openJournalBench()
  const { database, roles } = bench
  await database.superuser.query(`alter role ${roles.daemon} set synchronous_commit = off`)
  await database.superuser.query(`alter database ${database.name} set synchronous_commit = local`)
  await using daemon = connect(database.urlOf(roles.daemon))
  const level = sql<{ level: string }>`select current_setting('synchronous_commit') as level`

  expect((await level.execute(daemon.db)).rows).toEqual([{ level: 'off' }])
  const inside = await inTransaction(daemon.db, async (trx) => level.execute(trx))
  expect(inside.rows).toEqual([{ level: 'on' }])
  await database.superuser.query(`alter role ${roles.daemon} set synchronous_commit = remote_apply`)
  await using stricter = connect(database.urlOf(roles.daemon))
  const kept = await inTransaction(stricter.db, async (trx) => level.execute(trx))
  expect(kept.rows).toEqual([{ level: 'remote_apply' }])
})

test('J-T41: a check that is deferred to the commit is met before the entry is written', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, at date);
    insert into site.visit select n, '2015-01-01' from generate_series(1, 4) as n;
    create function site.refuse() returns trigger language plpgsql as $$ begin
      if old.id = 3 then raise exception 'wanted' using errcode = '23503'; end if;
      return null;
    end $$;
    create constraint trigger wanted after delete on site.visit
      deferrable initially deferred for each row execute function site.refuse()`)
  await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, pace: { share: 100 } }
rules:
  - { id: visit, table: site.visit, start: at, keep: 1 year, then: purge, triggers: { acknowledge: [wanted] } }
`)

  const { outcome } = await bed.enforce()

  expect(outcome).toBe('partial')
  expect(await bed.rows('select id from site.visit')).toEqual([{ id: 3 }])
})
