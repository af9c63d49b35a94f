import { expect, test } from 'vitest'
import { rowKey } from '../../src/catalog/catalog.ts'
import { connect } from '../../src/db/connect.ts'
import { inSnapshot } from '../../src/db/transaction.ts'
import { parseEntry, type TableRows } from '../../src/journal/entry.ts'
import { readEntries } from '../../src/journal/read.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import type { Prepared } from '../../src/plan/prepare.ts'
import { renderPlan } from '../../src/plan/render.ts'
import { trialProblems, withTrials } from '../../src/plan/trials.ts'
import { openBed, type Bed } from '../support/bed.ts'

const policy = (then: string, more: string, batch = 2): string => `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: ${batch} } }
rules:
  - id: customer
    table: crm.customer
    start: left_on
    keep: 10 years
    then: ${then}
${more}
`

const PURGE = 'purge'
const MASK = '{ anonymise: { name: nothing, left_on: { keep: it decides } } }'

/** Customers 1 to 4 are due, 5 is not. Notes 1 and 2 are about customer 1, 3 about 2, 4 about 5, 5 about nobody. */
const DATA = `
  create schema crm;
  create table crm.customer (id int primary key, name text default 'N', left_on date);
  create table crm.note (id int primary key, customer_id int references crm.customer, written_on date);
  create table crm.comment (id int primary key, kind text, owner int, written_on date);
  insert into crm.customer select n, 'N', '2001-01-01' from generate_series(1, 4) as n;
  insert into crm.customer values (5, 'N', current_date);
  insert into crm.note values (1, 1), (2, 1), (3, 2), (4, 5), (5, null);
  insert into crm.comment values
    (1, 'customer', 1), (2, 'customer', 3), (3, 'order', 1), (4, 'customer', 5), (5, null, 1)`

async function opened(): Promise<Bed> {
  const bed = await openBed()
  await bed.run(DATA)
  return bed
}

async function idsOf(bed: Bed, table: string): Promise<readonly unknown[]> {
  return (await bed.rows(`select id from ${table} order by id`)).map((row) => row['id'])
}

/** What the end of the only run says, less the governed table itself. */
async function totalsOf(bed: Bed): Promise<readonly TableRows[]> {
  await using reader = connect(bed.database.superuserUrl)
  const totals: TableRows[] = []
  for await (const { body } of readEntries(reader.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type === 'run' && entry.phase === 'end') totals.push(...entry.totals)
  }
  return totals.filter(({ target }) => target !== 'crm.customer')
}

async function explained(bed: Bed, prepared: Prepared, name: string, id: string): Promise<string> {
  const { rules, catalog } = prepared
  const table = catalog.tables.get(name)
  const key = table === undefined ? [] : (rowKey(table)?.columns ?? [])
  if (table === undefined) throw new Error(`no table ${name}`)
  const at = new Date().toISOString().replace('Z', '000Z')
  const explanation = await inSnapshot(bed.connection.db, async (trx) =>
    explainRecord(trx, {
      rules,
      table,
      key: key.map((column) => ({ name: column, type: { schema: 'pg_catalog', name: 'int4' } })),
      values: [id],
      at,
    }),
  )
  return renderExplanation(explanation, 'en')
}

test.for([
  ['purged', PURGE, [1, 2, 5]],
  ['anonymised', MASK, [1, 2, 3, 4, 5]],
] as const)(
  'a row that refers to a record by block keeps it from being %s',
  async ([, then, left]) => {
    await using bed = await opened()
    const prepared = await bed.govern(policy(then, '    references: { crm.note: block }'))

    const plan = await bed.plan()
    const said = await explained(bed, prepared, 'crm.customer', '1')
    const result = await bed.enforce()

    expect(plan.rules[0]?.counts).toMatchObject({ due: 2, blocked: 2, running: 1 })
    expect(plan.rules[0]?.references).toEqual([
      { from: 'crm.note', to: 'crm.customer', key: 'note_customer_id_fkey', as: 'block', rows: 3 },
    ])
    expect(said).toContain('spared: 2 rows of crm.note still refer to it.')
    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2, left: 0 }] })
    expect(await idsOf(bed, 'crm.customer')).toEqual(left)
    expect(
      await bed.rows("select id from crm.customer where name = 'N' and id < 5 order by id"),
    ).toEqual([{ id: 1 }, { id: 2 }])
  },
)

