import { expect } from 'vitest'
import { explainRecord } from '../../src/plan/explain.ts'
import { openBed, test, type Bed } from '../support/bed.ts'

/** What the rules of `yaml`, which have no period of their own, make of the rows of their tables. */
function policyOf(rules: string, more = ''): string {
  return `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
sentinels: { open: ["9999-12-31"], invalid: ["1999-01-01"] }
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 }, batch: { rows: 3 } }
${more}rules:
${rules}`
}

async function countsOf(bed: Bed, yaml: string) {
  await bed.govern(yaml)
  const plan = await bed.plan()
  return plan.rules.map(({ rule, counts }) => ({
    rule,
    ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
  }))
}

async function idsOf(bed: Bed, table: string): Promise<readonly number[]> {
  const rows = await bed.rows<{ id: number }>(`select id::int from ${table} order by 1`)
  return rows.map(({ id }) => id)
}

const OLD = `'2001-02-03 12:00Z'::timestamptz`

test('a count of seconds or milliseconds starts a period, and one in another unit never does', async ({
  bed,
}) => {
  const values = [
    `extract(epoch from ${OLD})`, // 1 due in seconds; in January 1970 as milliseconds
    `extract(epoch from ${OLD}) * 1000`, // 2 due in milliseconds; in the year 33000 as seconds
    'extract(epoch from now())', // 3 running in seconds; in January 1970 as milliseconds
    'null', // 4 open
    '0', // 5 implausible
    '-1', // 6 implausible
    '9223372036854775807', // 7 implausible
    '-9223372036854775808', // 8 implausible
    `extract(epoch from '9999-12-31 00:00Z'::timestamptz)`, // 9 open, the sentinel, in seconds
    `extract(epoch from '1999-01-01 12:00Z'::timestamptz)`, // 10 invalid in seconds
  ]
  await bed.run(`
    create schema app;
    create table app.second (id int primary key, at bigint);
    create table app.milli (id int primary key, at bigint);
    create index on app.second (at)`)
  for (const [position, value] of values.entries()) {
    await bed.run(`
      insert into app.second values (${position + 1}, ${value});
      insert into app.milli values (${position + 1}, ${value})`)
  }

  const counts = await countsOf(
    bed,
    policyOf(`
  - { id: milli, table: app.milli, start: { column: at, unit: milliseconds }, keep: 10 years, then: purge }
  - { id: second, table: app.second, start: { column: at, unit: seconds }, keep: 10 years, then: purge }
`),
  )
  await bed.enforce()

  expect(counts).toEqual([
    { rule: 'milli', due: 1, open: 1, implausible: 8 },
    { rule: 'second', due: 1, running: 1, open: 2, implausible: 6 },
  ])
  expect(await idsOf(bed, 'app.second')).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(await idsOf(bed, 'app.milli')).toEqual([1, 3, 4, 5, 6, 7, 8, 9, 10])
})

test('a uuid of version 7 starts a period when it was made, and one of another version never does', async ({
  bed,
}) => {
  const made = (at: string): string =>
    `(substr(h, 1, 8) || '-' || substr(h, 9) || '-7abc-8def-0123456789ab')::uuid from (
      select lpad(to_hex((extract(epoch from ${at}) * 1000)::bigint), 12, '0')) as hex (h)`
  await bed.run(`
    create schema app;
    create table app.message (key uuid primary key, id int);
    insert into app.message (id, key) select 1, ${made(OLD)};
    insert into app.message (id, key) select 2, ${made('now()')};
    insert into app.message (id, key) select 3, ${made("'1970-01-01 00:00Z'::timestamptz")};
    insert into app.message values
      ('00e0f3a1-0000-4abc-8def-0123456789ab', 4),
      ('ffffffff-ffff-7fff-8fff-ffffffffffff', 5),
      ('00000000-0000-0000-0000-000000000000', 6)`)

  const counts = await countsOf(
    bed,
    policyOf(
      '  - { id: message, table: app.message, start: { column: key, unit: uuid7 }, keep: 10 years, then: purge }\n',
    ),
  )
  await bed.enforce()

  expect(counts).toEqual([{ rule: 'message', due: 1, running: 1, implausible: 4 }])
  expect(await idsOf(bed, 'app.message')).toEqual([2, 3, 4, 5, 6])
})

