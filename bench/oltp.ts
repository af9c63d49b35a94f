/** An application at work beside a purge: what its slowest statements take, alone and beside it. */
import { Client } from 'pg'

export type Load = {
  readonly url: string
  readonly sessions: number
  /** Transactions a second of each session: fewer than it could, as an application's are. */
  readonly rate: number
  readonly rows: number
}

export type Latency = { readonly transactions: number; readonly p50: number; readonly p99: number }

export interface RunningLoad {
  stop(): Promise<Latency>
}

/** Makes the table that the application works on; the purge never touches it. */
export async function makeOrders(client: Client, rows: number): Promise<void> {
  await client.query(`
    create schema if not exists shop;
    drop table if exists shop.purchase;
    create table shop.purchase (id bigint primary key, state int not null, note text not null);
    insert into shop.purchase select n, 0, repeat('x', 80) from generate_series(1, ${rows}) as n`)
  await client.query('vacuum (analyze) shop.purchase')
}

/** Starts the sessions: each reads a row, changes another, and reads a connection, in one transaction. */
export function startLoad(load: Load): RunningLoad {
  const stopping = new AbortController()
  const taken: number[] = []
  const sessions = Array.from({ length: load.sessions }, async () =>
    work(load, taken, stopping.signal),
  )
  return {
    stop: async () => {
      stopping.abort()
      await Promise.all(sessions)
      const sorted = taken.toSorted((one, other) => one - other)
      const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
      return { transactions: sorted.length, p50: at(0.5), p99: at(0.99) }
    },
  }
}

async function work({ url, rate, rows }: Load, taken: number[], signal: AbortSignal) {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    while (!signal.aborted) {
      const started = performance.now()
      const id = () => 1 + Math.floor(Math.random() * rows)
      await client.query('begin')
      await client.query('select note from shop.purchase where id = $1', [id()])
      await client.query('update shop.purchase set state = state + 1 where id = $1', [id()])
      await client.query('select agent from site.connection where id = $1', [id()])
      await client.query('commit')
      const ms = performance.now() - started
      taken.push(ms)
      await new Promise((resolve) => {
        setTimeout(resolve, Math.max(0, 1000 / rate - ms))
      })
    }
  } finally {
    await client.end()
  }
}