test.for([PURGE, MASK])(
  'a detached row stays and loses its link, and no other: %s',
  async (then) => {
    await using bed = await opened()
    const prepared = await bed.govern(policy(then, '    references: { crm.note: detach }'))

    const plan = await bed.plan()
    const said = await explained(bed, prepared, 'crm.note', '1')
    const result = await bed.enforce()
    const after = await bed.plan()

    expect(plan.rules[0]?.children).toEqual([{ table: 'crm.note', action: 'detach', rows: 3 }])
    expect(renderPlan(plan)).toContain('3 of crm.note stay, and lose their link')
    expect(said).toContain('It stays, and loses its link to a row of crm.customer')
    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 4, childRows: 3, left: 0 }] })
    expect(await totalsOf(bed)).toEqual([{ target: 'crm.note', action: 'detach', rows: 3 }])
    expect(await bed.rows('select id, customer_id from crm.note order by id')).toEqual(
      [null, null, null, 5, null].map((customer, at) => ({ id: at + 1, customer_id: customer })),
    )
    expect(after.rules[0]?.counts.due).toBe(0)
  },
)

test('a row that is attached to an anonymised record again is detached again', async () => {
  await using bed = await opened()
  await bed.govern(policy(MASK, '    references: { crm.note: detach }'))
  await bed.enforce()
  await bed.run('update crm.note set customer_id = 1 where id = 5')

  const plan = await bed.plan()
  await bed.enforce()

  expect(plan.rules[0]).toMatchObject({ counts: { due: 1, done: 3 }, children: [{ rows: 1 }] })
  expect(await bed.rows('select id from crm.note where customer_id = 1')).toEqual([])
})

test('a hold on a row that would be detached keeps the record that it refers to', async () => {
  await using bed = await opened()
  await bed.run(
    'create table crm.lawsuit (id int, note_id int); insert into crm.lawsuit values (1, 3)',
  )
  await bed.govern(
    policy(PURGE, '    references: { crm.note: detach }').replace(
      'rules:',
      'holds: [{ table: crm.lawsuit, covers: { crm.note: note_id } }]\nrules:',
    ),
  )

  const plan = await bed.plan()
  await bed.enforce()

  expect(plan.rules[0]?.counts).toMatchObject({ due: 3, held: 1 })
  expect(await idsOf(bed, 'crm.customer')).toEqual([2, 5])
  expect(await bed.rows('select customer_id from crm.note where id = 3')).toEqual([
    { customer_id: 2 },
  ])
})

test('a detachment that its table refuses spares the record, and the others go', async () => {
  await using bed = await opened()
  await bed.run('alter table crm.note add check (customer_id is not null or id <> 3) not valid')
  const prepared = await bed.govern(policy(PURGE, '    references: { crm.note: detach }'))

  const plan = await withTrials(bed.connection.db, prepared, await bed.plan())
  const result = await bed.enforce()

  expect(plan.rules[0]?.remarks.map(({ message }) => message)).toContain(
    '1 of 3 rows that were tried would be spared: constraint note_check refuses it (SQLSTATE 23514)',
  )
  expect(result).toMatchObject({ outcome: 'partial', rules: [{ rows: 3, refusedRows: 1 }] })
  expect(await idsOf(bed, 'crm.customer')).toEqual([2, 5])
})

test('a detachment that no row takes refuses the rule in the plan, and leaves nothing behind', async () => {
  await using bed = await opened()
  await bed.run(
    'alter table crm.note add check (num_nonnulls(customer_id, written_on) > 0) not valid',
  )
  const prepared = await bed.govern(policy(PURGE, '    references: { crm.note: detach }'))

  const plan = await withTrials(bed.connection.db, prepared, await bed.plan())
  const problems = await trialProblems(bed.connection.db, prepared)

  expect(plan.rules[0]?.refusal).toEqual({
    code: 'trial_failed',
    message:
      '3 rows of crm.note were detached and attached again, to try it: constraint note_check refuses it (SQLSTATE 23514)',
  })
  expect(problems.map(({ at, code }) => `${at} ${code}`)).toEqual([
    'policy.yaml:13:29 trial_failed',
  ])
  expect(await bed.rows('select id from crm.note where customer_id is null')).toEqual([{ id: 5 }])
})

const LOGICAL = (as: string): string => `    references: { crm.note: with_parent }
    logical: [{ table: crm.comment, by: { owner: id }, where: { kind: customer }, as: ${as} }]`

test.for([
  ['with_parent', 4, [5], [3, 4, 5]],
  ['detach', 4, [5], [1, 2, 3, 4, 5]],
  ['block', 2, [1, 3, 5], [1, 2, 3, 4, 5]],
] as const)(
  'a logical link is as good as a foreign key, for the rows that are in it: %s',
  async ([as, due, customers, comments]) => {
    await using bed = await opened()
    await bed.govern(policy(PURGE, LOGICAL(as)))

    const plan = await bed.plan()
    const result = await bed.enforce()

    expect(plan.rules[0]?.counts.due).toBe(due)
    expect(plan.rules[0]?.references).toContainEqual({
      from: 'crm.comment',
      to: 'crm.customer',
      key: 'owner (logical)',
      as,
      rows: 2,
    })
    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: due, left: 0 }] })
    expect(await idsOf(bed, 'crm.customer')).toEqual(customers)
    expect(await idsOf(bed, 'crm.comment')).toEqual(comments)
    expect(await bed.rows('select id from crm.comment where owner is null')).toEqual(
      as === 'detach' ? [{ id: 1 }, { id: 2 }] : [],
    )
  },
)

