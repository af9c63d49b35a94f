import { expect } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import {
  approvePlan,
  DEFAULT_TERMS,
  revokeApproval,
  type Terms,
} from '../../src/enforce/approve.ts'
import { enforceFile, enforceNow } from '../../src/enforce/requests.ts'
import { approvals, approvalsToRead, listApprovals } from '../../src/enforce/standing.ts'
import { parseEntry } from '../../src/journal/entry.ts'
import { readEntries } from '../../src/journal/read.ts'
import { makePlan } from '../../src/plan/make.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { test, type Bed } from '../support/bed.ts'

type Governed = Awaited<ReturnType<Bed['govern']>>

const policy = (keep: string, more = ''): string => `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10000, max_percent: 100 } }
rules:
  - { id: connection, table: site.connection, start: at, keep: ${keep}, then: purge${more} }
`

async function connections(bed: Bed): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.connection (id int primary key, at date, kind text);
    insert into site.connection values (1, '2015-01-01'), (2, '2016-01-01')`)
}

/** Adds rows that started so many months ago. */
async function add(bed: Bed, rows: number, months: number): Promise<void> {
  await bed.run(`
    insert into site.connection
    select (select coalesce(max(id), 0) from site.connection) + n,
      (now() - interval '${months} months')::date
    from generate_series(1, ${rows}) as n`)
  await bed.watch()
}

function tools(bed: Bed) {
  return { db: bed.connection.db, signer: bed.signer, clock: systemClock }
}

function running(bed: Bed, governed: Governed) {
  return {
    ...governed,
    ...tools(bed),
    log: silentLog,
    trigger: 'schedule',
    acceptClock: false,
    connections: 1,
    holder: 'test',
    signal: new AbortController().signal,
  } as const
}

async function enforceUnattended(bed: Bed, governed: Governed) {
  return enforceNow(running(bed, governed), await approvals(bed.connection.db))
}

/** The plan that a person reads. */
async function planToRead(bed: Bed, { set, catalog, rules }: Governed): Promise<Plan> {
  return makePlan(bed.connection.db, {
    policyDigest: set.digest,
    catalog,
    rules,
    stand: { kind: 'now' },
    approved: await approvalsToRead(bed.connection.db),
  })
}

async function approve(bed: Bed, governed: Governed, terms: Partial<Terms> = {}) {
  const request = { ...governed, ...tools(bed) }
  return approvePlan(request, await planToRead(bed, governed), { ...DEFAULT_TERMS, ...terms })
}

async function left(bed: Bed): Promise<number> {
  return (await bed.rows('select from site.connection')).length
}

test('a stricter limit or floor keeps an approval, and a looser one, or a lifted limit, does not', async ({
  bed,
}) => {
  await connections(bed)
  const governed = async (limits: string, floors = '') =>
    bed.govern(`${policy('1 year', `, limits: { ${limits} }`)}${floors}`)
  const state = async (under: Governed) => (await planToRead(bed, under)).rules[0]?.approval?.state
  await approve(bed, await governed('max_rows: 100'))

  const floor = 'floors: [{ table: site.connection, keep_at_least: 1 }]'
  expect(await state(await governed('max_rows: 99', floor))).toBe('given')
  expect(await enforceUnattended(bed, await governed('max_rows: 99', floor))).toMatchObject({
    refused: [{ code: 'below_floor' }],
  })
  expect(await state(await governed('max_rows: 101'))).toBe('changed')

  await approve(bed, await governed('max_rows: 1'), { liftLimits: true })
  expect(await state(await governed('max_rows: 1'))).toBe('given')
  expect(await state(await governed('max_rows: 1', floor))).toBe('changed')
})

test('a rule that nobody approved does not act by itself', async ({ bed }) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))

  const result = await enforceUnattended(bed, governed)

  expect(result).toMatchObject({
    outcome: 'refused',
    exit: 3,
    refused: [{ rule: 'connection', code: 'not_approved' }],
  })
  expect(await left(bed)).toBe(2)
})

test('approving a plan destroys nothing, and lets the rule act from its next run on', async ({
  bed,
}) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))

  const approved = await approve(bed, governed)
  const again = await approve(bed, governed)
  const before = await left(bed)
  const result = await enforceUnattended(bed, governed)

  expect([approved, again]).toEqual([['connection'], []])
  expect(before).toBe(2)
  expect(result.outcome).toBe('done')
  expect(await left(bed)).toBe(0)
})

test('a plan file that was carried out has approved its rules for the runs to come', async ({
  bed,
}) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))
  await enforceFile(running(bed, governed), await planToRead(bed, governed))
  await add(bed, 3, 13)

  const result = await enforceUnattended(bed, governed)

  expect(result.outcome).toBe('done')
  expect(await left(bed)).toBe(0)
})

test('a shortened period needs an approval, and the plan says how many rows more it takes', async ({
  bed,
}) => {
  await connections(bed)
  await add(bed, 5, 8)
  await approve(bed, await bed.govern(policy('1 year')))

  const shortened = await bed.govern(policy('6 months'))
  const plan = await planToRead(bed, shortened)
  const result = await enforceUnattended(bed, shortened)

  expect(plan.rules).toMatchObject([
    {
      counts: { due: 7 },
      refusal: null,
      approval: { state: 'shortened' },
      formerly: { keep: '1 year', due: 2 },
    },
  ])
  expect(result.refused).toMatchObject([{ code: 'not_approved' }])
  expect(await left(bed)).toBe(7)
})

test('a lengthened period, another schedule and another batch size need no approval', async ({
  bed,
}) => {
  await connections(bed)
  await add(bed, 4, 13)
  await approve(bed, await bed.govern(policy('1 year')))

  const lengthened = await bed.govern(
    policy('24 months', ', batch: { rows: 1 }, schedule: 0 3 * * *'),
  )
  const result = await enforceUnattended(bed, lengthened)

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2 }] })
  expect(await left(bed)).toBe(4)
})

test('a run takes no more rows of a table than were approved for one', async ({ bed }) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))
  await approve(bed, governed, { maxRows: 3 })
  await add(bed, 2, 13)

  const over = await enforceUnattended(bed, governed)
  await bed.run('delete from site.connection where id = 4')
  await bed.watch()
  const within = await enforceUnattended(bed, governed)

  expect(over.refused).toEqual([
    {
      rule: 'connection',
      code: 'over_approval',
      message: '4 rows of site.connection would go; approved are 3 for a run',
    },
  ])
  expect(within).toMatchObject({ outcome: 'done', rules: [{ rows: 3 }] })
})

test('a day later than approved is refused', async ({ bed }) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))
  await approve(bed, governed, { expires: { count: 1, unit: 'day' } })
  const day = new Date(Date.now() + 8 * 86_400_000).toISOString().slice(0, 10)

  const plan = await makePlan(bed.connection.db, {
    policyDigest: governed.set.digest,
    ...governed,
    stand: { kind: 'day', day },
    approved: await approvals(bed.connection.db),
  })

  expect(plan.rules).toMatchObject([{ refusal: { code: 'over_approval' } }])
})

test('a revoked approval stops the rule, and approving it again lets it act', async ({ bed }) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))
  await approve(bed, governed)
  const [{ approval } = { approval: '' }] = await revokeApproval(tools(bed), 'connection')

  const stopped = await enforceUnattended(bed, governed)
  await approve(bed, governed)
  const listed = await listApprovals(bed.connection.db)
  await revokeApproval(tools(bed), listed[0]?.approval.slice(0, 12) ?? '')
  await approve(bed, governed)
  const acted = await enforceUnattended(bed, governed)

  expect(stopped.refused).toMatchObject([{ code: 'not_approved' }])
  expect(approval).not.toBe(listed[0]?.approval)
  expect(acted).toMatchObject({ outcome: 'done', rules: [{ rows: 2 }] })
  await expect(revokeApproval(tools(bed), 'customer')).rejects.toMatchObject({ code: 'REFUSED' })
})

test('an approval that is revoked while a plan waits to be carried out stops it', async ({
  bed,
}) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))
  await approve(bed, governed)
  const before = await approvals(bed.connection.db)
  await revokeApproval(tools(bed), 'connection')

  const result = await enforceNow(running(bed, governed), before)

  expect(result).toMatchObject({ outcome: 'refused', rules: [], error: { code: 'REFUSED' } })
  expect(await left(bed)).toBe(2)
})

test('an approval whose body is not what the journal names counts for nothing', async ({ bed }) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))
  await approve(bed, governed)
  await bed.run(`
    alter table retentiond.approval disable trigger deny_change;
    update retentiond.approval
    set body = convert_to(replace(convert_from(body, 'UTF8'), '"expiresAt":"2', '"expiresAt":"3'), 'UTF8');
    alter table retentiond.approval enable always trigger deny_change`)

  const result = await enforceUnattended(bed, governed)

  expect(result.refused).toMatchObject([{ code: 'not_approved' }])
  expect(await listApprovals(bed.connection.db)).toMatchObject([{ state: 'unproven' }])
})

test.for([
  "update retentiond.approval set body = 'no'",
  'delete from retentiond.approval',
  'truncate retentiond.approval',
])('what was approved can be neither changed nor removed: %s', async (statement, { bed }) => {
  await connections(bed)
  await approve(bed, await bed.govern(policy('1 year')))

  await expect(bed.run(statement)).rejects.toMatchObject({ code: '42501' })
})

test('an approval is void once the tables of its rule have changed', async ({ bed }) => {
  await connections(bed)
  await approve(bed, await bed.govern(policy('1 year')))
  await bed.run('alter table site.connection add column seen_from inet')

  const governed = await bed.govern(policy('1 year'))
  const result = await enforceUnattended(bed, governed)

  expect(result.refused).toMatchObject([{ code: 'not_approved' }])
  expect((await planToRead(bed, governed)).rules).toMatchObject([
    { approval: { state: 'tables_changed' } },
  ])
})

const BESIDE = `
  - { id: dispute, table: site.connection, where: { kind: dispute }, start: at, keep: KEEP, then: purge, limits: { max_percent: 50 } }`

test('an approval is void once a rule that kept rows beside it keeps less', async ({ bed }) => {
  await connections(bed)
  await bed.run("update site.connection set kind = 'dispute' where id = 1")
  const beside = (keep: string): string => policy('1 year') + BESIDE.replace('KEEP', keep)
  const states: unknown[] = []
  const stateUnder = async (yaml: string): Promise<void> => {
    const { rules } = await planToRead(bed, await bed.govern(yaml))
    states.push(rules.find(({ rule }) => rule === 'connection')?.approval?.state)
  }
  await approve(bed, await bed.govern(beside('30 years')))

  await stateUnder(beside('40 years'))
  await stateUnder(beside('20 years'))
  await stateUnder(policy('1 year'))

  expect(states).toEqual(['given', 'kept_less', 'kept_less'])
})

test('an approval lifts a tripped limit for the rows that were planned, and once', async ({
  bed,
}) => {
  await connections(bed)
  await add(bed, 18, 13)
  const governed = await bed.govern(policy('1 year', ', limits: { max_rows: 10 }'))

  const unlifted = await approve(bed, governed)
  const lifted = await approve(bed, governed, { liftLimits: true })
  const first = await enforceUnattended(bed, governed)
  await add(bed, 11, 13)
  const second = await enforceUnattended(bed, governed)
  await bed.run('delete from site.connection where id = 1')
  await bed.watch()
  const third = await enforceUnattended(bed, governed)

  expect([unlifted, lifted]).toEqual([[], ['connection']])
  expect(first).toMatchObject({ outcome: 'done', rules: [{ rows: 20 }] })
  expect(second.refused).toMatchObject([{ code: 'over_max_rows' }])
  expect(third).toMatchObject({ outcome: 'done', rules: [{ rows: 10 }] })
})

test('a run that is unlike the runs before it is refused, and an approval lifts that', async ({
  bed,
}) => {
  await connections(bed)
  const governed = await bed.govern(policy('1 year'))
  await approve(bed, governed, { maxRows: 10_000 })
  for (const rows of [0, 1, 3]) {
    await add(bed, rows, 13)
    await enforceUnattended(bed, governed)
  }
  await add(bed, 1010, 13)

  const unlike = await enforceUnattended(bed, governed)
  await approve(bed, governed, { liftLimits: true })
  const lifted = await enforceUnattended(bed, governed)

  expect(unlike.refused).toMatchObject([{ code: 'unlike_before' }])
  expect(lifted).toMatchObject({ outcome: 'done', rules: [{ rows: 1010 }] })
})

test('the journal says that an approval was given and revoked, by its digest alone', async ({
  bed,
}) => {
  await connections(bed)
  await approve(bed, await bed.govern(policy('1 year')))
  const [{ approval } = { approval: '' }] = await revokeApproval(tools(bed), 'connection')

  const said: unknown[] = []
  for await (const { body } of readEntries(bed.connection.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type !== 'approval') continue
    said.push(JSON.parse(body.toString()))
  }

  const common = { type: 'approval', rule: 'connection', approval }
  expect(said).toMatchObject([
    { ...common, phase: 'given' },
    { ...common, phase: 'revoked' },
  ])
  expect(Object.keys(said[0] as object)).toEqual([
    'v',
    'type',
    'seq',
    'prev',
    'time',
    'clock',
    'db',
    'phase',
    'rule',
    'approval',
  ])
})
