/**
 * `npm run bench:cost`: what the journal adds to a batch. The batches of one table are purged in each mode
 * in turn, so that a minute of noise falls on all of them, and means are compared of which the slowest
 * and the fastest tenth are left out. Everything around the statement is left out too: what is compared is a
 * transaction that locks 5,000 keys and deletes them, and the same with what the journal asks of it.
 */
import { randomUUID } from 'node:crypto'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { sql, type Transaction } from 'kysely'
import { systemClock } from '../src/base/clock.ts'
import { connect, type Db } from '../src/db/connect.ts'
import type { OwnTables } from '../src/db/schema.ts'
import { inTransaction } from '../src/db/transaction.ts'
import { proveRows, type RowEvidence } from '../src/enforce/evidence.ts'
import { EvidenceKey } from '../src/journal/evidence.ts'
import { readHead } from '../src/journal/read.ts'
import { appendEntry } from '../src/journal/store.ts'
import { cpuMs } from './cpu.ts'
import { openPlace } from './place.ts'

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '600000' },
    batch: { type: 'string', default: '5000' },
  },
})
const ROWS = Number(flags.rows)
const BATCH = Number(flags.batch)

/** `none`: no journal at all. `entry`: how many rows went. `rows`: a token of each of them too. */
const MODES = ['none', 'entry', 'rows'] as const
type Mode = (typeof MODES)[number]

/** The workload of the targets, and the cheapest delete there is. */
const TABLES = [
  { name: 'two indexes beside the key, one inbound foreign key', referred: true },
  { name: 'the cheapest: two indexes beside the key', referred: false },
]

const DIGEST = 'ab'.repeat(32)
const RUN = randomUUID()

type Taken = Record<Mode, { readonly ms: number; readonly cpuMs: number }[]>

await using place = await openPlace()
await using connection = connect(place.applicationUrl, { max: 1 })
const { db } = connection
const head = await readHead(db)
const evidence: RowEvidence = {
  key: new EvidenceKey('ek-2026', Buffer.alloc(32, 7)),
  origin: head?.origin ?? '',
}
for (const { name, referred } of TABLES) {
  await make(db, referred)
  const taken: Taken = { none: [], entry: [], rows: [] }
  for (let from = 0; from + BATCH <= ROWS; from += BATCH) {
    const mode = MODES[(from / BATCH) % MODES.length] ?? 'none'
    taken[mode].push(await timed(async () => purge(db, mode, from)))
  }
  console.log(
    `\n**${name}**, ${ROWS} rows, ${BATCH} in a batch, load ${loadavg()[0]?.toFixed(1)}\n`,
  )
  console.log('| journal | µs a row | adds | µs of processor a row | adds |\n|---|---|---|---|---|')
  for (const mode of MODES) console.log(lineOf(taken, mode))
}

async function timed(work: () => Promise<void>) {
  const began = cpuMs(place.pid)
  const started = performance.now()
  await work()
  return { ms: performance.now() - started, cpuMs: cpuMs(place.pid) - began }
}

/** One batch as a run would do it: keys first, hashed while PostgreSQL deletes their rows, then the entry. */
async function purge(db: Db, mode: Mode, from: number): Promise<void> {
  await inTransaction(db, async (trx) => {
    const { rows } = await sql<{ id: string }>`
      select id::text from site.connection
      where id >= ${from} and id < ${from + BATCH} and seen_at < now()
      for update skip locked`.execute(trx)
    const keys = rows.map(({ id }) => [id])
    const id = randomUUID()
    const changes = { keys, going: new Map(), children: [] }
    const [proof] = await Promise.all([
      proveRows(mode === 'rows' ? evidence : null, id, changes),
      remove(trx, keys),
    ])
    await sql`set constraints all immediate`.execute(trx)
    if (mode === 'none') return
    const draft = {
      type: 'batch',
      run: RUN,
      batch: id,
      policy: { rule: 'connection', sha256: DIGEST, seq: 1 },
      target: 'site.connection',
      action: 'purge',
      method: 'sql-delete',
      reason: 'manual',
      day: '2026-11-25',
      firstDayNotDue: '2025-11-25',
      children: [],
      rows: keys.length,
      evidence: proof.evidence,
    } as const
    await appendEntry(trx, place.signer, { draft, tokens: proof.tokens }, systemClock)
  })
}

async function remove(
  trx: Transaction<OwnTables>,
  keys: readonly (readonly string[])[],
): Promise<void> {
  await sql`
    delete from site.connection where id = any (${keys.flat()}::bigint[])`.execute(trx)
}

/** Rows of 150 bytes; nothing refers to those that go, which PostgreSQL has to find out for each. */
async function make(db: Db, referred: boolean): Promise<void> {
  await sql`create schema if not exists site`.execute(db)
  await sql`drop table if exists site.event, site.connection`.execute(db)
  await sql`
    create table site.connection (
      id bigint primary key, account_id bigint not null, seen_at timestamptz not null,
      address inet not null, agent text not null
    )`.execute(db)
  await sql`
    insert into site.connection
    select n, hashint8(n * 7), now() - interval '400 days' - (hashint8(n) % 1000) * interval '1 hour',
      '10.0.0.0'::inet + (n % 16000000), repeat(md5(n::text), 2)
    from generate_series(0, ${ROWS - 1}::int) as n`.execute(db)
  await sql`create index on site.connection (seen_at)`.execute(db)
  await sql`create index on site.connection (account_id)`.execute(db)
  if (referred) {
    await sql`
      create table site.event (
        id bigint primary key, connection_id bigint references site.connection, name text not null
      )`.execute(db)
    await sql`
      insert into site.event
      select n, null, md5(n::text) from generate_series(1, ${ROWS}::int) as n`.execute(db)
    await sql`create index on site.event (connection_id)`.execute(db)
    await sql`vacuum (analyze) site.event`.execute(db)
  }
  await sql`vacuum (analyze) site.connection`.execute(db)
  await sql`checkpoint`.execute(db)
}

function lineOf(taken: Taken, mode: Mode): string {
  const us = (of: Mode, what: 'ms' | 'cpuMs') => (1000 * trimmed(taken[of], what)) / BATCH
  const adds = (what: 'ms' | 'cpuMs') =>
    mode === 'none' ? '' : `${(100 * (us(mode, what) / us('none', what) - 1)).toFixed(1)} %`
  return `| ${mode} | ${us(mode, 'ms').toFixed(2)} | ${adds('ms')} | ${us(mode, 'cpuMs').toFixed(2)} | ${adds('cpuMs')} |`
}

/** The mean without the slowest and the fastest tenth. */
function trimmed(taken: Taken[Mode], what: 'ms' | 'cpuMs'): number {
  const sorted = taken.map((each) => each[what]).toSorted((one, other) => one - other)
  const cut = Math.floor(sorted.length / 10)
  const kept = sorted.slice(cut, sorted.length - cut)
  return kept.reduce((sum, each) => sum + each, 0) / kept.length
}
