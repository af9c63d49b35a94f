import { expect } from 'vitest'
import type { PlannedRule } from '../../src/plan/plan.ts'
import { trialProblems, withTrials } from '../../src/plan/trials.ts'
import { openSession } from '../support/faults.ts'
import { test, type Bed } from '../support/bed.ts'

/** Seven people whose time is over; `columns` follow the ones that every test has. */
async function openPeople(bed: Bed, columns: string, values = "'old ' || n"): Promise<void> {
  await bed.run(`
    create schema crm;
    create extension if not exists citext schema public;
    create extension if not exists btree_gist schema public;
    create table crm.person (id int primary key, left_on date, mail ${columns});
    insert into crm.person (id, left_on, mail)
    select n, '2001-01-01', ${values} from generate_series(1, 7) as n`)
}

const policy = (mask: string, more = ''): string => `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
  - id: person
    table: crm.person
    start: left_on
    keep: 1 year
    then:
      anonymise:
        mail: ${mask}
        left_on: { keep: the period starts there }
${more}`

async function planned(bed: Bed, mask: string, more = ''): Promise<PlannedRule | undefined> {
  const prepared = await bed.govern(policy(mask, more))
  const before = await bed.rows('select * from crm.person order by id')
  const plan = await withTrials(bed.connection.db, prepared, await bed.plan())
  expect(await bed.rows('select * from crm.person order by id')).toEqual(before)
  expect(await bed.rows('select key from retentiond.anonymised')).toEqual([])
  return plan.rules[0]
}

const CASES: readonly (readonly [name: string, columns: string, mask: string, why: string])[] = [
  [
    'a check',
    "text constraint mailish check (mail ~ ' ')",
    '{ constant: Anonymised }',
    'constraint mailish refuses it (SQLSTATE 23514)',
  ],
  [
    'a domain',
    'crm_short',
    '{ template: "{key} is too long" }',
    'constraint crm_short_check refuses it (SQLSTATE 23514)',
  ],
  [
    'a length',
    'varchar(7)',
    '{ pattern: { find: old, with: longer } }',
    'PostgreSQL refuses it (SQLSTATE 22001)',
  ],
  [
    'a unique index on an expression',
    'text; create unique index low on crm.person (lower(mail))',
    '{ constant: A }',
    'constraint low refuses it (SQLSTATE 23505)',
  ],
  [
    'a unique index on some rows',
    'text; create unique index several on crm.person (mail) where id > 2',
    '{ constant: A }',
    'constraint several refuses it (SQLSTATE 23505)',
  ],
  [
    'a unique text in which ends are the same',
    'text unique',
    '{ partial: { first: 1 } }',
    'constraint person_mail_key refuses it (SQLSTATE 23505)',
  ],
  [
    'an exclusion',
    'text, exclude using gist (mail with =)',
    '{ constant: A }',
    'constraint person_mail_excl refuses it (SQLSTATE 23P01)',
  ],
  [
    'a deferred unique key',
    'text, constraint late unique (mail) deferrable initially deferred',
    '{ constant: A }',
    'constraint late refuses it (SQLSTATE 23505)',
  ],
  [
    'a unique column that is generated',
    'text, low text generated always as (lower(mail)) stored unique',
    '{ constant: A }',
    'constraint person_low_key refuses it (SQLSTATE 23505)',
  ],
  [
    'a generated column that cannot be computed',
    'text, size int generated always as (substr(mail, 5)::int) stored',
    '{ constant: Anonymised }',
    'PostgreSQL refuses it (SQLSTATE 22P02)',
  ],
  [
    'a foreign key of the column itself',
    'text; create table crm.known (mail text primary key); insert into crm.known select mail from crm.person; alter table crm.person add constraint known foreign key (mail) references crm.known',
    '{ constant: A }',
    'constraint known refuses it (SQLSTATE 23503)',
  ],
  [
    'a text that is no address',
    'text',
    '{ network: { v4: 24, v6: 48 } }',
    'PostgreSQL refuses it (SQLSTATE 22P02)',
  ],
]

