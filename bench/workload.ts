/** The workload of decisions.md "Fast": rows of 150 bytes, two indexes, a share of them due. */
import type { Client } from 'pg'

export type Heap = 'correlated' | 'uncorrelated'

export type Workload = {
  readonly rows: number
  /** Per cent of the rows that are due. */
  readonly due: number
  /** Whether the order of the heap is that of age. */
  readonly heap: Heap
}

/** A row is due if its period started before this. */
export const BOUND = "now() - interval '1 year'"

/** From 0 to 1, the same in every run: the place of row `n` in the order of age. */
function ageOf({ rows, heap }: Workload): string {
  return heap === 'correlated'
    ? `(n::float8 / ${rows})`
    : '((hashint8(n)::int8 + 2147483648)::float8 / 4294967296)'
}

/** Makes `site.connection` afresh: connections of visitors, of which `due` per cent are over a year old. */
export async function makeConnections(client: Client, workload: Workload): Promise<void> {
  const share = workload.due / 100
  await client.query(`
    create schema if not exists site;
    drop table if exists site.connection;
    delete from retentiond.anonymised;
    create table site.connection (
      id bigint not null, account_id bigint not null, seen_at timestamptz not null,
      address inet not null, agent text not null
    );
    insert into site.connection
    select n, hashint8(n * 7),
      case when age < ${share}
        then ${BOUND} - interval '2 days' - age * interval '900 days'
        else ${BOUND} + interval '2 days' + (age - ${share}) * interval '300 days'
      end,
      '10.0.0.0'::inet + (n % 16000000), repeat(md5(n::text), 2) || left(md5(n::text), 24)
    from (select n, ${ageOf(workload)} as age from generate_series(1, ${workload.rows}) as n) as made;
    alter table site.connection add primary key (id);
    create index on site.connection (seen_at)`)
  await settle(client, 'site.connection')
}

/** The same for tickets, whose period starts when the last contract of their customer ends. */
export async function makeTickets(client: Client, workload: Workload): Promise<void> {
  const customers = Math.ceil(workload.rows / 5)
  await client.query(`
    create schema if not exists crm;
    drop table if exists crm.ticket, crm.contract, crm.customer;
    delete from retentiond.anonymised;
    create table crm.customer (id bigint primary key, full_name text not null);
    insert into crm.customer select n, md5(n::text) from generate_series(1, ${customers}) as n;
    create table crm.contract (
      id bigint primary key, customer_id bigint not null references crm.customer, ended_on timestamptz
    );
    insert into crm.contract
    select n, 1 + n % ${customers},
      case when ((hashint8(n % ${customers})::int8 + 2147483648)::float8 / 4294967296) < ${workload.due / 100}
        then ${BOUND} - interval '2 days' - (n % 900) * interval '1 day'
      end
    from generate_series(1, ${customers * 2}) as n;
    create index on crm.contract (customer_id);
    create table crm.ticket (
      id bigint primary key, customer_id bigint not null references crm.customer,
      opened_at timestamptz not null, body text not null
    );
    insert into crm.ticket
    select n, 1 + hashint8(n)::int8 % ${customers} + case when hashint8(n) < 0 then ${customers - 1} else 0 end,
      now(), repeat(md5(n::text), 3)
    from generate_series(1, ${workload.rows}) as n;
    create index on crm.ticket (customer_id)`)
  await settle(client, 'crm.customer, crm.contract, crm.ticket')
}

/** Every way starts from the same: statistics, visibility map and a fresh checkpoint. */
async function settle(client: Client, tables: string): Promise<void> {
  await client.query(`vacuum (analyze) ${tables}`)
  await client.query('checkpoint')
}
