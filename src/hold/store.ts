/** The holds in PostgreSQL. */
import { sql, type Kysely, type Transaction } from 'kysely'
import { columnOf, type Table } from '../catalog/catalog.ts'
import type { Held } from '../catalog/fitted.ts'
import { bound, columnId, keyArray, keyEquals, keySet, tableId, type Key } from '../db/governed.ts'
import type { HoldTable, OwnTables } from '../db/schema.ts'
import { saysRowRefused } from '../db/sqlstate.ts'

/** A hold as it is placed; what its scope does not need is null. */
export type Placed = {
  readonly caseReference: string
  readonly scope: HoldTable['scope']
  readonly until: string | null
  readonly rule: string | null
  readonly subject: string | null
  /** The table as `schema.name`. */
  readonly table: string | null
  readonly row?: { readonly oid: number; readonly columns: readonly string[]; readonly key: Key }
}

/** A hold as it is listed: everything but whom it is about. */
export type ListedHold = {
  readonly id: number
  readonly case: string
  readonly scope: HoldTable['scope']
  /** The rule or the table; null for a subject. */
  readonly target: string | null
  readonly until: string | null
  /** The day has come, which changes nothing. */
  readonly reminds: boolean
  readonly placedAt: string
  readonly liftedAt: string | null
}

/**
 * Waits for the batch at work, and keeps the next one away until this transaction ends: before
 * anything is read, so that what is found is still there.
 */
export async function beUnhurried(trx: Transaction<OwnTables>): Promise<void> {
  await sql`select set_config('lock_timeout', '120s', true)`.execute(trx)
  await sql`lock table retentiond.hold in row exclusive mode`.execute(trx)
}

export async function insertHold(trx: Transaction<OwnTables>, placed: Placed): Promise<number> {
  const { caseReference, scope, until, rule, subject, table, row } = placed
  const { id } = await trx
    .insertInto('retentiond.hold')
    .values({
      case_reference: caseReference,
      scope,
      rule,
      subject,
      until,
      table_name: table,
      table_oid: row?.oid ?? null,
      key_columns: row === undefined ? null : [...row.columns],
      key: row === undefined ? null : [...row.key],
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return Number(id)
}

/** The key in the spelling of the database; null if no row has it. */
export async function findKey(
  trx: Transaction<OwnTables>,
  { table, key }: Held,
  values: Key,
): Promise<Key | null> {
  const { rows } = await sql<{ key: string[] }>`
    select ${keyArray(key, 'row')} as key
    from ${tableId(table)} as row
    join ${keySet(key, [values])} as given on ${keyEquals(key, 'row', 'given')}`.execute(trx)
  return rows[0]?.key ?? null
}

/** The subject in the spelling of the database; none if no row is about it. */
export async function findSubject(
  trx: Transaction<OwnTables>,
  place: { readonly table: Table; readonly column: string },
  value: string,
): Promise<readonly string[]> {
  const column = columnOf(place.table, place.column)
  if (column === undefined || !(await isReadable(trx, value, column.type))) return []
  const subject = columnId('row', column.name)
  const { rows } = await sql<{ spelling: string }>`
    select cast(${subject} as text) as spelling
    from ${tableId(place.table)} as row
    where ${subject} = ${bound(value, column.type)}
    group by 1`.execute(trx)
  return rows.map(({ spelling }) => spelling)
}

/** A name is no number: such a column has no such subject. Asked aside, since an error ends all. */
async function isReadable(
  trx: Transaction<OwnTables>,
  value: string,
  type: { readonly schema: string; readonly name: string },
): Promise<boolean> {
  await sql`savepoint asked`.execute(trx)
  try {
    await sql`select ${bound(value, type)} is null`.execute(trx)
    await sql`release savepoint asked`.execute(trx)
    return true
  } catch (error) {
    if (!saysRowRefused(error)) throw error
    await sql`rollback to savepoint asked`.execute(trx)
    return false
  }
}

/** Every hold in the order of its number; open ones only, unless `all`. */
export async function listHolds(
  db: Kysely<OwnTables>,
  all: boolean,
): Promise<readonly ListedHold[]> {
  const instant = (column: 'placed_at' | 'lifted_at') =>
    sql<string | null>`to_char(${sql.id(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
  const rows = await db
    .selectFrom('retentiond.hold')
    .select(['id', 'case_reference', 'scope', 'rule', 'table_name'])
    .select([
      sql<string | null>`until::text`.as('until'),
      sql<boolean>`coalesce(lifted_at is null and until <= current_date, false)`.as('reminds'),
      instant('placed_at').as('placed'),
      instant('lifted_at').as('lifted'),
    ])
    .where((that) => (all ? that.lit(true) : that('lifted_at', 'is', null)))
    .orderBy('id')
    .execute()
  return rows.map((row) => ({
    id: Number(row.id),
    case: row.case_reference,
    scope: row.scope,
    target: row.rule ?? row.table_name,
    until: row.until,
    reminds: row.reminds,
    placedAt: row.placed ?? '',
    liftedAt: row.lifted,
  }))
}