test.for([
  ['YYYY-MM-DD', '2001-02-03', '2001-02-30', '9999-12-31'],
  ['YYYYMMDD', '20010203', '20010230', '99991231'],
  ['DD.MM.YYYY', '03.02.2001', '30.02.2001', '31.12.9999'],
  ['DD/MM/YYYY', '03/02/2001', '30/02/2001', '31/12/9999'],
  ['MM/DD/YYYY', '02/03/2001', '02/30/2001', '12/31/9999'],
] as const)(
  'text in the format %s starts a period, and text that is no day of it never does',
  async ([format, old, noDay, open]) => {
    await using bed = await openBed()
    const odd = [
      noDay,
      '',
      ' ',
      'unknown',
      `${old} `,
      `${old}x`,
      '0000-00-00',
      'infinity',
      '２００１',
    ]
    await bed.run(`
      create schema app;
      create table app.visit (id int primary key, at text);
      insert into app.visit values (1, '${old}'), (2, null), (3, '${open}')`)
    for (const [position, text] of odd.entries()) {
      await bed.run(`insert into app.visit values (${position + 4}, '${text}')`)
    }

    const counts = await countsOf(
      bed,
      policyOf(
        `  - { id: visit, table: app.visit, start: { column: at, format: ${format} }, keep: 10 years, then: purge }\n`,
      ),
    )
    await bed.enforce()

    expect(counts).toEqual([{ rule: 'visit', due: 1, open: 2, implausible: odd.length }])
    expect(await idsOf(bed, 'app.visit')).not.toContain(1)
  },
)

const CLIENTS = `
  create schema crm;
  create table crm.client (id int primary key, name text, created date);
  create table crm.contract (id int primary key, client_id int references crm.client, ended date);
  create table crm.invoice (id int primary key, contract_id int references crm.contract, paid timestamp);
  create table crm.mandate (id int primary key, client_id int references crm.client, ended date, state text)`

/** The client counts from contracts, from invoices on contracts, and from mandates. */
const CLIENT = (none = 'report'): string =>
  policyOf(`
  - id: client
    table: crm.client
    start:
      latest:
        - crm.contract.ended
        - { column: crm.invoice.paid, by: [{ contract_id: crm.contract.id }, { client_id: id }], timezone: UTC }
        - { column: crm.mandate.ended, open: { state: live } }
      by: { client_id: id }
      none: ${none}
    keep: 10 years
    then: { anonymise: { name: nothing, created: { keep: says nothing } } }
    references: { crm.contract: own_rule, crm.mandate: own_rule }
  - { id: contract, table: crm.contract, start: ended, keep: 100 years, then: purge, references: { crm.invoice: with_parent } }
  - { id: mandate, table: crm.mandate, start: ended, keep: 100 years, then: purge }
`)

test('the latest of several sources counts: an open one keeps, an implausible one is reported', async ({
  bed,
}) => {
  await bed.run(CLIENTS)
  await bed.run(`
    insert into crm.client select n, 'Name ' || n, '2001-01-01' from generate_series(1, 11) as n;
    insert into crm.contract select n * 10, n, '2001-01-01' from generate_series(1, 8) as n;
    insert into crm.contract values (91, 9, null), (92, 9, '2001-01-01');
    insert into crm.invoice values
      (2, 20, now()), (3, 30, null), (4, 40, '1970-01-01'), (5, 50, '2002-02-02');
    insert into crm.mandate values
      (6, 6, '2001-01-01', 'live'), (7, 7, null, 'over'), (8, 8, current_date, 'over'), (10, 10, '2001-01-01', 'over')`)

  const [client] = await countsOf(bed, CLIENT())
  await bed.enforce()

  // 1 one source, 5 two sources, 10 another source alone; 11 has none at all.
  expect(client).toEqual({
    rule: 'client',
    due: 3,
    running: 2,
    open: 4,
    implausible: 1,
    neverExpires: 1,
  })
  expect(await idsOf(bed, 'crm.client where name is null')).toEqual([1, 5, 10])
})

