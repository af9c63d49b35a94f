import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Plan } from '../../src/plan/plan.ts'
import { openBed, type Bed } from '../support/bed.ts'
import { idsOf, judgeDeparture, judgeRelationship, type Crm } from '../support/crm-oracle.ts'
import { addDays, retentionEnd } from '../support/time-oracle.ts'

const HEAD = `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
sentinels: { open: ["9999-12-31"] }
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 }, batch: { rows: 3 } }
rules:`

const RELATIONSHIP = `${HEAD}
  - id: customer
    table: crm.customer
    start: { latest: crm.contract.ended, by: { customer: id }, open: { state: active } }
    keep: 10 years
    then:
      anonymise:
        name: { constant: Anonymised }
        email: { template: "{key}@anonymised.invalid" }
        "left": { keep: says nothing }
    references: { crm.contract: own_rule, crm.ticket: own_rule, crm.exchange: with_parent, crm.note: with_parent }
  - id: contract
    table: crm.contract
    start: { latest: crm.contract.ended, via: crm.customer, by: { customer: customer }, open: { state: active } }
    keep: 10 years
    then: purge
  - id: ticket
    table: crm.ticket
    where: { status: { not: open } }
    start: { latest: crm.contract.ended, via: crm.customer, by: { customer: customer } }
    keep: 5 years
    then: purge
    references: { crm.message: with_parent }
`

const DEPARTURE = `${HEAD}
  - id: customer
    table: crm.customer
    start: left
    keep: 2 years
    then: purge
    references: { crm.contract: own_rule, crm.exchange: with_parent, crm.note: own_rule }
  - { id: contract, table: crm.contract, start: ended, keep: 5 years, then: purge }
  - { id: note, table: crm.note, start: made, keep: 2 years, then: purge }
`

const SCHEMA = `
  create schema crm;
  create table crm.customer (id int primary key, name text not null, email text unique, "left" date);
  create table crm.contract (id int primary key, customer int references crm.customer on delete cascade, state text not null, ended date);
  create table crm.ticket (id int primary key, customer int references crm.customer on delete cascade, status text not null);
  create table crm.message (id int primary key, ticket int not null references crm.ticket on delete cascade);
  create table crm.exchange (id int primary key, customer int not null references crm.customer on delete cascade);
  create table crm.note (id int primary key, exchange int not null references crm.exchange on delete cascade, made date);`

/** Tickets refer to customers, which the second policy does not speak of. */
const WITHOUT_TICKETS = 'drop table crm.message, crm.ticket'

test('a plan counts every record of a relationship once, and a run acts on exactly what is due', async () => {
  await using bed = await openBed()
  await bed.run(SCHEMA)
  await bed.govern(RELATIONSHIP)
  const today = await todayOf(bed)
  const met = new Set<string>()

  await each(crmAt(today), async (crm) => {
    await insert(bed, crm)
    const { customers, tickets, contracts } = judgeRelationship(crm, today)
    const plan = await bed.plan()
    for (const { counts } of plan.rules) for (const verdict of verdictsIn(counts)) met.add(verdict)
    const result = await bed.enforce({ plan, approval: plan.digest })

    const due = idsOf(customers, 'due')
    const [goneTickets, goneContracts] = [idsOf(tickets, 'due'), idsOf(contracts, 'due')]
    const exchanges = crm.exchanges.filter(({ of }) => due.has(of))
    const goneExchanges = new Set(exchanges.map(({ id }) => id))
    const messages = crm.messages.filter(({ of }) => goneTickets.has(of))
    const notes = crm.notes.filter(({ of }) => goneExchanges.has(of))
    expect(countsOf(plan)).toEqual({
      customer: tally(customers),
      ticket: tally(tickets),
      contract: tally(contracts),
    })
    expect(childrenOf(plan)).toEqual(
      withoutZeros({
        'crm.exchange': exchanges.length,
        'crm.note': notes.length,
        'crm.message': messages.length,
      }),
    )
    expect(result.outcome).toBe('done')
    expect(await left(bed)).toEqual({
      customer: idsBut(crm.customers, new Set()),
      contract: idsBut(crm.contracts, goneContracts),
      ticket: idsBut(crm.tickets, goneTickets),
      message: idsBut(crm.messages, new Set(messages.map(({ id }) => id))),
      exchange: idsBut(crm.exchanges, goneExchanges),
      note: idsBut(crm.notes, new Set(notes.map(({ id }) => id))),
    })
    expect(await namesOf(bed)).toEqual(
      crm.customers.map(({ id }) =>
        due.has(id) ? `${id} Anonymised ${id}@anonymised.invalid` : `${id} Name ${id} e${id}@x.org`,
      ),
    )
    await expectNothingDue(bed)
  })
  expect([...met].toSorted()).toEqual(
    'deciding due implausible neverExpires open outside running'.split(' '),
  )
})

