import { expect } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { readEntries } from '../../src/journal/read.ts'
import { test, type Bed } from '../support/bed.ts'
import { CASE, openDesk, policy, row, SCHEMA } from './desk.ts'

async function journalText(bed: Bed): Promise<string> {
  await using reader = connect(bed.database.superuserUrl)
  const bodies: string[] = []
  for await (const { body } of readEntries(reader.db)) bodies.push(body.toString())
  return bodies.join('\n')
}

test('the journal says that a hold was placed and lifted, and neither key, subject nor case', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run("insert into crm.customer values (770077, 'canary@example.org', '2001-02-03')")
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)

  await desk.place(row('crm.customer', '770077'))
  await desk.place({ kind: 'subject', value: 'canary@example.org' })
  await desk.place({ kind: 'rule', rule: 'ticket' })
  const lifted = await desk.lift()

  const text = await journalText(bed)
  const said = text
    .split('\n')
    .filter((body) => body.includes('"type":"hold"'))
    .map((body) => /"phase":.*/.exec(body)?.[0].replace(/"case_sha256":"[0-9a-f]{64}",/, ''))
  expect(lifted).toEqual([1, 2, 3])
  expect(said).toEqual(
    ['placed', 'lifted'].flatMap((phase) => [
      `"phase":"${phase}","hold":1,"scope":"row","target":"crm.customer"}`,
      `"phase":"${phase}","hold":2,"scope":"subject"}`,
      `"phase":"${phase}","hold":3,"scope":"rule","target":"ticket"}`,
    ]),
  )
  for (const secret of ['770077', 'canary', 'Dupont', 'CASE-42']) expect(text).not.toContain(secret)
})

test('a lifted hold has forgotten whom it was about', async ({ bed }) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.customer', '2'))
  await desk.place({ kind: 'subject', value: 'e1@example.org' }, 'CASE-43')

  await desk.lift('1')

  expect(await bed.rows('select key, subject from retentiond.hold order by id')).toEqual([
    { key: null, subject: null },
    { key: null, subject: 'e1@example.org' },
  ])
  expect(await desk.list()).toMatchObject([{ id: 2, case: 'CASE-43', scope: 'subject' }])
  expect(await desk.list(true)).toMatchObject([
    { id: 1, case: CASE, scope: 'row', target: 'crm.customer' },
    { id: 2, liftedAt: null },
  ])
})

test('a hold on what is not there is refused, and leaves no trace', async ({ bed }) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)

  await expect(desk.place(row('crm.customer', '99'))).rejects.toThrow(
    'crm.customer has no row with this key: there is nothing to hold',
  )
  await expect(desk.place({ kind: 'subject', value: 'nobody' })).rejects.toThrow(
    'no record is about this subject: there is nothing to hold',
  )
  await expect(desk.place({ kind: 'rule', rule: 'tickets' })).rejects.toMatchObject({
    message: 'there is no rule tickets',
    remedy: 'the rules are customer, ticket',
  })
  await expect(desk.place(row('legal.litigation', '1'))).rejects.toThrow(
    'no rule reaches legal.litigation: nothing there is ever destroyed',
  )
  await expect(desk.place(row('crm.customer', 'canary'))).rejects.toMatchObject({ code: 'USAGE' })
  await expect(desk.place(row('crm.customer', '1', '2'))).rejects.toThrow('named by 1 values')
  await expect(desk.place(row('crm.customer', '1'), '42')).rejects.toMatchObject({ code: 'USAGE' })
  await expect(desk.lift('CASE-1')).rejects.toThrow('no open hold belongs to this case')
  await expect(desk.lift('7')).rejects.toThrow('no open hold has the number 7')
  expect(await bed.rows('select from retentiond.hold')).toEqual([])
  expect(await journalText(bed)).not.toContain('"type":"hold"')
})

test('a key and a subject are taken in any spelling of their type', async ({ bed }) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy({ ticket: '    subject: customer_id' }))
  await using desk = openDesk(bed, rules)

  await desk.place(row('crm.customer', ' 02'))
  await desk.place({ kind: 'subject', value: '0003' })

  expect(await bed.rows('select key, subject from retentiond.hold order by id')).toEqual([
    { key: ['2'], subject: null },
    { key: null, subject: '3' },
  ])
})

test('no role changes, deletes or forges a hold; only its lifting is taken', async ({ bed }) => {
  await bed.run(SCHEMA)
  const { rules } = await bed.govern(policy())
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.customer', '2'))
  const refusals: (string | undefined)[] = []
  const attempt = async (role: string | null, statement: string): Promise<void> => {
    const client = bed.database.superuser
    await client.query('begin')
    if (role !== null) await client.query(`set local role ${role}`)
    await client.query(statement).then(
      () => refusals.push('taken'),
      (error: { code?: string }) => refusals.push(error.code),
    )
    await client.query('rollback')
  }
  const { keeper, daemon, auditor } = bed.roles

  await attempt(keeper, "update retentiond.hold set until = '2020-01-01'")
  await attempt(keeper, 'delete from retentiond.hold')
  await attempt(daemon, 'update retentiond.hold set lifted_at = now()')
  await attempt(
    daemon,
    "insert into retentiond.hold (case_reference, scope, rule) values ('x', 'rule', 'x')",
  )
  await attempt(auditor, 'select from retentiond.hold')
  await attempt(null, "update retentiond.hold set case_reference = 'other'")
  await attempt(null, 'delete from retentiond.hold')
  await attempt(null, 'truncate retentiond.hold')
  await attempt(keeper, 'select retentiond.close_holds()')

  expect(refusals).toEqual(Array.from({ length: 9 }, () => '42501'))
})
