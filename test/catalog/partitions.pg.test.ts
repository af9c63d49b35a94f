import { afterAll, beforeAll, expect, test } from 'vitest'
import { fingerprint } from '../../src/catalog/fingerprint.ts'
import { inspectStorage } from '../../src/catalog/inspect-storage.ts'
import { grantsOf, needsOf, renderGrants } from '../../src/catalog/needs.ts'
import { openFitting, purgeRule, type Fitting } from './fitting.ts'

let fitting: Fitting

beforeAll(async () => {
  fitting = await openFitting(`
    create schema crm;
    create function crm.nothing() returns trigger language plpgsql as 'begin return old; end';
    create table crm.customer (id int primary key, started date);
    create table crm.event (
      id int, started date not null, customer_id int references crm.customer, primary key (id, started)
    ) partition by range (started);
    create table crm.event_2020 partition of crm.event
      for values from ('2020-01-01') to ('2021-01-01') partition by range (id);
    create table crm.event_2020_low partition of crm.event_2020 for values from (minvalue) to (1000);
    create table crm.event_rest partition of crm.event default;
    create trigger shared after insert on crm.event for each row execute function crm.nothing();
    create table crm.detail (
      id int primary key, event_id int, started date,
      foreign key (event_id, started) references crm.event
    );
    create table crm.visit (
      id int primary key, customer_id int references crm.customer, started date
    );
    create foreign data wrapper nowhere;
    create server elsewhere foreign data wrapper nowhere;
    create table crm.aside (event_id int, started date)`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

const RULE = purgeRule('crm.event', '    references: { crm.detail: with_parent }\n')

async function shape(): Promise<string> {
  const { catalog } = await fitting.catalogOf(RULE)
  return fingerprint([...catalog.tables.values()])
}

/** Changes the schema, asks, and changes it back. */
async function within<T>(change: string, undo: string, ask: () => Promise<T>): Promise<T> {
  await fitting.run(change)
  try {
    return await ask()
  } finally {
    await fitting.run(undo)
  }
}

test('a partitioned table is governed as one, by the key and the foreign keys of the whole', async () => {
  const [rule] = await fitting.fitted(RULE)

  expect(rule?.table).toMatchObject({ kind: 'partitioned table', only: false, partitions: 3 })
  expect(rule?.key.map(({ name }) => name)).toEqual(['id', 'started'])
  expect(rule?.table.inbound.map(({ name }) => name)).toEqual(['detail_event_id_started_fkey'])
  expect(rule?.table.outbound.map(({ name }) => name)).toEqual(['event_customer_id_fkey'])
  expect(rule?.table.inbound[0]?.enforced).toBe(true)
})

test.for([
  [
    'create trigger own after delete on crm.event_rest for each row execute function crm.nothing()',
    'drop trigger own on crm.event_rest',
    'crm.event_rest, a partition of crm.event, has triggers of its own: own',
  ],
  [
    'create trigger own before delete on crm.event_2020_low for each row execute function crm.nothing()',
    'drop trigger own on crm.event_2020_low',
    'crm.event_2020_low, a partition of crm.event, has triggers of its own: own',
  ],
  [
    'alter table only crm.event disable trigger shared',
    'alter table only crm.event enable trigger shared',
    'crm.event_2020, a partition of crm.event, has triggers of its own: shared',
  ],
  [
    'create rule nope as on delete to crm.event_rest do instead nothing',
    'drop rule nope on crm.event_rest',
    'crm.event_rest, a partition of crm.event, has rewrite rules of its own: nope',
  ],
  [
    'alter table crm.event_rest enable row level security',
    'alter table crm.event_rest disable row level security',
    'crm.event_rest, a partition of crm.event, has row security of its own',
  ],
  [
    'alter table crm.aside add constraint own foreign key (event_id, started) references crm.event_rest on delete cascade',
    'alter table crm.aside drop constraint own',
    'crm.event_rest, a partition of crm.event, is referred to by foreign keys of its own: own',
  ],
] as const)(
  'a partition with something of its own refuses the whole table: %s',
  async ([change, undo, said]) => {
    const before = await shape()

    const [problems, after] = await within(change, undo, async () => [
      await fitting.problems(RULE),
      await shape(),
    ])

    expect(problems[0]).toBe(
      `crm.yaml:7:12 partition_odd: ${said} > statements go through crm.event and would not meet it: put it there, or detach the partition`,
    )
    expect(after).not.toBe(before)
    expect(await shape()).toBe(before)
  },
)

test('foreign keys that stand on partitions alone are one key of the whole, which closes it', async () => {
  const rules = (as: string): string =>
    purgeRule('crm.customer', `    references: { crm.event: ${as}, crm.visit: own_rule }\n`) +
    purgeRule('crm.visit').replace('id: rule', 'id: visit')
  const event = RULE.replace('id: rule', 'id: event')
  await within(
    `alter table crm.event_rest add constraint one foreign key (id) references crm.customer;
     alter table crm.event_2020_low add constraint other foreign key (id) references crm.customer`,
    'alter table crm.event_rest drop constraint one; alter table crm.event_2020_low drop constraint other',
    async () => {
      const fitted = await fitting.fitted(rules('own_rule') + event)
      const customer = fitted.find(({ rule }) => rule.id === 'rule')

      const keys = customer?.table.inbound.map(({ name, partial, enforced }) => [
        name,
        partial,
        enforced,
      ])
      expect(keys).toEqual([
        ['event_customer_id_fkey', false, true],
        ['of its partitions on id', true, false],
        ['visit_customer_id_fkey', false, true],
      ])
      expect(customer?.blockers.map(({ key }) => key.name)).toEqual(keys?.map(([name]) => name))
      expect(customer?.closed.map(({ name }) => name)).toEqual(['event'])
      expect(await fitting.problems(rules('with_parent'))).toContain(
        'crm.yaml:11:30 foreign_key_not_enforced: foreign key of its partitions on id of crm.event is not enforced: rows could appear while their parent goes > declare it on crm.event itself, or give crm.event a rule of its own and write own_rule',
      )
    },
  )
})

test('a partition that is stored elsewhere refuses the whole table', async () => {
  const rules = purgeRule('crm.far')
  const create = `
    create table crm.far (id int, started date not null) partition by list (id);
    create foreign table crm.far_away partition of crm.far for values in (1) server elsewhere`
  await within(create, 'drop table crm.far', async () => {
    expect((await fitting.problems(rules))[0]).toContain(
      'partition_odd: crm.far_away, a partition of crm.far, is a foreign table',
    )
  })
})

test('an ordinary partition that comes or goes moves no fingerprint', async () => {
  const before = await shape()

  const after = await within(
    "create table crm.event_2021 partition of crm.event for values from ('2021-01-01') to ('2022-01-01')",
    'alter table crm.event detach partition crm.event_2021; drop table crm.event_2021',
    shape,
  )

  expect(after).toBe(before)
})

test('a foreign key of a partitioned table is not enforced if one partition checks nothing', async () => {
  await within(
    'alter table crm.event_2020_low disable trigger all',
    'alter table crm.event_2020_low enable trigger all',
    async () => {
      const { catalog } = await fitting.catalogOf(RULE)
      const event = catalog.tables.get('crm.event')
      expect(event?.outbound[0]?.enforced).toBe(false)
      expect(event?.inbound[0]?.enforced).toBe(false)
    },
  )
})

test('a partitioned source is kept whole where only a common parent is locked, and that needs a right', async () => {
  const rules = `  - id: visit
    table: crm.visit
    start: { latest: crm.event.started, by: { customer_id: customer_id }, via: crm.customer }
    keep: 1 year
    then: purge
`
  const [rule] = await fitting.fitted(rules)
  const grants = renderGrants(rule === undefined ? [] : needsOf(rule, true), 'daemon')

  expect(grants).toContain('grant update on crm.event to daemon;')
  expect(grants).toContain('to keep partitions from being attached for the length of a batch')
})

test('a partition of a governed table gets what the whole gets, also for other rules', async () => {
  const rules = `${RULE}  - id: visit
    table: crm.visit
    start: { latest: crm.event.started, by: { customer_id: customer_id }, via: crm.customer }
    keep: 1 year
    then: purge
`
  const fitted = await fitting.fitted(rules)
  await fitting.run(
    renderGrants(
      grantsOf(fitted, () => true),
      fitting.role,
    ),
  )
  const stored = await inspectStorage(fitting.connection.db, [{ schema: 'crm', name: 'event' }])

  expect(stored.get('crm.event')?.unreachable).toBeNull()
})

test('tables that inherit keep a rule away until it says that it means the own rows only', async () => {
  await within(
    `create table crm.parent (id int primary key, started date);
     create table crm.heir (primary key (id)) inherits (crm.parent)`,
    'drop table crm.parent cascade',
    async () => {
      expect(await fitting.problems(purgeRule('crm.parent'))).toEqual([
        'crm.yaml:7:12 inheritance_present: crm.heir inherit from crm.parent: their rows show in it, and are not its own > write `inheritance: only` to govern its own rows, and rules for the others',
      ])
      const own = '    inheritance: only\n'
      expect(await fitting.problems(purgeRule('crm.parent', own))).toEqual([])
      expect(await fitting.problems(purgeRule('crm.heir'))).toEqual([])
      expect(await fitting.problems(RULE.replace(/$/, own))).toEqual([
        'crm.yaml:12:18 inheritance_unused: crm.event is partitioned: its rows are those of its partitions > remove it',
      ])
    },
  )
})
