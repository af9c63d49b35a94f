import { expect } from 'vitest'
import { test, type Bed } from '../support/bed.ts'

const SCHEMA = `
  create schema help;
  create table help.customer (id int primary key);
  create table help.contract (
    id int primary key, customer_id int not null references help.customer, ended_on date
  );
  create table help.ticket (
    id int primary key, customer_id int, closed_on date, legal boolean not null default false,
    subject text
  );`

function policy(...rules: readonly string[]): string {
  return `
version: 1
policy: help
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
${rules.join('\n')}`
}

const SHORT = '  - { id: short, table: help.ticket, start: closed_on, keep: 1 year, then: purge }'
const LEGAL =
  '  - { id: legal, table: help.ticket, where: { legal: true }, start: closed_on, keep: 5 years, then: purge }'

async function tickets(bed: Bed): Promise<readonly number[]> {
  const rows = await bed.rows<{ id: number }>('select id from help.ticket order by id')
  return rows.map(({ id }) => id)
}

test('a row that two rules reach goes when both have ended', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.run(`insert into help.ticket (id, closed_on, legal) values
    (1, now() - interval '2 years', false), (2, now() - interval '2 years', true),
    (3, now() - interval '6 years', true), (4, now() - interval '1 month', false)`)
  await bed.govern(policy(SHORT, LEGAL))
  const { rules } = await bed.plan()
  expect(rules.map(({ rule, counts }) => [rule, counts.due, counts.kept])).toEqual([
    ['legal', 1, 0],
    ['short', 1, 1],
  ])
  expect(rules.map(({ counts }) => counts.superseded)).toEqual([0, 1])
  await bed.enforce()
  expect(await tickets(bed)).toEqual([2, 4])
})

test('a rule of mode report keeps what it speaks of from the others', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.run(`insert into help.ticket (id, closed_on, legal) values
    (1, now() - interval '2 years', true)`)
  await bed.govern(policy(SHORT, LEGAL.replace('id: legal', 'id: legal, mode: report')))
  await bed.enforce()
  expect(await tickets(bed)).toEqual([1])
})

test('a purge acts instead of an anonymisation on a row that both have ended for', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run(`insert into help.ticket (id, closed_on, legal, subject) values
    (1, now() - interval '6 years', false, 'A'), (2, now() - interval '6 years', true, 'B')`)
  await bed.govern(
    policy(
      LEGAL,
      `  - id: mask
    table: help.ticket
    start: closed_on
    keep: 1 year
    then: { anonymise: { subject: nothing, closed_on: { keep: when }, legal: { keep: what },
      customer_id: { keep: whose } } }`,
    ),
  )
  const { rules } = await bed.plan()
  expect(rules.map(({ rule, counts }) => [rule, counts.due, counts.superseded])).toEqual([
    ['legal', 1, 0],
    ['mask', 1, 1],
  ])
  await bed.enforce()
  expect(await bed.rows('select id, subject from help.ticket')).toEqual([{ id: 1, subject: null }])
})

test('a contract re-opened while another rule purges the row keeps it', async ({ bed }) => {
  await bed.run(SCHEMA)
  await bed.run(`insert into help.customer values (1);
    insert into help.contract values (1, 1, now() - interval '9 years');
    insert into help.ticket (id, customer_id, closed_on) values (1, 1, now() - interval '9 years')`)
  await bed.govern(
    policy(
      SHORT,
      `  - { id: customer-ticket, table: help.ticket, mode: report, keep: 1 year, then: purge,
      start: { latest: help.contract.ended_on, by: { customer_id: customer_id } } }`,
    ),
  )
  const outcomes: string[] = []
  await bed.enforce({
    onStep: async (step) => {
      if (step !== 'rows') return
      // The source is closed: the application waits for the batch, or comes before it.
      await bed
        .run("set lock_timeout = '100ms'; update help.contract set ended_on = null")
        .then(() => outcomes.push('reopened'))
        .catch(() => outcomes.push('waited'))
      await bed.run('reset lock_timeout')
    },
  })
  expect(outcomes[0]).toBe('waited')
  expect(await tickets(bed)).toEqual([])
})

test('what is read only for a record that another rule purges first is not planned to stay', async ({
  bed,
}) => {
  await bed.run(`
    create schema crm;
    create table crm.visit (id int primary key, client int, at date);
    create table crm.letter (id int primary key, client int, sent date);
    insert into crm.visit values (1, 7, '2001-01-01'), (2, 8, '2001-01-01');
    insert into crm.letter values (1, 7, '2001-01-01'), (2, 8, '2001-01-01'), (3, 8, current_date)`)
  await bed.govern(
    policy(
      '  - { id: sent, table: crm.letter, start: sent, keep: 10 years, then: purge }',
      '  - { id: visited, table: crm.letter, mode: report, start: { latest: crm.visit.at, by: { client: client } }, keep: 10 years, then: purge }',
      '  - { id: visit, table: crm.visit, start: at, keep: 10 years, then: purge }',
    ),
  )

  const plan = await bed.plan()
  await bed.enforce({ plan, approval: plan.digest })

  expect(plan.rules).toMatchObject([
    { rule: 'sent', counts: { due: 2, running: 1 } },
    { rule: 'visited', counts: { superseded: 2, kept: 1 } },
    { rule: 'visit', counts: { due: 1, deciding: 1 } },
  ])
  expect(await bed.rows('select id from crm.visit')).toEqual([{ id: 2 }])
})
