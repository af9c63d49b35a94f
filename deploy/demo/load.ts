import { readFile } from 'node:fs/promises'
import { Client, escapeIdentifier } from 'pg'
import { demoRows, type DemoOptions } from './data.ts'
import { TABLES, type DemoTable, type Row } from './rows.ts'

/** Rows of each table after loading. */
export type Loaded = { readonly [Table in DemoTable]: number }

/** Rows of one statement: measured, neither 1,000 nor 20,000 is faster. */
const ROWS_AT_ONCE = 5000

/** The tables whose keys an identity column gives; the next one must follow those of the demo. */
const NUMBERED: readonly DemoTable[] = [
  'crm.customer',
  'crm.contract',
  'crm.exchange',
  'billing.bank_record',
  'support.ticket',
  'support.message',
  'site.connection',
  'legal.litigation',
]

/**
 * Makes the schemas of the demo in an empty database and fills them, in one transaction: a load that
 * fails leaves nothing behind.
 */
export async function loadDemo(superuserUrl: string, options: DemoOptions): Promise<Loaded> {
  const client = new Client({ connectionString: superuserUrl, application_name: 'demo' })
  await client.connect()
  try {
    await client.query('begin')
    await client.query(await readFile(new URL('schema.sql', import.meta.url), 'utf8'))
    const rows = demoRows(options)
    for (const table of TABLES) await insert(client, table, rows[table])
    for (const table of NUMBERED) await resumeNumbers(client, table)
    await client.query('commit')
    await client.query('analyze')
    return Object.fromEntries(TABLES.map((table) => [table, rows[table].length])) as Loaded
  } finally {
    await client.end()
  }
}

/** Sends many rows as one JSON parameter: no quoting of values, no limit on their number. */
async function insert(client: Client, table: DemoTable, rows: readonly Row[]): Promise<void> {
  const columns = Object.keys(rows[0] ?? {})
    .map((column) => escapeIdentifier(column))
    .join(', ')
  const text = `
    insert into ${table} (${columns})
    select ${columns}
    from json_populate_recordset(null::${table}, $1)`
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    await client.query(text, [JSON.stringify(rows.slice(from, from + ROWS_AT_ONCE))])
  }
}

async function resumeNumbers(client: Client, table: DemoTable): Promise<void> {
  await client.query(
    `select setval(pg_get_serial_sequence('${table}', 'id'), (select max(id) from ${table}))`,
  )
}
