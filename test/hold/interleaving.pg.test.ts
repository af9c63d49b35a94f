import { expect } from 'vitest'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { test, type Bed } from '../support/bed.ts'
import { openSession, STEPS } from '../support/faults.ts'
import { CASE, LITIGATION, openDesk, policy, row, SCHEMA } from './desk.ts'

/** What comes to a table after one of these steps is seen by the batch. */
const BEFORE_CLOSING: ReadonlySet<BatchStep> = new Set<BatchStep>(['begun', 'lease'])

/** Waits until a promise has settled, or its session waits for a lock. */
async function untilSettledOrWaiting(bed: Bed, promise: Promise<unknown>): Promise<void> {
  let settled = false
  const mark = (): void => {
    settled = true
  }
  promise.then(mark, mark)
  for (;;) {
    const waiting = await bed.rows(
      `select from pg_stat_activity where usename = '${bed.roles.keeper}' and wait_event_type = 'Lock'`,
    )
    if (settled || waiting.length > 0) return
  }
}

/** One more ticket without a customer, due, which the only batch of the next run comes to. */
async function addTicket(bed: Bed, id: number, customer: number | null = null): Promise<void> {
  await bed.run(
    `insert into crm.ticket values (${id}, ${customer === null ? 'null' : customer}, 'closed', '2001-02-03')`,
  )
  await bed.run(`insert into crm.message values (${id * 10}, ${id}, 'm')`)
}

async function isThere(bed: Bed, id: number): Promise<boolean> {
  return (await bed.rows(`select from crm.ticket where id = ${id}`)).length === 1
}

const SMALL = policy().replace(/rules:[\s\S]*- id: ticket/, 'rules:\n  - id: ticket')

test('a hold placed at whatever step of a batch keeps its row, or is refused since it is gone', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run('delete from crm.message; delete from crm.ticket')
  const { rules } = await bed.govern(SMALL)
  await using desk = openDesk(bed, rules)
  const ends: string[] = []

  for (const [at, step] of STEPS.entries()) {
    const id = 1000 + at
    await addTicket(bed, id)
    let placing: Promise<unknown> | undefined
    const result = await bed.enforce({
      onStep: async (reached) => {
        if (reached !== step || placing !== undefined) return
        placing = desk.place(row('crm.message', String(id * 10)), `CASE-${id}`)
        await untilSettledOrWaiting(bed, placing)
      },
    })
    const said = await (placing ?? Promise.reject(new Error('no step'))).then(
      () => 'placed',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    expect(result).toMatchObject({ outcome: 'done', error: null })
    ends.push(`${step}: ${said}, ${(await isThere(bed, id)) ? 'kept' : 'gone'}`)
  }

  const late = 'crm.message has no row with this key: there is nothing to hold, gone'
  expect(ends).toEqual(
    // Holds are closed with the lease, before any table.
    STEPS.map((step) => `${step}: ${step === 'begun' ? 'placed, kept' : late}`),
  )
})

test('a row that comes into a hold source at whatever step is in time, or waits for the batch', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run('delete from crm.message; delete from crm.ticket')
  await bed.govern(
    SMALL.replace('rules:', `${LITIGATION.replace('crm.customer: customer_id, ', '')}\nrules:`),
  )
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  const ends: string[] = []

  for (const [at, step] of STEPS.entries()) {
    const id = 1000 + at
    await addTicket(bed, id)
    let waited = false
    await bed.enforce({
      onStep: async (reached) => {
        if (reached !== step) return
        await session.send(
          `insert into legal.litigation values (${id}, null, ${id}, null, null) on conflict do nothing`,
        )
        waited = session.busy
      },
    })
    await session.drain()
    ends.push(
      `${step}: ${waited ? 'waited' : 'in time'}, ${(await isThere(bed, id)) ? 'kept' : 'gone'}`,
    )
  }

  expect(ends).toEqual(
    STEPS.map((step) => `${step}: ${BEFORE_CLOSING.has(step) ? 'in time, kept' : 'waited, gone'}`),
  )
})

