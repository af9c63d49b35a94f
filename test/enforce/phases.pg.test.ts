import { expect } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { inSnapshot } from '../../src/db/transaction.ts'
import { approvePlan, DEFAULT_TERMS, revokeApproval } from '../../src/enforce/approve.ts'
import { enforceNow } from '../../src/enforce/requests.ts'
import { approvals, approvalsToRead } from '../../src/enforce/standing.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import { makePlan } from '../../src/plan/make.ts'
import { renderPlan } from '../../src/plan/render.ts'
import { openDesk } from '../hold/desk.ts'
import { test, type Bed } from '../support/bed.ts'

/** Person n left so many months ago. */
const SCHEMA = `
  create schema crm;
  create table crm.person (id int primary key, name text, mail text);
  create table crm.contract (
    id int primary key, person_id int not null references crm.person, ended_on date
  );
  create table crm.note (id int primary key, person_id int references crm.person, body text);
  create function crm.ago(months int) returns date language sql
  return (current_date - make_interval(months => months))::date;
  insert into crm.person
  select n, 'Canary ' || n, 'canary' || n || '@example.org' from generate_series(1, 4) as n;
  insert into crm.contract values
    (10, 1, crm.ago(11)), (20, 2, crm.ago(30)), (30, 3, crm.ago(130)), (40, 4, null);
  insert into crm.note select id * 10, id, 'note' from crm.person`

const policy = (more = ''): string => `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10000, max_percent: 100 } }
rules:
  - id: person
    table: crm.person
    subject: mail
    start: { latest: crm.contract.ended_on, by: { person_id: id } }
    then:
      - after: 1 year
        anonymise: { name: nothing, mail: { keep: 'the subject' } }
      - after: 10 years
        purge: true
    references: { crm.contract: with_parent, crm.note: with_parent }
${more}`

async function stateOf(bed: Bed) {
  const [state] = await bed.rows(`select
    (select array_agg(id || ' ' || coalesce(name, '-') order by id) from crm.person) as people,
    (select array_agg(id order by id) from crm.contract) as contracts,
    (select array_agg(id order by id) from crm.note) as notes`)
  return state
}

test('a record is masked in its first phase and purged in its last, and a late one is purged at once', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(policy())

  const plan = await bed.plan()
  expect(
    plan.rules.map(({ rule, keep, counts }) => [rule, keep, counts.due, counts.superseded]),
  ).toEqual([
    ['person.anonymise', '1 year', 1, 1],
    ['person.purge', '10 years', 1, 0],
  ])
  expect(renderPlan(plan)).toContain('person.purge: person (phase 2 of 2 of person)')
  expect(await bed.enforce({ plan })).toMatchObject({ outcome: 'done' })

  // The contract of a masked person says when the person is to be purged, and stays until then.
  expect(await stateOf(bed)).toEqual({
    people: ['1 Canary 1', '2 -', '4 Canary 4'],
    contracts: [10, 20, 40],
    notes: [10, 40],
  })
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [] })

  await bed.run('update crm.contract set ended_on = crm.ago(121) where id = 20')
  expect(await bed.enforce()).toMatchObject({
    rules: [{ rule: 'person.purge', rows: 1, childRows: 1 }],
  })
  expect(await stateOf(bed)).toMatchObject({ people: ['1 Canary 1', '4 Canary 4'] })
})

test('a hold on a rule is on each of its phases, and is told in an explanation of each', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const { rules, catalog } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place({ kind: 'rule', rule: 'person' })

  expect((await bed.plan()).rules.map(({ counts }) => counts.held)).toEqual([2, 1])
  const table = catalog.tables.get('crm.person')
  const key = rules[0]?.key ?? []
  if (table === undefined) throw new Error('no table')
  const explain = async (id: string) =>
    inSnapshot(bed.connection.db, async (trx) =>
      explainRecord(trx, { rules, table, key, values: [id], at: new Date().toISOString() }),
    )
  const held = await explain('3')
  await desk.lift()
  const free = await explain('3')

  expect(held.rules.map(({ verdict, holds }) => [verdict, holds.length])).toEqual([
    ['held', 1],
    ['held', 1],
  ])
  expect(free.rules.map(({ verdict }) => verdict)).toEqual(['superseded', 'due'])
  expect(renderExplanation(free, 'en')).toContain('Phase 2 of 2 of rule person;')
  expect(renderExplanation(free, 'fr')).toContain('Phase 2 sur 2 de la règle person ;')
})

