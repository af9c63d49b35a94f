/** What people write without us: each deletes or overwrites everything that is due, and returns how many rows. */
import type { Client } from 'pg'
import { BOUND } from './workload.ts'

export type Way = (client: Client) => Promise<number>

const BATCH = 5000

/** A bound that is the same for every statement, as a program would have computed it. */
async function boundOf(client: Client): Promise<string> {
  const { rows } = await client.query<{ bound: string }>(`select (${BOUND})::text as bound`)
  return rows[0]?.bound ?? ''
}

/** One statement, one transaction: the fastest there is, and nobody dares to run it. */
export const plainDelete: Way = async (client) => {
  const { rowCount } = await client.query('delete from site.connection where seen_at < $1', [
    await boundOf(client),
  ])
  return rowCount ?? 0
}

/** The loop that everybody writes. */
export const ctidLoop: Way = async (client) =>
  repeated(client, async (bound) =>
    client.query(
      `delete from site.connection where ctid in (
         select ctid from site.connection where seen_at < $1 limit ${BATCH} for update skip locked
       )`,
      [bound],
    ),
  )

/** By the index on the start, from the last key of the batch before. */
export const keysetLoop: Way = async (client) => {
  const bound = await boundOf(client)
  let [at, id, rows] = ['-infinity', '0', 0]
  for (;;) {
    const { rows: last } = await client.query<{ seen_at: string; id: string; rows: string }>(
      `with page as (
         select seen_at, id from site.connection
         where seen_at < $1 and (seen_at, id) > ($2::timestamptz, $3::bigint)
         order by seen_at, id limit ${BATCH} for update skip locked
       ), gone as (
         delete from site.connection as row using page where row.id = page.id returning row.id
       )
       select seen_at::text, id::text, (select count(*) from gone)::text as rows
       from page order by page.seen_at desc, page.id desc limit 1`,
      [bound, at, id],
    )
    const [page] = last
    if (page === undefined) return rows
    at = page.seen_at
    id = page.id
    rows += Number(page.rows)
  }
}

/** One UPDATE of everything that is due. */
export const plainUpdate: Way = async (client) => {
  const { rowCount } = await client.query(
    `update site.connection set address = '0.0.0.0', agent = '' where seen_at < $1`,
    [await boundOf(client)],
  )
  return rowCount ?? 0
}

/** One DELETE of the tickets of customers whose contracts are all over. */
export const plainTickets: Way = async (client) => {
  const { rowCount } = await client.query(
    `delete from crm.ticket as row
     where exists (select from crm.contract as event where event.customer_id = row.customer_id)
       and not exists (
         select from crm.contract as event
         where event.customer_id = row.customer_id and (event.ended_on < $1) is not true
       )`,
    [await boundOf(client)],
  )
  return rowCount ?? 0
}

/** The common loop on the same. */
export const ticketLoop: Way = async (client) =>
  repeated(client, async (bound) =>
    client.query(
      `delete from crm.ticket where ctid in (
         select row.ctid from crm.ticket as row
         where exists (select from crm.contract as event where event.customer_id = row.customer_id)
           and not exists (
             select from crm.contract as event
             where event.customer_id = row.customer_id and (event.ended_on < $1) is not true
           )
         limit ${BATCH} for update of row skip locked
       )`,
      [bound],
    ),
  )

async function repeated(
  client: Client,
  batch: (bound: string) => Promise<{ readonly rowCount: number | null }>,
): Promise<number> {
  const bound = await boundOf(client)
  let rows = 0
  for (;;) {
    const { rowCount } = await batch(bound)
    if (rowCount === null || rowCount === 0) return rows
    rows += rowCount
  }
}