test('a plan counts what blocks a departed customer, and a run leaves exactly that', async () => {
  await using bed = await openBed()
  await bed.run(`${SCHEMA}; ${WITHOUT_TICKETS}`)
  await bed.govern(DEPARTURE)
  const today = await todayOf(bed)
  const met = new Set<string>()

  await each(crmAt(today), async (crm) => {
    await insert(bed, { ...crm, tickets: [], messages: [] })
    const { customers, contracts, notes } = judgeDeparture(crm, today)
    const plan = await bed.plan()
    for (const { counts } of plan.rules) for (const verdict of verdictsIn(counts)) met.add(verdict)
    const result = await bed.enforce({ plan, approval: plan.digest })

    const due = idsOf(customers, 'due')
    const exchanges = crm.exchanges.filter(({ of }) => due.has(of))
    expect(countsOf(plan)).toEqual({
      customer: tally(customers),
      contract: tally(contracts),
      note: tally(notes),
    })
    expect(childrenOf(plan)).toEqual(withoutZeros({ 'crm.exchange': exchanges.length }))
    expect(result.outcome).toBe('done')
    expect(await left(bed)).toEqual({
      customer: idsBut(crm.customers, due),
      contract: idsBut(crm.contracts, idsOf(contracts, 'due')),
      exchange: idsBut(crm.exchanges, new Set(exchanges.map(({ id }) => id))),
      note: idsBut(crm.notes, idsOf(notes, 'due')),
    })
    await expectNothingDue(bed)
  })
  expect([...met].toSorted()).toEqual(['blocked', 'due', 'implausible', 'open', 'running'])
})

async function each(crms: fc.Arbitrary<Crm>, check: (crm: Crm) => Promise<void>): Promise<void> {
  await fc.assert(fc.asyncProperty(crms, check), { seed: 20_261_122, numRuns: 30 })
}

/** Small databases whose dates stand at the ends of the periods, and dates that are none. */
function crmAt(today: string): fc.Arbitrary<Crm> {
  const ago = (count: number) => retentionEnd(today, { count: -count, unit: 'year' })
  const edges = [2, 5, 10].flatMap((years) => [-1, 0, 1].map((days) => addDays(ago(years), days)))
  const old = [ago(11), ago(12), ago(20), ago(20), ago(20)]
  const none = [null, 'infinity', '-infinity', '9999-12-31', '1970-01-01', addDays(today, 400)]
  const date = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...old) },
    { weight: 2, arbitrary: fc.constantFrom(...edges) },
    { weight: 1, arbitrary: fc.constantFrom(...none) },
  )
  const among = (count: number) => fc.integer({ min: 1, max: count })
  return fc
    .integer({ min: 1, max: 6 })
    .chain((people) =>
      fc.record({
        customers: rows(people, people, { left: date }),
        contracts: rows(0, 8, {
          customer: fc.option(among(people), { freq: 8 }),
          state: fc.constantFrom(...Array<'ended'>(7).fill('ended'), 'active'),
          ended: date,
        }),
        tickets: rows(0, 6, {
          customer: fc.option(among(people), { freq: 8 }),
          status: fc.constantFrom('closed', 'closed', 'closed', 'open'),
        }),
        messages: rows(0, 6, { of: among(6) }),
        exchanges: rows(0, 6, { of: among(people) }),
        notes: rows(0, 4, { of: among(6), made: date }),
      }),
    )
    .map((crm) => ({
      ...crm,
      messages: crm.messages.filter(({ of }) => of <= crm.tickets.length),
      notes: crm.notes.filter(({ of }) => of <= crm.exchanges.length),
    }))
}