test('a record waits for rows of a logical link that have a rule of their own', async () => {
  await using bed = await opened()
  await bed.run("update crm.comment set written_on = case id when 1 then date '2001-01-01' end")
  await bed.govern(
    `${policy(PURGE, LOGICAL('own_rule'))}  - { id: comment, table: crm.comment, start: written_on, keep: 1 year, then: purge }\n`,
  )

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules.map(({ rule, counts }) => [rule, counts.due, counts.blocked])).toEqual([
    ['comment', 1, 0],
    ['customer', 3, 1],
  ])
  expect(result.outcome).toBe('done')
  expect(await idsOf(bed, 'crm.customer')).toEqual([3, 5])
})

test('what an acknowledged trigger takes beside what was decided takes the batch back', async () => {
  await using bed = await opened()
  await bed.run(`
    create function crm.tidy() returns trigger language plpgsql as
      'begin delete from crm.note where id = 4; return old; end';
    create trigger tidy after delete on crm.note for each row execute function crm.tidy()`)
  const prepared = await bed.govern(
    policy(
      PURGE,
      '    references: { crm.note: with_parent }\n    triggers: { acknowledge: [crm.note.tidy] }',
    ),
  )
  await bed.run(`grant delete on crm.note to ${bed.roles.daemon}`)

  const result = await bed.enforce()

  expect(prepared.rules[0]?.triggers).toHaveLength(1)
  expect(result.rules[0]?.error?.message).toBe(
    'rule customer: 4 rows of crm.note went where 3 were decided',
  )
  expect(await idsOf(bed, 'crm.customer')).toEqual([1, 2, 3, 4, 5])
})

test('a cascade from a table that the plan did not know ends the run before anything goes', async () => {
  await using bed = await opened()
  await bed.govern(policy(PURGE, '    references: { crm.note: with_parent }'))
  const plan = await bed.plan()
  await bed.run(`
    create table crm.late (id int primary key, customer_id int references crm.customer on delete cascade);
    insert into crm.late values (1, 1)`)

  const result = await bed.enforce({ plan })

  expect(result.outcome).toBe('catalog')
  expect(await idsOf(bed, 'crm.late')).toEqual([1])
  expect(await idsOf(bed, 'crm.customer')).toEqual([1, 2, 3, 4, 5])
})

test('rows that a cascade would take are counted in the limit, at any depth', async () => {
  await using bed = await opened()
  await bed.run(`
    alter table crm.note drop constraint note_customer_id_fkey;
    alter table crm.note add foreign key (customer_id) references crm.customer on delete cascade;
    create table crm.word (id int primary key, note_id int references crm.note on delete cascade);
    insert into crm.word select n, 1 from generate_series(1, 200) as n`)
  const yaml = policy(PURGE, '    references: { crm.note: with_parent, crm.word: with_parent }')
  await bed.govern(yaml.replace('max_rows: 1000', 'max_rows: 206'))

  const plan = await bed.plan()

  expect(plan.rules[0]?.refusal).toEqual({
    code: 'over_max_rows',
    message: '207 rows would go, children counted; the limit is 206 (limits.max_rows)',
  })
})

test.for(['own_rule', 'with_parent'])(
  'a held row of a tree keeps every row below it, however deep: %s',
  async (as) => {
    await using bed = await openBed()
    await bed.run(`
      create schema crm;
      create table crm.customer (id int primary key, boss int references crm.customer, left_on date);
      create table crm.lawsuit (id int primary key, customer_id int);
      insert into crm.customer select n, nullif(n / 2, 0), '2001-01-01' from generate_series(1, 15) as n;
      insert into crm.lawsuit values (1, 3)`)
    await bed.govern(
      policy(PURGE, `    references: { crm.customer: ${as} }`).replace(
        'rules:',
        'holds: [{ table: crm.lawsuit, covers: { crm.customer: customer_id } }]\nrules:',
      ),
    )

    await bed.enforce()

    // Below 3 are 6, 7 and 12 to 15; above it is 1, to which it refers.
    expect(await idsOf(bed, 'crm.customer')).toEqual([1, 3, 6, 7, 12, 13, 14, 15])
  },
)
