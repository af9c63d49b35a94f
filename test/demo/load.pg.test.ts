import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { KEYS, edgeCases } from '../../deploy/demo/cases.ts'
import { loadDemo } from '../../deploy/demo/load.ts'
import { TABLES } from '../../deploy/demo/rows.ts'
import { openTestDatabase } from '../support/database.ts'

const TODAY = '2026-11-22'

test('the demo loads whole: every row, every edge case, and numbers that go on after it', async () => {
  await using database = await openTestDatabase()
  const { superuser } = database

  const loaded = await loadDemo(database.superuserUrl, { today: TODAY })

  for (const table of TABLES) {
    const { rows } = await superuser.query<{ count: number }>(
      `select count(*)::int as count from ${table}`,
    )
    expect([table, rows[0]?.count]).toEqual([table, loaded[table]])
  }
  for (const { table, key } of edgeCases(TODAY).cases) {
    const filter = Object.keys(key).map((column, index) => `${column} = $${index + 1}`)
    const { rowCount } = await superuser.query(
      `select 1 from ${table} where ${filter.join(' and ')}`,
      Object.values(key),
    )
    expect([table, key, rowCount]).toEqual([table, key, 1])
  }
  const { rows: added } = await superuser.query<{ id: string }>(
    `insert into crm.contract (customer_id, kind, signatory, started_on, monthly_fee)
     values (1, 'licence', 'Camille Martin', '2026-11-22', 10) returning id`,
  )
  expect(Number(added[0]?.id)).toBeGreaterThan(loaded['crm.contract'])
})

test('the primary keys of the demo are those by which the cases name their rows', async () => {
  await using database = await openTestDatabase()
  const schema = new URL('../../deploy/demo/schema.sql', import.meta.url)
  await database.superuser.query(await readFile(schema, 'utf8'))

  const { rows } = await database.superuser.query<{ table: string; key: string[] }>(
    `select format('%s.%s', n.nspname, c.relname) as table,
       array_agg(a.attname::text order by k.position) as key
     from pg_constraint p
     join pg_class c on c.oid = p.conrelid
     join pg_namespace n on n.oid = c.relnamespace
     cross join unnest(p.conkey) with ordinality as k (number, position)
     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
     where p.contype = 'p' and n.nspname in ('crm', 'billing', 'support', 'site', 'legal')
     group by 1`,
  )

  expect(Object.fromEntries(rows.map(({ table, key }) => [table, key]))).toEqual(KEYS)
})

test('a load that fails leaves nothing behind', async () => {
  await using database = await openTestDatabase()

  // The schema has been made by the time the day is read.
  await expect(loadDemo(database.superuserUrl, { today: 'today' })).rejects.toThrow('YYYY-MM-DD')

  const { rows } = await database.superuser.query("select to_regclass('crm.customer') as found")
  expect(rows).toEqual([{ found: null }])
})
