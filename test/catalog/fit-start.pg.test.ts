import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create domain crm.day as date;
    create table crm.customer (
      id int primary key, ref uuid unique, started date, at timestamptz, wall timestamp,
      name text, born_in int, opening time, on_day crm.day, lasted daterange
    );
    create table crm.contract (
      id int primary key, customer_id int references crm.customer, customer_ref uuid,
      big_id bigint, state text, ended_on date, note text, state_for interval
    );
    create table crm.ticket (id int primary key, customer_id int references crm.customer, closed_on date);
    create table crm.account (id int primary key);
    create table crm.bill (id int primary key, account_id int references crm.account, started date);
    create table crm.payment (id int primary key, account_id int references crm.account, ended_on date);
    create table crm.unchecked (id int primary key, account_id int, ended_on date);
    alter table crm.unchecked add foreign key (account_id) references crm.account not valid;
    create table crm.asleep (id int primary key, account_id int references crm.account, ended_on date);
    alter table crm.asleep disable trigger all;
    create view crm.contracts as select * from crm.contract;
    create table crm.hidden (id int primary key, customer_id int, ended_on date);
    alter table crm.hidden enable row level security;
    create table crm.parts (id int, customer_id int, ended_on date) partition by hash (id);
    create table crm.part partition of crm.parts for values with (modulus 1, remainder 0);
    create table crm.will (id int, customer_id int, ended_on date);
    create table crm.last_will () inherits (crm.will)`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

/** Problems of a rule about customers that differs by its start. */
async function problems(start: string): Promise<readonly string[]> {
  return fitting.problems(
    purgeRule(
      'crm.customer',
      '    references: { crm.contract: with_parent, crm.ticket: with_parent }\n',
    ).replace('start: started', `start: ${start}`),
  )
}

test.for([
  ['started', { kind: 'date' }],
  ['on_day', { kind: 'date' }],
  ['at', { kind: 'instant' }],
  ['wall', { kind: 'local', zone: 'Europe/Paris' }],
  ['{ column: wall, timezone: Asia/Kathmandu }', { kind: 'local', zone: 'Asia/Kathmandu' }],
  ['{ column: born_in, unit: seconds }', { kind: 'epoch', unit: 'seconds' }],
  ['{ column: ref, unit: uuid7 }', { kind: 'uuid7' }],
  ['{ column: name, format: DD.MM.YYYY }', { kind: 'text', format: 'DD.MM.YYYY' }],
] as const)('a period starts at %s', async ([start, frame]) => {
  expect(await startOf(start)).toMatchObject({ kind: 'column', moment: { frame } })
})

async function startOf(start: string): Promise<FittedRule['start'] | undefined> {
  const [rule] = await fitting.fitted(
    purgeRule(
      'crm.customer',
      '    references: { crm.contract: with_parent, crm.ticket: with_parent }\n',
    ).replace('start: started', `start: ${start}`),
  )
  return rule?.start
}

const NO_DAY =
  'a start is a date, a timestamp or a timestamp with time zone; or an integer, a uuid or text that says how it tells one'

test.for([
  ['opening', 'crm.customer.opening is time without time zone'],
  ['lasted', 'crm.customer.lasted is daterange'],
  ['{ column: lasted }', 'crm.customer.lasted is daterange'],
] as const)('no period starts at %s, which is no day', async ([start, what]) => {
  expect(await problems(start)).toEqual([
    `crm.yaml:8:12 start_not_a_date: ${what}: no period can start there > ${NO_DAY}`,
  ])
})

test.for([
  [
    'born_in',
    'start_unit_missing: crm.customer.born_in is integer, and nothing says what it counts > write { column: …, unit: seconds } or { column: …, unit: milliseconds }',
  ],
  [
    'ref',
    'start_unit_missing: crm.customer.ref is uuid, and nothing says what it counts > write { column: …, unit: uuid7 }',
  ],
  [
    '{ column: name }',
    'start_format_missing: crm.customer.name is text, and nothing says how it writes its days > write { column: …, format: YYYY-MM-DD }',
  ],
  [
    '{ column: born_in, unit: uuid7 }',
    'start_unit_unfit: crm.customer.born_in is integer, which holds no uuid7 > write { column: …, unit: seconds } or { column: …, unit: milliseconds }',
  ],
  [
    '{ column: ref, unit: seconds }',
    'start_unit_unfit: crm.customer.ref is uuid, which holds no seconds > write { column: …, unit: uuid7 }',
  ],
  [
    '{ column: born_in, unit: milliseconds }',
    'start_unit_too_small: crm.customer.born_in is integer, in which milliseconds end in January 1970 > write unit: seconds',
  ],
  [
    '{ column: started, unit: seconds }',
    'start_unit_unused: crm.customer.started is date, which counts nothing > remove unit: it is for integers and uuids',
  ],
  [
    '{ column: at, format: YYYYMMDD }',
    'start_format_unused: crm.customer.at is timestamp with time zone, which is no text > remove format: it is for text',
  ],
] as const)('%s does not say how it tells a day', async ([start, said]) => {
  const [problem, ...more] = await problems(start)
  expect(problem).toMatch(/^crm\.yaml:8:\d+ /)
  expect(problem?.replace(/^\S+ /, '')).toBe(said)
  expect(more).toEqual([])
})

test('an event that is no day is refused where the rule names it', async () => {
  expect(await problems('{ latest: crm.contract.state_for, by: { customer_id: id } }')).toEqual([
    `crm.yaml:8:22 start_not_a_date: crm.contract.state_for is interval: no period can start there > ${NO_DAY}`,
  ])
})

test.for([
  ['started', 'crm.customer.started is date'],
  ['at', 'crm.customer.at is timestamp with time zone'],
] as const)('a zone for %s would mean nothing, and is refused', async ([column, what]) => {
  expect(await problems(`{ column: ${column}, timezone: Asia/Kathmandu }`)).toEqual([
    `crm.yaml:8:${34 + column.length} start_zone_unused: ${what}, which needs no zone of its own > remove timezone: it is for timestamps without time zone`,
  ])
})

test.for([
  [
    'crm.contrakt.ended_on',
    'table_missing: there is no table crm.contrakt in database DB > did you mean crm.contract or crm.contracts?',
  ],
  [
    'crm.contract.ended',
    'column_missing: crm.contract has no column ended > did you mean ended_on?',
  ],
  [
    'crm.contracts.ended_on',
    'source_not_a_table: crm.contracts is a view: its rows cannot be locked safely > name the table in which the rows are stored',
  ],
  [
    'crm.part.ended_on',
    'partition_named: crm.part is a partition of crm.parts > name crm.parts: a row may move to another partition, and stays the same row',
  ],
  [
    'crm.will.ended_on',
    'source_inherited: crm.last_will inherit from crm.will: an open row could stand in one of them > read the start from a table without heirs; partition it rather than inherit',
  ],
  [
    'crm.hidden.ended_on',
    'row_security_active: row security on crm.hidden applies to our role: an open row could be hidden > give the role BYPASSRLS',
  ],
  [
    'pg_catalog.pg_class.relname',
    'system_table: pg_catalog.pg_class belongs to PostgreSQL > name a table of the application',
  ],
] as const)('an event of %s is refused where the rule names it', async ([latest, said]) => {
  expect(await problems(`{ latest: ${latest}, by: { customer_id: id } }`)).toEqual([
    `crm.yaml:8:22 ${said.replace('DB', fitting.database.name)}`,
  ])
})

test.for([
  [
    '{ customer: id }',
    'column_missing: crm.contract has no column customer > did you mean customer_id',
  ],
  ['{ customer_id: idd }', 'column_missing: crm.customer has no column idd > did you mean id?'],
  [
    '{ customer_id: ref }',
    'link_types_differ: crm.contract.customer_id is integer, crm.customer.ref is uuid > link columns of one type',
  ],
] as const)('related rows are not found by %s', async ([by, said]) => {
  const [problem, ...more] = await problems(`{ latest: crm.contract.ended_on, by: ${by} }`)
  expect(problem).toContain(said)
  expect(problem).toMatch(/^crm\.yaml:8:\d+ /)
  expect(more).toEqual([])
})

test('integers of two widths may be linked', async () => {
  expect(await problems('{ latest: crm.contract.ended_on, by: { big_id: id } }')).toEqual([])
})

test('a filter of open rows names columns of the source, and the fallback one of the governed table', async () => {
  expect(
    await problems(
      '{ latest: crm.contract.ended_on, by: { customer_id: id }, open: { stat: live }, none: { use: begun } }',
    ),
  ).toEqual([
    'crm.yaml:8:84 column_missing: crm.contract has no column stat > did you mean state?',
    'crm.yaml:8:98 column_missing: crm.customer has no column begun > its columns are id, ref, started, at, wall, name, born_in, opening, on_day, lasted',
  ])
})

test.for([
  ['{ latest: crm.contract.ended_on, by: { customer_id: id } }', { kind: 'own row' }],
  ['{ latest: crm.contract.ended_on, by: { customer_ref: ref } }', { kind: 'table' }],
  [
    '{ latest: crm.contract.ended_on, by: { customer_id: id, customer_ref: ref } }',
    { kind: 'table' },
  ],
  ['{ latest: crm.contract.ended_on, by: { customer_id: born_in } }', { kind: 'table' }],
] as const)('%s: what keeps new related rows away', async ([start, guard]) => {
  expect(await startOf(start)).toMatchObject({ sources: [{ guard }] })
})

function billRule(source: string, via: string): string {
  return purgeRule('crm.bill').replace(
    'start: started',
    `start: { latest: crm.${source}.ended_on, ${via}by: { account_id: account_id } }`,
  )
}

test('rows that share a parent are kept away by its lock', async () => {
  const [rule] = await fitting.fitted(billRule('payment', 'via: crm.account, '))
  expect(rule?.start).toMatchObject({
    sources: [
      {
        guard: {
          kind: 'common parent',
          table: { name: 'account' },
          pairs: [{ parent: { name: 'id' }, own: { name: 'account_id' } }],
        },
      },
    ],
  })
})

test.for(['unchecked', 'asleep'])(
  'the lock of a parent keeps no row of crm.%s away, whose foreign key is not enforced',
  async (source) => {
    expect(await fitting.problems(billRule(source, 'via: crm.account, '))).toEqual([
      `crm.yaml:8:${42 + source.length} via_without_foreign_key: crm.${source} has no enforced foreign key over the columns of \`by\` to crm.account > locking a row of \`via\` would not keep new related rows away; leave \`via\` out`,
    ])
    const [rule] = await fitting.fitted(billRule(source, ''))
    expect(rule?.start).toMatchObject({ sources: [{ guard: { kind: 'table' } }] })
  },
)

test('a common parent that is not there is refused where the rule names it', async () => {
  expect(await fitting.problems(billRule('payment', 'via: crm.acount, '))).toEqual([
    `crm.yaml:8:49 table_missing: there is no table crm.acount in database ${fitting.database.name} > did you mean crm.account?`,
  ])
})
