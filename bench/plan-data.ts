/** Tables of a size to measure plans on: one tenth is due, in no order of the heap. */
import type { Client } from 'pg'

/** Makes the tables, or leaves them as they are if they have that many rows already. */
export async function loadRows(client: Client, rows: number): Promise<void> {
  if (await isLoaded(client, rows)) return
  for (const statement of statements(rows)) await client.query(statement)
}

async function isLoaded(client: Client, rows: number): Promise<boolean> {
  const { rows: found } = await client.query<{ loaded: boolean }>(
    `select to_regclass('bench.size') is not null as loaded`,
  )
  if (found[0]?.loaded !== true) return false
  const { rows: sizes } = await client.query<{ rows: string }>('select rows from bench.size')
  return Number(sizes[0]?.rows) === rows
}

/**
 * Connections are spread over 400 days, of which 12 months are kept: 8.75 % are due. Contracts ended in the last 4,000
 * days, every fifth is open; a customer has none, one or two.
 */
function statements(rows: number): readonly string[] {
  const customers = Math.floor(rows / 2)
  return [
    'drop schema if exists bench cascade',
    'create schema bench',
    `create table bench.connection (
       id bigint not null, recorded_at timestamptz not null, ip inet, agent text)`,
    `insert into bench.connection
     select n, now() - ((n * 7919) % ${rows}) * (interval '400 days' / ${rows}),
       '10.0.0.0'::inet + (n % 16000000), repeat(md5(n::text), 2)
     from generate_series(1::bigint, ${rows}) as n`,
    'alter table bench.connection add primary key (id)',
    'create index on bench.connection (recorded_at)',
    `create table bench.customer (id bigint not null, full_name text not null, email text)`,
    `insert into bench.customer
     select n, 'name ' || md5(n::text), md5('m' || n) || '@example.com'
     from generate_series(1::bigint, ${customers}) as n`,
    'alter table bench.customer add primary key (id)',
    `create table bench.contract (
       id bigint not null, customer_id bigint not null, ended_on date, terms text)`,
    `insert into bench.contract
     select n, 1 + (n * 7919) % ${Math.floor(customers * 0.95)},
       case when n % 5 > 0 then current_date - ((n * 104729) % 4000)::int end, md5(n::text)
     from generate_series(1::bigint, ${rows}) as n`,
    'alter table bench.contract add primary key (id)',
    'alter table bench.contract add foreign key (customer_id) references bench.customer',
    'create index on bench.contract (customer_id, ended_on)',
    'create index on bench.contract (ended_on)',
    `create table bench.litigation (
       id int primary key, customer_id bigint not null references bench.customer, closed_on date)`,
    `insert into bench.litigation
     select n, 1 + (n * 7919) % ${Math.floor(customers * 0.95)},
       case when n % 2 = 0 then current_date end
     from generate_series(1::bigint, 2000) as n`,
    'create index on bench.litigation (customer_id)',
    'create table bench.size (rows bigint)',
    `insert into bench.size values (${rows})`,
    'vacuum (analyze) bench.connection',
    'vacuum (analyze) bench.customer',
    'vacuum (analyze) bench.contract',
    'vacuum (analyze) bench.litigation',
  ]
}