test('only a record without a row in any source counts from its substitute', async ({ bed }) => {
  await bed.run(CLIENTS)
  await bed.run(`
    insert into crm.client values
      (1, 'a', '2001-01-01'), (2, 'b', current_date), (3, 'c', '2001-01-01'), (4, 'd', null);
    insert into crm.contract values (10, 3, '2001-01-01');
    insert into crm.invoice values (1, 10, now())`)

  const [client] = await countsOf(bed, CLIENT('{ use: created }'))
  await bed.enforce()

  expect(client).toEqual({ rule: 'client', due: 1, running: 2, neverExpires: 1 })
  expect(await idsOf(bed, 'crm.client where name is null')).toEqual([1])
})

test('a row in between that decides stays until the record above it has been acted on', async ({
  bed,
}) => {
  await bed.run(CLIENTS)
  await bed.run(`
    insert into crm.client values (1, 'a', null), (2, 'b', null);
    insert into crm.contract values (10, 1, '2001-01-01'), (20, 2, '2001-01-01');
    insert into crm.invoice values (1, 10, now()), (2, 20, '2001-01-01')`)
  const yaml = CLIENT().replace('keep: 100 years', 'keep: 5 years')

  const counts = await countsOf(bed, yaml)
  await bed.enforce()

  expect(counts.find(({ rule }) => rule === 'contract')).toEqual({
    rule: 'contract',
    due: 1,
    deciding: 1,
  })
  expect(await idsOf(bed, 'crm.contract')).toEqual([10])
  expect(await idsOf(bed, 'crm.invoice')).toEqual([1])
})

test('a row that is an event of another record stays, also under the rule that governs both', async ({
  bed,
}) => {
  await bed.run(`
    create schema app;
    create table app.node (id int primary key, parent_id int, ended date);
    insert into app.node values (1, null, null), (2, 1, current_date), (3, 2, '2001-01-01'), (4, 1, '2001-01-01')`)

  const counts = await countsOf(
    bed,
    policyOf(
      '  - { id: node, table: app.node, start: { latest: app.node.ended, by: { parent_id: id } }, keep: 10 years, then: purge }\n',
    ),
  )
  await bed.enforce()

  // 2 is over by its own event, 3, but keeps 1, of which it is one.
  expect(counts).toEqual([{ rule: 'node', deciding: 1, running: 1, neverExpires: 2 }])
  expect(await idsOf(bed, 'app.node')).toEqual([1, 2, 3, 4])
})

test('an explanation names the column that gave the start', async ({ bed }) => {
  await bed.run(CLIENTS)
  await bed.run(`
    insert into crm.client select n, 'Name ' || n, '2001-01-01' from generate_series(1, 5) as n;
    insert into crm.contract values (10, 1, '2001-01-01'), (20, 2, '2001-01-01'), (30, 3, '1970-01-01');
    insert into crm.invoice values (1, 10, '2002-02-02');
    insert into crm.mandate values (2, 2, null, 'over'), (3, 3, null, 'over'), (4, 4, '2001-01-01', 'over')`)
  const { rules, catalog } = await bed.govern(CLIENT('{ use: created }'))
  const table = catalog.tables.get('crm.client')
  const client = rules.find(({ rule }) => rule.id === 'client')
  if (table === undefined || client === undefined) throw new Error('the policy lost its client')

  const told: string[] = []
  for (const id of ['1', '2', '3', '4', '5']) {
    const request = { rules, table, key: client.key, values: [id], at: '2026-06-15T12:00:00Z' }
    const { rules: explained } = await explainRecord(bed.connection.db, request)
    told.push(...explained.map(({ verdict, startsAt }) => `${verdict} ${startsAt}`))
  }

  expect(told).toEqual([
    'due crm.invoice.paid',
    'open crm.mandate.ended',
    'implausible crm.contract.ended',
    'due crm.mandate.ended',
    'due crm.client.created',
  ])
})

test('a record whose common parent is not there counts from its substitute, and is acted on', async ({
  bed,
}) => {
  await bed.run(`
    create schema crm;
    create table crm.client (id int primary key);
    create table crm.contract (id int primary key, client_id int references crm.client, ended date);
    create table crm.letter (id int primary key, client_id int, sent date);
    insert into crm.client values (1);
    insert into crm.contract values (1, 1, null);
    insert into crm.letter values (1, 1, '2001-01-01'), (2, 2, '2001-01-01'), (3, null, '2001-01-01')`)

  const counts = await countsOf(
    bed,
    policyOf(`
  - id: letter
    table: crm.letter
    start: { latest: crm.contract.ended, by: { client_id: client_id }, via: crm.client, none: { use: sent } }
    keep: 10 years
    then: purge
`),
  )
  const { outcome } = await bed.enforce()

  expect(counts).toEqual([{ rule: 'letter', due: 2, open: 1 }])
  expect(outcome).toBe('done')
  expect(await idsOf(bed, 'crm.letter')).toEqual([1])
})

