import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, type Connection, type Submittable } from 'pg'
import { inSnapshot } from '../../src/db/transaction.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import type { Bed } from '../support/bed.ts'

/** Sample databases stand beside the repository, and are not copied into it. */
const FOLDER = join(import.meta.dirname, '../../../shared/data')

/** False, and says so, where the sample is not there: its tests are left out. */
export function isThere(sample: string): boolean {
  const present = existsSync(join(FOLDER, sample))
  if (!present) console.info(`left out: ../shared/data/${sample} is not there, with its tests`)
  return present
}

/** Runs a script as `pg_dump` writes it: statements, and rows behind `COPY … FROM stdin`. */
export async function runScript(bed: Bed, sample: string): Promise<void> {
  // A session of its own: the script changes settings, the search path among them.
  const client = new Client({ connectionString: bed.database.superuserUrl })
  await client.connect()
  try {
    const script = readFileSync(join(FOLDER, sample), 'utf8')
    let from = 0
    for (const block of script.matchAll(/^COPY .* FROM stdin;$\n([\s\S]*?)^\\\.$/gm)) {
      const [whole, rows = ''] = block
      await client.query(script.slice(from, block.index))
      await copyIn(client, whole.slice(0, whole.indexOf('\n')), rows)
      from = block.index + whole.length
    }
    await client.query(script.slice(from))
  } finally {
    await client.end()
  }
}

/** The part of the driver's connection that sends rows; its types leave it out. */
type CopyConnection = Connection & {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

async function copyIn(client: Client, statement: string, rows: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const copy = {
      submit: (connection: Connection) => connection.query(statement),
      handleCopyInResponse: (connection: CopyConnection) => {
        connection.sendCopyFromChunk(Buffer.from(rows))
        connection.endCopyFrom()
      },
      handleCommandComplete: () => {},
      handleReadyForQuery: () => resolve(),
      handleError: (error: Error) => reject(error),
    }
    client.query(copy as Submittable)
  })
}

/** A first day that is not due, YYYY-MM-DD, for each period that a policy writes. */
export type Cuts = Readonly<Record<string, string>>

/**
 * Takes the policy beside this file into use. The samples stand still while the calendar goes on, so
 * each period of the policy becomes as many days as put the first day that is not due where `cuts` says.
 */
export async function governSample(bed: Bed, policy: string, cuts: Cuts) {
  let text = readFileSync(join(import.meta.dirname, policy), 'utf8')
  for (const [period, cut] of Object.entries(cuts)) {
    const [row] = await bed.rows<{ days: number }>(
      `select (now() at time zone 'Europe/Paris')::date - date '${cut}' as days`,
    )
    text = text.replaceAll(`keep: ${period}`, `keep: ${row?.days} days`)
  }
  return bed.govern(text)
}

/** For each table that a rule acts on: its key, and a query for the keys of the rows that are due. */
export type Expectation = Readonly<
  Record<string, { readonly table: string; readonly key: string; readonly due: string }>
>

/** Sets the expected keys down in tables of their own, before anything changes; gives their numbers. */
export async function expectRows(
  bed: Bed,
  expectation: Expectation,
): Promise<Readonly<Record<string, number>>> {
  await bed.run('create schema expected')
  const counts: Record<string, number> = {}
  for (const [rule, { due }] of Object.entries(expectation)) {
    await bed.run(`create table expected.${rule} as ${due}`)
    const [row] = await bed.rows<{ rows: number }>(
      `select count(*)::int as rows from expected.${rule}`,
    )
    counts[rule] = row?.rows ?? 0
  }
  return counts
}

/** A digest of the rows of every table but those that are expected to change. */
export async function untouched(
  bed: Bed,
  expectation: Expectation,
): Promise<Readonly<Record<string, string>>> {
  const tables = await bed.rows<{ name: string }>(`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
    order by relname`)
  const digests: Record<string, string> = {}
  for (const { name } of tables) {
    const changing = Object.entries(expectation).filter(([, { table }]) => table === name)
    const others = changing.map(
      ([rule, { key }]) => `row.${key} not in (select ${key} from expected.${rule})`,
    )
    const [digest] = await bed.rows<{ digest: string }>(`
      select count(*) || ' ' || md5(coalesce(string_agg(row::text, '|' order by row::text), '')) as digest
      from public.${name} as row
      where ${['true', ...others].join(' and ')}`)
    digests[name] = digest?.digest ?? ''
  }
  return digests
}

/** How many of the rows that a rule is expected to act on are there, and how many `match`. */
export async function expectedLeft(
  bed: Bed,
  expectation: Expectation,
  rule: string,
  matching = 'true',
): Promise<{ readonly there: number; readonly matching: number }> {
  const { table = '', key = '' } = expectation[rule] ?? {}
  const [row] = await bed.rows<{ there: number; matching: number }>(`
    select count(*)::int as there, count(*) filter (where ${matching})::int as matching
    from public.${table} join expected.${rule} using (${key})`)
  return row ?? { there: -1, matching: -1 }
}

/** The verdict of `explain` on the row whose key is the integer `key`, for its only rule. */
export async function verdictOf(
  bed: Bed,
  governed: Awaited<ReturnType<Bed['govern']>>,
  table: string,
  key: number,
): Promise<string> {
  const found = governed.catalog.tables.get(`public.${table}`)
  const column = found?.keys[0]?.columns[0]
  if (found === undefined || column === undefined) throw new Error(`no table ${table}`)
  const [now] = await bed.rows<{ at: string }>(
    `select to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`,
  )
  const { rules } = await inSnapshot(bed.connection.db, async (trx) =>
    explainRecord(trx, {
      rules: governed.rules,
      table: found,
      key: [{ name: column, type: { schema: 'pg_catalog', name: 'int4' } }],
      values: [String(key)],
      at: now?.at ?? '',
    }),
  )
  return rules.map(({ verdict }) => verdict).join(', ')
}