test.for(CASES)(
  'what %s refuses is found by a trial when the plan is made',
  async ([, columns, mask, why], { bed }) => {
    await bed.run('create domain public.crm_short as text check (length(value) < 9)')
    const [column = '', ...after] = columns.replace('crm_short', 'public.crm_short').split('; ')
    await openPeople(bed, column)
    for (const statement of after) await bed.run(statement)
    const rule = await planned(bed, mask)

    expect(rule?.refusal).toEqual({
      code: 'trial_failed',
      message: `the masks were tried on 7 rows and taken back: ${why}`,
    })
  },
)

test('a few rows that a constraint keeps as they are do not refuse the rule, and the plan says so', async ({
  bed,
}) => {
  await openPeople(bed, "text, constraint stuck check (id <> 3 or mail = 'old 3')")

  const rule = await planned(bed, '{ constant: A }')

  expect(rule?.refusal).toBeNull()
  expect(rule?.remarks.filter(({ code }) => code === 'trial_spares')).toEqual([
    {
      code: 'trial_spares',
      message:
        '1 of 7 rows that were tried would be spared: constraint stuck refuses it (SQLSTATE 23514)',
      remedy: 'correct those rows, or the mask; a run goes on without them and exits 4',
    },
  ])
})

test.for([
  ['citext unique', '{ template: "{key}@nobody.invalid" }'],
  ['text unique', 'pseudonym'],
  ['text unique', '{ random: 16 }'],
  ['text unique', 'nothing'],
  ['text', '{ partial: { first: 1 } }'],
] as const)('a trial finds nothing against %s under %s', async ([column, mask], { bed }) => {
  await openPeople(bed, column.replace('citext', 'public.citext'))

  const rule = await planned(bed, mask)

  expect(rule).toMatchObject({ refusal: null, counts: { due: 7 } })
  expect(rule?.remarks.filter(({ code }) => code.startsWith('trial'))).toEqual([])
})

test('a trigger that restores the old row is found by the trial', async ({ bed }) => {
  await openPeople(bed, 'text')
  await bed.run(`
    create function crm.restore() returns trigger language plpgsql
      as $$ begin return old; end $$;
    create trigger restore before update on crm.person for each row execute function crm.restore()`)

  const rule = await planned(bed, '{ constant: A }', '    triggers: { acknowledge: [restore] }\n')

  expect(rule?.refusal?.message).toContain('the rows do not hold afterwards what the masks write')
})

test('a trial waits for no row of the application', async ({ bed }) => {
  await openPeople(bed, 'text unique')
  await using session = await openSession(bed.database.superuserUrl, bed.database.superuser)
  await session.send('begin')
  await session.send("update crm.person set mail = mail || '!'")

  const rule = await planned(bed, '{ partial: { first: 1 } }')

  expect(rule?.refusal).toBeNull()
  await session.send('rollback')
})

test('a plan as of another day is not tried', async ({ bed }) => {
  await openPeople(bed, 'text unique')
  const prepared = await bed.govern(policy('{ partial: { first: 1 } }'))

  const plan = await bed.plan({ kind: 'day', day: '2030-01-01' })

  expect(await withTrials(bed.connection.db, prepared, plan)).toEqual(plan)
})

test('the check of policies against a database says what a trial refused, at the masks', async ({
  bed,
}) => {
  await openPeople(bed, 'text unique')
  const prepared = await bed.govern(policy('{ partial: { first: 1 } }'))

  const problems = await trialProblems(bed.connection.db, prepared)

  expect(problems.map(({ at, code, message }) => [at, code, message])).toEqual([
    [
      'policy.yaml:14:9',
      'trial_failed',
      'the masks were tried on 7 rows and taken back: constraint person_mail_key refuses it (SQLSTATE 23505)',
    ],
  ])
})