const ACCOUNTS = `
  create schema app;
  create table app.account (
    id int primary key, name text, login timestamptz, seen bigint, updated timestamptz, made date
  );
  create table app.purchase (id int primary key, account_id int references app.account, at timestamptz)`

const ACTIVITY = (activity: string, none = 'report'): string =>
  policyOf(`
  - id: account
    table: app.account
    start: { last_activity: ${activity}, by: { account_id: id }, none: ${none} }
    keep: 3 years
    then: { anonymise: { name: nothing, login: { keep: x }, seen: { keep: x }, updated: { keep: x }, made: { keep: x } } }
    references: { app.purchase: own_rule }
  - { id: purchase, table: app.purchase, start: at, keep: 100 years, then: purge }
`)

const EVERYWHERE = '[login, { column: seen, unit: seconds }, app.purchase.at]'

test('the last activity is the greatest of all columns, and null is no activity', async ({
  bed,
}) => {
  await bed.run(ACCOUNTS)
  const long = "'2001-01-01 12:00Z'"
  const seconds = "extract(epoch from '2001-01-01 12:00Z'::timestamptz)"
  await bed.run(`
    insert into app.account (id, name, login, seen) values
      (1, 'a', ${long}, null), (2, 'b', null, ${seconds}), (3, 'c', null, null),
      (4, 'd', ${long}, extract(epoch from now())), (5, 'e', ${long}, ${seconds}),
      (6, 'f', null, null), (7, 'g', ${long}, 0), (8, 'h', 'infinity', null), (9, 'i', ${long}, null);
    insert into app.purchase values
      (3, 3, ${long}), (31, 3, null), (5, 5, now()), (6, 6, null), (9, 9, '1970-01-01')`)

  const [account] = await countsOf(bed, ACTIVITY(EVERYWHERE))
  await bed.enforce()

  // 1 and 2 by one column, 3 by a purchase although another has no date.
  expect(account).toEqual({
    rule: 'account',
    due: 3,
    running: 2,
    open: 1,
    implausible: 2,
    neverExpires: 1,
  })
  expect(await idsOf(bed, 'app.account where name is null')).toEqual([1, 2, 3])
})

test('a record without any activity counts from its substitute', async ({ bed }) => {
  await bed.run(ACCOUNTS)
  await bed.run(`
    insert into app.account (id, name, login, made) values
      (1, 'a', null, '2001-01-01'), (2, 'b', now(), '2001-01-01'), (3, 'c', null, current_date)`)

  const [account] = await countsOf(bed, ACTIVITY(EVERYWHERE, '{ use: made }'))

  expect(account).toEqual({ rule: 'account', due: 1, running: 2 })
})

test('our own update is no activity: what it touched stays done until somebody refills it', async ({
  bed,
}) => {
  await bed.run(ACCOUNTS)
  await bed.run(`
    insert into app.account (id, name, updated) values (1, 'a', '2001-01-01'), (2, 'b', '2001-01-01');
    create function app.touch() returns trigger language plpgsql as 'begin new.updated := now(); return new; end';
    create trigger touch before update on app.account for each row execute function app.touch()`)
  const yaml = ACTIVITY('[updated]')
    .replace(', by: { account_id: id }', '')
    .replace('    references:', '    triggers: { acknowledge: [touch] }\n    references:')
  await countsOf(bed, yaml)
  await bed.enforce()
  const after = await countsOf(bed, yaml)
  await bed.run(`
    alter table app.account disable trigger touch;
    update app.account set name = 'again', updated = '2001-01-01' where id = 1`)

  expect(after[0]).toEqual({ rule: 'account', done: 2 })
  expect(
    (await countsOf(bed, yaml.replace('    triggers: { acknowledge: [touch] }\n', '')))[0],
  ).toEqual({ rule: 'account', due: 1, done: 1 })
})