/** Rows numbered from 1. */
function rows<T>(
  minLength: number,
  maxLength: number,
  columns: { readonly [K in keyof T]: fc.Arbitrary<T[K]> },
): fc.Arbitrary<readonly (T & { readonly id: number })[]> {
  return fc
    .array(fc.record<T>(columns), { minLength, maxLength })
    .map((all) => all.map((row, position) => ({ ...(row as T), id: position + 1 })))
}

async function insert(bed: Bed, crm: Crm): Promise<void> {
  await bed.run('truncate crm.customer cascade')
  await bed.run(
    `insert into crm.customer select id, 'Name ' || id, 'e' || id || '@x.org', "left"
     from jsonb_to_recordset($1) as given (id int, "left" date)`,
    [JSON.stringify(crm.customers)],
  )
  const parts = [
    ['contract', 'customer int, state text, ended date', crm.contracts],
    ['ticket', 'customer int, status text', crm.tickets],
    ['message', 'of int', crm.messages],
    ['exchange', 'of int', crm.exchanges],
    ['note', 'of int, made date', crm.notes],
  ] as const
  for (const [table, columns, all] of parts) {
    if (all.length === 0) continue
    await bed.run(
      `insert into crm.${table} select * from jsonb_to_recordset($1) as given (id int, ${columns})`,
      [JSON.stringify(all)],
    )
  }
  await bed.watch()
}

async function todayOf(bed: Bed): Promise<string> {
  const [row] = await bed.rows<{ today: string }>(
    "select (now() at time zone 'Europe/Paris')::date::text as today",
  )
  return row?.today ?? ''
}

function countsOf(plan: Plan): Readonly<Record<string, object>> {
  return Object.fromEntries(plan.rules.map(({ rule, counts }) => [rule, withoutZeros(counts)]))
}

function childrenOf(plan: Plan): object {
  const along = plan.rules.flatMap(({ children }) => children)
  return withoutZeros(Object.fromEntries(along.map(({ table, rows: count }) => [table, count])))
}

function tally(judged: readonly { readonly verdict: string }[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { verdict } of judged) counts[verdict] = (counts[verdict] ?? 0) + 1
  return counts
}

function verdictsIn(counts: Readonly<Record<string, number>>): readonly string[] {
  return Object.keys(withoutZeros(counts))
}

function withoutZeros(counts: Readonly<Record<string, number>>): object {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

function idsBut(all: readonly { readonly id: number }[], gone: ReadonlySet<number>) {
  return all.map(({ id }) => id).filter((id) => !gone.has(id))
}

/** The ids that are left in each table. */
async function left(bed: Bed): Promise<Readonly<Record<string, readonly number[]>>> {
  const tables = await bed.rows<{ name: string }>(
    "select relname as name from pg_class where relnamespace = 'crm'::regnamespace and relkind = 'r'",
  )
  const found = tables.map(async ({ name }) => {
    const ids = await bed.rows<{ id: number }>(`select id from crm.${name} order by id`)
    return [name, ids.map(({ id }) => id)] as const
  })
  return Object.fromEntries(await Promise.all(found))
}

async function namesOf(bed: Bed): Promise<readonly string[]> {
  const found = await bed.rows<{ name: string }>(
    "select id || ' ' || name || ' ' || email as name from crm.customer order by id",
  )
  return found.map(({ name }) => name)
}

async function expectNothingDue(bed: Bed): Promise<void> {
  const again = await bed.plan()
  expect(again.rules.map(({ rule, counts }) => [rule, counts.due])).toEqual(
    again.rules.map(({ rule }) => [rule, 0]),
  )
}
