import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { openBed, type Bed } from '../support/bed.ts'
import { goingIn, type Node, type World } from './unit-oracle.ts'

const SCHEMA = `
  create schema crm;
  create table crm.customer (id int primary key, boss int, pinned_site int, pinned_no int, left_on date);
  create table crm.transfer (
    id int primary key, giver int references crm.customer on delete restrict,
    taker int references crm.customer on delete cascade
  ) partition by hash (id);
  create table crm.transfer_0 partition of crm.transfer for values with (modulus 2, remainder 0);
  create table crm.transfer_1 partition of crm.transfer for values with (modulus 2, remainder 1);
  create table crm.note (
    site int, no int, customer_id int references crm.customer, reply_site int, reply_no int,
    primary key (site, no),
    foreign key (reply_site, reply_no) references crm.note on delete set null
  );
  create table crm.mention (
    id int primary key, site int, no int, transfer_id int references crm.transfer,
    foreign key (site, no) references crm.note on delete restrict
  );
  alter table crm.customer
    add foreign key (boss) references crm.customer on delete restrict,
    add foreign key (pinned_site, pinned_no) references crm.note`

const policy = (own: string, rows: number): string => `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: ${rows} } }
rules:
  - id: customer
    table: crm.customer
    start: left_on
    keep: 10 years
    then: purge
    references:
      crm.customer: ${own}
      crm.transfer: with_parent
      crm.note: with_parent
      crm.mention: with_parent
`

const [CUSTOMERS, TRANSFERS, NOTES, MENTIONS] = [24, 14, 22, 12]

/** Most rows refer to few others: otherwise everything is one unit, and nothing goes. */
const toOne = (of: number, often: number) =>
  fc.option(fc.integer({ min: 1, max: of }), { nil: null, freq: often })

const data = fc.record({
  customers: fc.array(
    fc.record({ boss: toOne(CUSTOMERS, 1), pinned: toOne(NOTES, 1), due: fc.boolean() }),
    { minLength: CUSTOMERS, maxLength: CUSTOMERS },
  ),
  transfers: fc.array(fc.record({ giver: toOne(CUSTOMERS, 3), taker: toOne(CUSTOMERS, 1) }), {
    minLength: TRANSFERS,
    maxLength: TRANSFERS,
  }),
  notes: fc.array(fc.record({ customer: toOne(CUSTOMERS, 2), reply: toOne(NOTES, 1) }), {
    minLength: NOTES,
    maxLength: NOTES,
  }),
  mentions: fc.array(fc.record({ note: toOne(NOTES, 2), transfer: toOne(TRANSFERS, 1) }), {
    minLength: MENTIONS,
    maxLength: MENTIONS,
  }),
  /** Of a hundred records so many are due. */
  share: fc.constantFrom(60, 90),
  batch: fc.constantFrom(1, 3, 100),
})

type Data = typeof data extends fc.Arbitrary<infer T> ? T : never

function worldOf({ customers, transfers, notes, mentions }: Data, own: string): World {
  const link = (from: Node, table: 'c' | 't' | 'n', to: number | null) =>
    to === null ? [] : [[from, `${table}${to}`] as const]
  const each = <T>(letter: 'c' | 't' | 'n' | 'm', rows: readonly T[]) =>
    rows.map((row, at): { readonly row: T; readonly node: Node } => ({
      row,
      node: `${letter}${at + 1}`,
    }))
  const [c, t] = [each('c', customers), each('t', transfers)]
  const [n, m] = [each('n', notes), each('m', mentions)]
  return {
    nodes: [...c, ...t, ...n, ...m].map(({ node }) => node),
    due: new Set(c.filter(({ row }) => row.due).map(({ node }) => node)),
    links: [
      ...c.flatMap(({ row, node }) =>
        own === 'with_parent' ? [...link(node, 'c', row.boss), ...link(node, 'n', row.pinned)] : [],
      ),
      ...t.flatMap(({ row, node }) => [
        ...link(node, 'c', row.giver),
        ...link(node, 'c', row.taker),
      ]),
      ...n.flatMap(({ row, node }) => [
        ...link(node, 'c', row.customer),
        ...link(node, 'n', row.reply),
      ]),
      ...m.flatMap(({ row, node }) => [
        ...link(node, 'n', row.note),
        ...link(node, 't', row.transfer),
      ]),
    ],
  }
}