test('a hold that comes to lie on the row above, at whatever step, keeps the row below or waits', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run('delete from crm.message; delete from crm.ticket; delete from crm.note')
  await bed.run('update crm.customer set left_on = current_date where id <> 4')
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place({ kind: 'subject', value: 'e4@example.org' })
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  const ends: string[] = []

  for (const [at, step] of STEPS.entries()) {
    const id = 1000 + at
    await bed.run(`insert into crm.customer values (${id}, 'x', current_date)`)
    await addTicket(bed, id, id)
    let waited = false
    await bed.enforce({
      onStep: async (reached) => {
        if (reached !== step) return
        await session.send(`update crm.customer set email = 'e4@example.org' where id = ${id}`)
        waited = session.busy
      },
    })
    await session.drain()
    ends.push(
      `${step}: ${waited ? 'waited' : 'in time'}, ${(await isThere(bed, id)) ? 'kept' : 'gone'}`,
    )
  }

  const early = new Set<BatchStep>(['begun', 'lease', 'shape', 'rows'])
  expect(ends).toEqual(
    STEPS.map((step) => `${step}: ${early.has(step) ? 'in time, kept' : 'waited, gone'}`),
  )
})

test('a row whose row above is locked by another session is spared, not waited for', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(policy())
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  await session.send('begin')
  await session.send("update crm.customer set email = 'other' where id = 2")

  const result = await bed.enforce()
  const spared = await bed.rows('select id::int from crm.ticket order by id')
  await session.send('rollback')

  expect(result.outcome).toBe('partial')
  expect(spared).toEqual([{ id: 21 }, { id: 22 }])
})

test('whoever places a hold while a batch takes long waits, and is never the victim of a deadlock', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  let placing: Promise<unknown> | undefined

  const result = await bed.enforce({
    onStep: async (step) => {
      if (step !== 'decided' || placing !== undefined) return
      placing = desk.place(row('crm.customer', '2'))
      await untilSettledOrWaiting(bed, placing)
      // Longer than deadlock_timeout, after which PostgreSQL looks for a circle.
      await bed.run('select pg_sleep(1.5)')
    },
  })
  await placing

  expect(result).toMatchObject({ outcome: 'done', error: null })
  expect(await desk.list()).toMatchObject([{ case: CASE }])
  expect(await bed.rows('select id::int from crm.customer')).toEqual([{ id: 2 }])
})

test('a batch that meets a hold being placed tries again, and keeps what it holds by then', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(policy())
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  await session.send('begin')
  await session.send(`
    insert into retentiond.hold (case_reference, scope, table_oid, table_name, key_columns, key)
    values ('CASE-1', 'row', 'crm.customer'::regclass, 'crm.customer', '{id}', '{3}')`)
  let attempts = 0

  const result = await bed.enforce({
    onStep: async (step) => {
      if (step !== 'begun') return
      attempts += 1
      if (attempts === 2) await session.send('commit')
    },
  })

  expect(result).toMatchObject({ outcome: 'done', error: null })
  expect(await bed.rows('select id::int from crm.customer')).toEqual([{ id: 3 }])
  expect(await bed.rows('select id::int from crm.ticket order by id')).toEqual([
    { id: 31 },
    { id: 32 },
  ])
})

test('a hold source that cannot be read stops the rules, and destroys nothing', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.govern(policy({ holds: LITIGATION }))
  const plan = await bed.plan()
  await bed.run(`revoke select on legal.litigation from ${bed.roles.daemon}`)
  await bed.run(`revoke select (customer_id) on legal.litigation from ${bed.roles.daemon}`)

  const result = await bed.enforce({ plan, approval: plan.digest })

  expect(result.outcome).toBe('failed')
  expect(result.rules.map(({ rows }) => rows)).toEqual([0, 0])
  await expect(bed.plan()).rejects.toMatchObject({ code: '42501' })
})
