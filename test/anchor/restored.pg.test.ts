import { expect, test } from 'vitest'
import { openAnchored } from '../../src/anchor/anchored.ts'
import { openAnchoring } from '../../src/anchor/anchoring.ts'
import { openArchive } from '../../src/anchor/archive.ts'
import { fileSink } from '../../src/anchor/file-sink.ts'
import { recoverFrom } from '../../src/anchor/recover.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { connect } from '../../src/db/connect.ts'
import { approvals } from '../../src/enforce/standing.ts'
import { enforceNow } from '../../src/enforce/requests.ts'
import { liftHolds, liftMissing, placeHold } from '../../src/hold/hold.ts'
import { missingHolds } from '../../src/hold/missing.ts'
import { openBed, type Bed } from '../support/bed.ts'
import { putBack, takeBackup } from '../support/restore.ts'
import { checkpointSigner, temporaryFolder } from './journal.ts'

const SITE = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, pace: { share: 100 } }
rules:
  - { id: connection, table: site.connection, start: at, keep: 1 year, then: purge }
  - { id: visit, table: site.visit, start: at, keep: 1 year, then: purge }
`

async function enforceApproved(bed: Bed) {
  const governed = await bed.govern(SITE)
  return enforceNow(
    {
      ...governed,
      db: bed.connection.db,
      clock: systemClock,
      log: silentLog,
      signer: bed.signer,
      trigger: 'schedule',
      acceptClock: false,
      connections: 1,
      holder: 'test',
      signal: new AbortController().signal,
    },
    await approvals(bed.connection.db),
  )
}

test('C10: after a restore what was destroyed is destroyed again, and a lost hold keeps its rule from acting', async () => {
  const tables = ['site.connection', 'site.visit']
  await using bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.connection (id int primary key, at date);
    create table site.visit (id int primary key, at date);
    insert into site.connection select n, '2015-01-01' from generate_series(1, 4) as n;
    insert into site.visit select n, '2015-01-01' from generate_series(1, 4) as n`)
  const { rules } = await bed.govern(SITE)
  const { db } = bed.connection
  const folder = await temporaryFolder()
  const sink = fileSink({ name: 'worm', required: true, folder, evidence: true })
  const tools = { db, signer: bed.signer, checkpoints: checkpointSigner, clock: systemClock }
  const sinks = [sink]
  const anchoring = openAnchoring({ ...tools, log: silentLog, sinks, quorum: 1, maxLagMs: 1e12 })
  const checkpointer = openAnchored(tools, anchoring, () => {})
  const plan = await bed.plan()
  await bed.enforce({ plan, checkpointer })
  expect(await bed.rows('select from site.connection')).toEqual([])
  // The backup is of before the run and the hold, but knows the approval.
  await bed.run(
    "insert into site.connection values (5, '2015-01-01'); insert into site.visit values (5, '2015-01-01')",
  )
  await bed.watch()
  await takeBackup(async (statement) => bed.run(statement), tables)
  await using keeper = connect(bed.database.urlOf(bed.roles.keeper))
  const desk = { db: keeper.db, signer: bed.signer, clock: systemClock }
  const scope = { kind: 'rule', rule: 'visit' } as const
  const [lost] = await placeHold(desk, { caseReference: 'CASE-1', scope, until: null, rules })
  await enforceApproved(bed)
  await checkpointer.sign()
  expect(await bed.rows('select id from site.connection')).toEqual([])
  await putBack(async (statement) => bed.run(statement), tables)

  const archive = await openArchive(folder)
  const recovered = await recoverFrom(tools, archive, [])
  expect(recovered.entries).toBeGreaterThan(3)
  await bed.watch()
  expect(await missingHolds(db)).toMatchObject([{ hold: lost, scope: 'rule', target: 'visit' }])

  const again = await enforceApproved(bed)
  expect(again).toMatchObject({ outcome: 'refused', exit: 3 })
  expect(again.refused).toMatchObject([{ rule: 'visit', code: 'hold_missing' }])
  expect(await bed.rows('select id from site.connection')).toEqual([])
  expect(await bed.rows('select id from site.visit')).toEqual([{ id: 5 }])

  // A person places it again, and says that the lost number is over.
  await placeHold(desk, { caseReference: 'CASE-1', scope, until: null, rules })
  await expect(liftMissing(desk, await missingHolds(keeper.db), '99')).rejects.toMatchObject({
    code: 'REFUSED',
  })
  for (const { hold } of await missingHolds(keeper.db)) {
    await liftMissing(desk, await missingHolds(keeper.db), String(hold))
  }
  expect(await enforceApproved(bed)).toMatchObject({ outcome: 'done', refused: [] })
  expect(await bed.rows('select id from site.visit')).toEqual([{ id: 5 }])
  await liftHolds(desk, 'CASE-1')
  await enforceApproved(bed)
  expect(await bed.rows('select id from site.visit')).toEqual([])
})
