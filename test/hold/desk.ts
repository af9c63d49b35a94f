/** Whoever places and lifts holds, in a role that may do nothing else. */
import { systemClock } from '../../src/base/clock.ts'
import { connect } from '../../src/db/connect.ts'
import { liftHolds, placeHold, type Scope } from '../../src/hold/hold.ts'
import { listHolds, type ListedHold } from '../../src/hold/store.ts'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import type { Bed } from '../support/bed.ts'

export interface Desk extends AsyncDisposable {
  place(scope: Scope, caseReference?: string, until?: string): Promise<readonly number[]>
  lift(which?: string): Promise<readonly number[]>
  list(all?: boolean): Promise<readonly ListedHold[]>
}

export const CASE = 'CASE-42 Dupont'

/** Opens a desk for the policies that the bed has in use. */
export function openDesk(bed: Bed, rules: readonly FittedRule[]): Desk {
  const connection = connect(bed.database.urlOf(bed.roles.keeper))
  const tools = { db: connection.db, signer: bed.signer, clock: systemClock }
  return {
    place: async (scope, caseReference = CASE, until) =>
      placeHold(tools, { caseReference, scope, until: until ?? null, rules }),
    lift: async (which = CASE) => liftHolds(tools, which),
    list: async (all = false) => listHolds(connection.db, all),
    [Symbol.asyncDispose]: async () => connection[Symbol.asyncDispose](),
  }
}

export const row = (table: string, ...key: readonly string[]): Scope => ({
  kind: 'row',
  table,
  key,
})

/** Customers with tickets and messages, and notes that go along with the customer; all due. */
export const SCHEMA = `
  create schema crm;
  create table crm.customer (
    id bigint primary key, email text not null, left_on date
  );
  create table crm.note (id bigint primary key, customer_id bigint references crm.customer, body text);
  create table crm.ticket (
    id bigint primary key, customer_id bigint references crm.customer, status text not null, closed_on date
  );
  create table crm.message (id bigint primary key, ticket_id bigint references crm.ticket, body text);
  create schema legal;
  create table legal.litigation (
    id bigint primary key, customer_id bigint, ticket_id bigint, closed_on date, archived_on date
  );
  insert into crm.customer select n, 'e' || n || '@example.org', '2001-02-03' from generate_series(1, 4) as n;
  insert into crm.note select n * 10 + k, n, 'n' from generate_series(1, 4) as n, generate_series(1, 2) as k;
  insert into crm.ticket select n * 10 + k, n, 'closed', '2001-02-03' from generate_series(1, 4) as n, generate_series(1, 2) as k;
  insert into crm.message select id * 10 + k, id, 'm' from crm.ticket, generate_series(1, 2) as k;`

export type Wanted = {
  readonly holds?: string
  readonly customer?: string
  readonly ticket?: string
  readonly more?: string
}

/** Tickets go first, with their messages; then the customers, with their notes. */
export function policy({ holds = '', customer = '', ticket = '', more = '' }: Wanted = {}): string {
  return `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 100000, max_percent: 100 } }
${holds}
rules:
  - id: customer
    table: crm.customer
    subject: email
    start: left_on
    keep: 10 years
    then: purge
    references: { crm.note: with_parent, crm.ticket: own_rule }
${customer}
  - id: ticket
    table: crm.ticket
    where: { status: closed }
    start: closed_on
    keep: 5 years
    then: purge
    references: { crm.message: with_parent }
${ticket}
${more}`
}

export const LITIGATION = `
holds:
  - table: legal.litigation
    covers: { crm.customer: customer_id, crm.ticket: ticket_id }
    while: { closed_on: null }`

/** Keys of what is there, by table. */
export async function left(bed: Bed): Promise<Record<string, readonly number[]>> {
  const found: Record<string, readonly number[]> = {}
  for (const table of ['crm.customer', 'crm.note', 'crm.ticket', 'crm.message']) {
    const rows = await bed.rows<{ id: string }>(`select id from ${table} order by id`)
    found[table.replace('crm.', '')] = rows.map(({ id }) => Number(id))
  }
  return found
}