/** Notes have a key of two columns. */
const note = (no: number | null): string => (no === null ? 'null, null' : `${no % 3}, ${no}`)

async function fill(bed: Bed, { customers, transfers, notes, mentions }: Data): Promise<void> {
  const rows = (lines: readonly string[]): string => lines.map((line) => `(${line})`).join(', ')
  await bed.run(`
    begin;
    set local session_replication_role = replica;
    insert into crm.customer values ${rows(
      customers.map(({ boss, pinned, due }, at) => {
        return `${at + 1}, ${boss}, ${note(pinned)}, ${due ? "'2001-01-01'" : 'current_date'}`
      }),
    )};
    insert into crm.transfer values ${rows(transfers.map(({ giver, taker }, at) => `${at + 1}, ${giver}, ${taker}`))};
    insert into crm.note values ${rows(notes.map(({ customer, reply }, at) => `${note(at + 1)}, ${customer}, ${note(reply)}`))};
    insert into crm.mention values ${rows(mentions.map((each, at) => `${at + 1}, ${note(each.note)}, ${each.transfer}`))};
    commit`)
}

async function leftIn(bed: Bed): Promise<readonly string[]> {
  const rows = await bed.rows<{ node: string }>(`
    select 'c' || id as node from crm.customer union all select 't' || id from crm.transfer
    union all select 'n' || no from crm.note union all select 'm' || id from crm.mention`)
  return rows.map(({ node }) => node).toSorted()
}

const count = (nodes: ReadonlySet<Node>, letter: string): number =>
  [...nodes].filter((node) => node.startsWith(letter)).length

test.for(['with_parent', 'detach'] as const)(
  'rows that refer to each other go as a whole or not at all; customers to each other: %s',
  async (own) => {
    await fc.assert(
      fc.asyncProperty(data, async (drawn) => {
        const customers = drawn.customers.map((each, at) => {
          return { ...each, due: each.due || (at * 37) % 100 < drawn.share }
        })
        const filled = { ...drawn, customers }
        const world = worldOf(filled, own)
        const going = goingIn(world)
        const referring = customers.filter(({ boss, pinned }, at) => {
          const refers = going.has(`c${boss ?? 0}`) || going.has(`n${pinned ?? 0}`)
          return refers && !going.has(`c${at + 1}`)
        })
        await using bed = await openBed()
        await bed.run(SCHEMA)
        await fill(bed, filled)
        await bed.govern(policy(own, drawn.batch))

        const plan = await bed.plan()
        const result = await bed.enforce()

        const rows = (table: string) =>
          plan.rules[0]?.children.find((child) => child.table === `crm.${table}`)?.rows ?? 0
        expect({
          due: plan.rules[0]?.counts.due,
          transfers: rows('transfer'),
          notes: rows('note'),
          mentions: rows('mention'),
          detached: rows('customer'),
        }).toEqual({
          due: count(going, 'c'),
          transfers: count(going, 't'),
          notes: count(going, 'n'),
          mentions: count(going, 'm'),
          detached: own === 'detach' ? referring.length : 0,
        })
        expect(await leftIn(bed)).toEqual(world.nodes.filter((node) => !going.has(node)).toSorted())
        expect(result).toMatchObject({ outcome: 'done', rules: [{ left: 0, refusedRows: 0 }] })
        expect(result.rules[0]?.childRows).toBe(
          count(going, 't') +
            count(going, 'n') +
            count(going, 'm') +
            (own === 'detach' ? referring.length : 0),
        )
      }),
      { numRuns: 2 },
    )
  },
)
