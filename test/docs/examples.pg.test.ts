import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { openBed, type Bed } from '../support/bed.ts'
import { EXAMPLES } from '../support/examples.ts'

/**
 * The tables of an example with some rows that are due and some that are not: SQL in a file of the
 * example's name, which ends with what a run has to do:
 *
 *     -- gone: support.ticket 1, 2
 *     -- changed: crm.customer 3
 */
function fixtureOf(name: string) {
  const file = join(import.meta.dirname, `${name}.sql`)
  if (!existsSync(file)) throw new Error(`write test/docs/${name}.sql: the example has no tables`)
  const sql = readFileSync(file, 'utf8')
  return { sql, gone: listed(sql, 'gone'), changed: listed(sql, 'changed') }
}

type Keys = Readonly<Record<string, readonly string[]>>

function listed(sql: string, word: string): Keys {
  const lines = [...sql.matchAll(new RegExp(`^-- ${word}: (\\S+) (.+)$`, 'gm'))]
  return Object.fromEntries(lines.map(([, table = '', keys = '']) => [table, keys.split(', ')]))
}

/** The example as a policy that acts, and whose limits are not met by a handful of rows. */
function acting(text: string): string {
  const document = parse(text) as Record<string, unknown> & { rules: Record<string, unknown>[] }
  const { limits: _limits, ...defaults } = (document['defaults'] ?? {}) as Record<string, unknown>
  return stringify({
    ...document,
    // Of another name than the one that an example is pinned to.
    database: undefined,
    defaults: { ...defaults, mode: 'enforce', limits: { max_rows: 1_000_000, max_percent: 100 } },
    rules: document.rules.map(actingRule),
  })
}

/** Tests run at any time of the day: a window is not what they are about. */
function actingRule(rule: Record<string, unknown>): Record<string, unknown> {
  const pace = { ...(rule['pace'] as object | undefined), window: undefined }
  return { ...rule, mode: 'enforce', limits: undefined, pace }
}

/** Every row of the application by its table and primary key. */
async function rowsOf(bed: Bed): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const tables = await bed.rows<{ table: string; key: string }>(`
    select
      relnamespace::regnamespace || '.' || relname as table,
      (
        select string_agg(format('row.%I', attname), ' || ''/'' || ' order by position)
        from pg_index
        cross join unnest(indkey::int2[]) with ordinality as part (number, position)
        join pg_attribute on attrelid = indrelid and attnum = number
        where indrelid = pg_class.oid and indisprimary
      ) as key
    from pg_class
    where relkind = 'r' and relnamespace::regnamespace::text
      not in ('pg_catalog', 'information_schema', 'retentiond')
    order by 1`)
  const all = new Map<string, ReadonlyMap<string, string>>()
  for (const { table, key } of tables) {
    const rows = await bed.rows<{ key: string; row: string }>(
      `select (${key})::text as key, row::text as row from only ${table} as row order by ${key}`,
    )
    all.set(table, new Map(rows.map((each) => [each.key, each.row])))
  }
  return all
}

type Rows = Awaited<ReturnType<typeof rowsOf>>

/** The keys of the rows of which `isSo`, for each table that has any. */
function keysWhere(before: Rows, isSo: (table: string, key: string, row: string) => boolean): Keys {
  const keys = [...before].map(([table, rows]) => {
    const found = [...rows].filter(([key, row]) => isSo(table, key, row)).map(([key]) => key)
    return [table, found] as const
  })
  return Object.fromEntries(keys.filter(([, found]) => found.length > 0))
}

test.for(EXAMPLES)(
  'the example $name at $place acts on exactly the rows that are due, and once',
  async ({ name, text }) => {
    const fixture = fixtureOf(name)
    await using bed = await openBed()
    await bed.run(fixture.sql)
    await bed.govern(acting(text))
    const before = await rowsOf(bed)

    const { rules } = await bed.plan()
    expect(rules.map(({ refusal }) => refusal).filter((refusal) => refusal !== null)).toEqual([])
    expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0 })

    const after = await rowsOf(bed)
    expect(keysWhere(before, (table, key) => !after.get(table)?.has(key))).toEqual(fixture.gone)
    const isOther = (table: string, key: string, row: string): boolean =>
      (after.get(table)?.get(key) ?? row) !== row
    expect(keysWhere(before, isOther)).toEqual(fixture.changed)
    expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [] })
    expect(await rowsOf(bed)).toEqual(after)
  },
)
