import { expect } from 'vitest'
import { inSnapshot } from '../../src/db/transaction.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import { test } from '../support/bed.ts'
import { CASE, LITIGATION, openDesk, policy, row, SCHEMA } from './desk.ts'

test('an explanation names the case and scope of every hold, and where it lies, but no key', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run('insert into legal.litigation values (880088, 2, null, null, null)')
  const { rules, catalog } = await bed.govern(policy({ holds: LITIGATION }))
  await using desk = openDesk(bed, rules)
  await desk.place({ kind: 'subject', value: 'e2@example.org' })
  await desk.place(row('crm.message', '211'), 'CASE-7')
  await desk.place(row('crm.ticket', '31'), 'CASE-8')
  const table = catalog.tables.get('crm.ticket')
  const fitted = rules.find(({ rule }) => rule.id === 'ticket')
  if (table === undefined || fitted === undefined) throw new Error('no ticket')

  const explanation = await inSnapshot(bed.connection.db, async (trx) =>
    explainRecord(trx, {
      rules,
      table,
      key: fitted.key,
      values: ['21'],
      at: '2026-03-01T12:00:00.000000Z',
    }),
  )

  const [rule] = explanation.rules
  expect(rule).toMatchObject({ verdict: 'held' })
  const placed = {
    since: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}Z$/) as string,
    until: null,
  }
  expect(rule?.holds).toEqual([
    { hold: 1, case: CASE, scope: 'subject', on: 'crm.customer', source: null, ...placed },
    {
      hold: null,
      case: null,
      scope: 'source',
      on: 'crm.customer',
      source: 'legal.litigation',
      since: null,
      until: null,
    },
    { hold: 2, case: 'CASE-7', scope: 'row', on: 'crm.message', source: null, ...placed },
  ])
  expect(renderExplanation(explanation, 'en')).toContain(
    `Held: by subject, hold 1 of case ${CASE} (on a row of crm.customer), since `,
  )
  expect(renderExplanation(explanation, 'fr')).toContain(
    'Gelé : par une ligne de legal.litigation (sur une ligne de crm.customer).\n',
  )
  for (const secret of ['880088', 'e2@example.org', '211']) {
    expect(renderExplanation(explanation, 'en')).not.toContain(secret)
  }
})
