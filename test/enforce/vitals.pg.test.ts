import { expect } from 'vitest'
import { readVitals } from '../../src/enforce/vitals.ts'
import { openSession } from '../support/faults.ts'
import { test } from '../support/bed.ts'

test('the vitals of a server tell its lock waiters, slots and the dead rows of a table', async ({
  bed,
}) => {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at date) with (autovacuum_enabled = off);
    insert into site.visit select n, now() from generate_series(1, 40000) as n;
    delete from site.visit where id > 10000;`)
  const [table] = await bed.rows<{ oid: number }>("select 'site.visit'::regclass::oid::int as oid")
  await bed.run('select pg_stat_force_next_flush()')
  await using holder = await openSession(bed.database.superuserUrl, bed.database.superuser)
  await using waiter = await openSession(bed.database.superuserUrl, bed.database.superuser)
  await holder.send('begin')
  await holder.send('lock table site.visit in access exclusive mode')
  const before = await readVitals(bed.connection.db, table?.oid ?? 0, 10_000)
  const few = await readVitals(bed.connection.db, table?.oid ?? 0)
  void waiter.send('select from site.visit')
  let waiters = 0
  while (waiters === 0) {
    waiters = (await readVitals(bed.connection.db, table?.oid ?? 0)).lockWaiters
  }
  await holder.send('rollback')
  await waiter.drain()
  const asRole = before.extraWalBytes
  const allowed = 'grant execute on function pg_ls_waldir() to'
  await bed.run(`${allowed} ${bed.roles.daemon}`)
  const seeing = (await readVitals(bed.connection.db, table?.oid ?? 0)).extraWalBytes

  expect([asRole, seeing]).toEqual([null, 0])
  expect(before.freezePercent).toBeLessThan(100)
  expect(before).toMatchObject({
    replicaLagMs: null,
    replicasHidden: false,
    slotInDanger: false,
    lockWaiters: 0,
    archiverFails: false,
  })
  expect(before.deadPercent).toBeCloseTo(75, 0)
  expect(few.deadPercent).toBeNull()
})