test('each phase has an approval of its own, and the id of the rule stands for all of them', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const governed = await bed.govern(policy())
  const tools = { db: bed.connection.db, signer: bed.signer, clock: systemClock }
  const planToRead = async () =>
    makePlan(bed.connection.db, {
      policyDigest: governed.set.digest,
      ...governed,
      stand: { kind: 'now' },
      approved: await approvalsToRead(bed.connection.db),
    })
  const approve = async (...only: readonly string[]) =>
    approvePlan({ ...tools, ...governed }, await planToRead(), { ...DEFAULT_TERMS, only })

  expect(await approve('person.anonymise')).toEqual(['person.anonymise'])
  const request = {
    ...governed,
    ...tools,
    log: silentLog,
    trigger: 'schedule',
    acceptClock: false,
    connections: 1,
    holder: 'test',
    signal: new AbortController().signal,
  } as const
  expect(await enforceNow(request, await approvals(bed.connection.db))).toMatchObject({
    rules: [{ rule: 'person.anonymise', rows: 1 }],
    refused: [{ rule: 'person.purge', code: 'not_approved' }],
  })
  // Of the phases whose time has come only the latest acts, also while nobody lets it.
  expect(await stateOf(bed)).toMatchObject({ people: expect.arrayContaining(['3 Canary 3']) })

  expect(await approve('person')).toEqual(['person.anonymise', 'person.purge'])
  const revoked = await revokeApproval(tools, 'person')
  expect(revoked.map(({ rule }) => rule)).toEqual(['person.anonymise', 'person.purge'])
})

test('what is due beyond its maximum is overdue, unless a hold keeps it', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.run('alter table crm.note add at date; update crm.note set at = crm.ago(15)')
  await bed.run('update crm.note set at = crm.ago(14) where id = 20')
  await bed.run('update crm.note set at = null where id = 40')
  const { rules } = await bed.govern(`
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10000, max_percent: 100 } }
rules:
  - { id: note, table: crm.note, subject: body, start: at, keep: 1 year, within: 2 months, then: purge }
`)
  await bed.run("update crm.note set body = 'held' where id = 30")
  await using desk = openDesk(bed, rules)
  await desk.place({ kind: 'subject', value: 'held' })

  const plan = await bed.plan()
  // In time until today: 14 months ago to the day.
  expect(plan.rules).toMatchObject([{ counts: { due: 2, held: 1 }, within: '2 months' }])
  expect(plan.rules[0]?.overdue?.rows).toBe(1)
  expect(plan.rules[0]?.overdue?.days).toBeGreaterThanOrEqual(28)
  expect(plan.rules[0]?.overdue?.days).toBeLessThanOrEqual(31)
  expect(renderPlan(plan)).toContain('OVERDUE: 1 should have been done 1 year and 2 months after')

  expect(await bed.enforce({ plan })).toMatchObject({
    overdue: [{ rule: 'note', before: 1, after: 0, days: 0 }],
  })
})

test('a run that leaves overdue records says how many, and for how long', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.govern(policy('    within: 1 month\n'))
  await bed.run('begin; select from crm.person where id = 3 for update')

  const { overdue } = await bed.enforce()
  await bed.run('commit')

  expect(overdue).toMatchObject([
    { rule: 'person.anonymise', before: 1, after: 0 },
    { rule: 'person.purge', before: 1, after: 1, days: expect.any(Number) },
  ])
  expect(overdue[1]?.days).toBeGreaterThan(240)
})
