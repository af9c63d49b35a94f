import { expect } from 'vitest'
import { renderPlan } from '../../src/plan/render.ts'
import { test, type Bed } from '../support/bed.ts'

function policy(then: string, more: string): string {
  return `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 }, batch: { rows: 4 } }
rules:
  - id: customer
    table: crm.customer
    start: left_on
    keep: 1 year
    then: ${then}
${more}
  - id: visit
    table: crm.visit
    start: left_on
    keep: 1 year
    then: purge
`
}

/** Ten customers that are due, and a trigger function with the given body. */
async function openCrm(bed: Bed, body: string, trigger: string): Promise<void> {
  await bed.run(`
    create schema crm;
    create table crm.customer (id int primary key, email text, left_on date, updated_at timestamptz);
    create table crm.note (id int primary key, customer_id int references crm.customer, body text);
    create table crm.visit (id int primary key, left_on date);
    create table crm.history (id int, email text);
    grant insert on crm.history to ${bed.roles.daemon};
    insert into crm.customer select n, 'a' || n, '2001-01-01' from generate_series(1, 10) as n;
    insert into crm.note select n, n, 'b' from generate_series(1, 10) as n;
    insert into crm.visit values (1, '2001-01-01');
    create function crm.hook() returns trigger language plpgsql as $body$ begin ${body} end $body$;
    create trigger hook ${trigger} execute function crm.hook()`)
}

const ALONG = '    references: { crm.note: with_parent }'
const KNOWN = '    triggers: { acknowledge: [hook] }'
const ANONYMISE =
  '{ anonymise: { email: nothing, updated_at: { keep: figures }, left_on: { keep: decides } } }'

test.for([
  [
    'suppresses a deletion',
    'return null;',
    'before delete on crm.customer for each row',
    'purge',
    `${ALONG}\n${KNOWN}`,
    'a statement reached 0 rows where 4 were decided',
  ],
  [
    'puts a deleted row back',
    'insert into crm.customer values (old.*); return old;',
    'after delete on crm.customer for each row',
    'purge',
    `${ALONG}\n${KNOWN}`,
    '4 rows of crm.customer were there again after they were deleted',
  ],
  [
    'suppresses the deletion of a child',
    'return null;',
    'before delete on crm.note for each row',
    'purge',
    `${ALONG}\n    triggers: { acknowledge: [crm.note.hook] }`,
    'a statement reached 0 rows where 4 were decided',
  ],
  [
    'restores the old value of an update',
    'return old;',
    'before update on crm.customer for each row',
    ANONYMISE,
    `    references: { crm.note: with_parent }\n${KNOWN}`,
    'after the update 4 rows did not hold what their masks write',
  ],
  [
    'suppresses an update',
    'return null;',
    'before update of email on crm.customer for each row',
    ANONYMISE,
    `${ALONG}\n${KNOWN}`,
    'a statement reached 0 rows where 4 were decided',
  ],
] as const)(
  'an acknowledged trigger that %s ends its rule with nothing gone, and no other rule',
  async ([, body, trigger, then, more, said], { bed }) => {
    await openCrm(bed, body, trigger)
    await bed.run(`grant insert on crm.customer to ${bed.roles.daemon}`)
    await bed.govern(policy(then, more))

    const result = await bed.enforce()

    const [customer, visit] = ['customer', 'visit'].map((id) =>
      result.rules.find(({ rule }) => rule === id),
    )
    expect(customer?.error?.message).toBe(`rule customer: ${said}`)
    expect(customer?.rows).toBe(0)
    expect(visit).toMatchObject({ rows: 1, error: null })
    expect(
      await bed.rows(`
        select (select count(*)::int from crm.customer where email is not null) as customers,
          (select count(*)::int from crm.note) as notes`),
    ).toEqual([{ customers: 10, notes: 10 }])
  },
)

test('an audit trigger is named in the plan with the table to which it copies, and fires', async ({
  bed,
}) => {
  await openCrm(
    bed,
    'insert into crm.history values (old.id, old.email); new.updated_at := now(); return new;',
    'before update on crm.customer for each row',
  )
  await bed.govern(policy(ANONYMISE, `    references: { crm.note: with_parent }\n${KNOWN}`))

  const plan = await bed.plan()
  const result = await bed.enforce()

  const remarks = plan.rules.find(({ rule }) => rule === 'customer')?.remarks ?? []
  expect(remarks.filter(({ code }) => code === 'trigger_fires')).toEqual([
    {
      code: 'trigger_fires',
      message:
        'trigger hook of crm.customer fires: before update, for each row, it calls crm.hook(), which may write elsewhere: insert into crm.history',
      remedy:
        'old values may stay where it writes: look there, and give that table a rule; unless the function is security definer, the role of the program needs the right to write there',
    },
  ])
  expect(renderPlan(plan)).toContain('note: trigger hook of crm.customer fires')
  expect(result.rules.find(({ rule }) => rule === 'customer')).toMatchObject({ rows: 10, left: 0 })
  expect(await bed.rows('select count(*)::int as n from crm.history')).toEqual([{ n: 10 }])
  expect(await bed.rows('select distinct email from crm.customer')).toEqual([{ email: null }])
})

test('a trigger whose function was rewritten since the plan ends the run', async ({ bed }) => {
  const body = 'insert into crm.history values (old.id, null); return old;'
  await openCrm(bed, body, 'after delete on crm.customer for each row')
  await bed.govern(policy('purge', `${ALONG}\n${KNOWN}`))
  const plan = await bed.plan()
  await bed.run(`
    create or replace function crm.hook() returns trigger language plpgsql
    as 'begin insert into crm.history values (old.id, old.email); return old; end'`)

  const result = await bed.enforce({ plan })

  expect(result.exit).toBe(3)
  expect(await bed.rows('select count(*)::int as n from crm.customer')).toEqual([{ n: 10 }])
})

test('a partitioned table fires the triggers of its root for the rows of every partition', async ({
  bed,
}) => {
  await bed.run(`
    create schema crm;
    create table crm.customer (id int primary key, email text, left_on date) partition by hash (id);
    create table crm.c0 partition of crm.customer for values with (modulus 2, remainder 0);
    create table crm.c1 partition of crm.customer for values with (modulus 2, remainder 1);
    create table crm.visit (id int primary key, left_on date);
    create table crm.history (id int, email text);
    grant insert on crm.history to ${bed.roles.daemon};
    insert into crm.customer select n, 'a' || n, '2001-01-01' from generate_series(1, 10) as n;
    create function crm.hook() returns trigger language plpgsql
      as 'begin insert into crm.history values (old.id, old.email); return old; end';
    create trigger hook after delete on crm.customer for each row execute function crm.hook()`)
  await bed.govern(policy('purge', KNOWN))

  await bed.enforce()

  expect(await bed.rows('select count(*)::int as n from crm.history')).toEqual([{ n: 10 }])
})
