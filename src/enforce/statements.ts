/** The statements of a batch on governed tables, one function each. `row` is the governed row. */
import { sql, type RawBuilder } from 'kysely'
import {
  isTangled,
  type Child,
  type FittedRule,
  type GovernedRule,
  type Referral,
} from '../catalog/fitted.ts'
import {
  columnId,
  conjunction,
  disjunction,
  keyArray,
  keyEquals,
  keySet,
  keyTexts,
  tableId,
  type Key,
  type KeyColumn,
  type TableRef,
} from '../db/governed.ts'
import { hasUnlockedAbove, type LockedAbove } from '../hold/above.ts'
import type { Boundary } from '../plan/boundary.ts'
import { viewOf } from '../plan/due.ts'
import { isActionable } from '../plan/hindrance.ts'
import type { Idle } from '../plan/orders.ts'
import type { Asked } from '../plan/unit.ts'
import type { WalkKind } from '../policy/walk.ts'
import { linkTexts, seenAndHeld, seesOnlyHeld, type LockedLevel } from './related.ts'
import { orderOf, placeText, within, type Place, type Stretch } from './stretch.ts'

/** By what a batch decides; `idle` was read with holds closed. */
export type Decided = {
  readonly fitted: FittedRule
  readonly boundary: Boundary
  readonly idle: Idle
}

/** Key columns of the rows that a set of given rows is found by. */
export type Given = { readonly columns: readonly KeyColumn[]; readonly keys: readonly Key[] }

/**
 * Closes the table to changes of its shape, not to the application: no foreign key, trigger or
 * column can come until the batch ends. An update or delete of nothing takes the same lock as
 * `lock table … in row exclusive mode`, which asks for more rights than a batch needs. Of a
 * partitioned table every partition is closed: `where false` would leave them all out of the plan.
 */
export function closeShape({ table, masks, rule }: GovernedRule): RawBuilder<unknown> {
  const [mask] = masks
  if (rule.action.kind === 'purge' || mask === undefined) return closeChildShape(table)
  const column = sql.id(mask.column.name)
  return sql`update ${tableId(table)} set ${column} = ${column} where (select false)`
}

export function closeDetachedShape({ table, foreignKeys }: Child): RawBuilder<unknown> {
  const column = sql.id(foreignKeys[0]?.fromColumns[0] ?? '')
  return sql`update ${tableId(table)} set ${column} = ${column} where (select false)`
}

export function closeChildShape(table: TableRef): RawBuilder<unknown> {
  return sql`delete from ${tableId(table)} where (select false)`
}

/** Closes a source to writers: nothing else keeps new related rows away from it. */
export function closeToWriters(table: TableRef): RawBuilder<unknown> {
  return sql`lock table ${tableId(table)} in share mode`
}

/** Keeps partitions from being attached or detached; rows come and go as before. */
export function keepWhole({ schema, name }: TableRef): RawBuilder<unknown> {
  return sql`lock table only ${tableId({ schema, name, only: false })} in share update exclusive mode`
}

/** Keeps persons from placing and lifting holds until the batch ends. */
export function closeHolds(): RawBuilder<unknown> {
  return sql`select retentiond.close_holds()`
}

/** Keeps the shape of a table that is only read; needs the right to read one column. */
export function holdShape(table: TableRef): RawBuilder<unknown> {
  return sql`select from ${tableId(table)} where (select false)`
}

/**
 * Locks at most `limit` rows that may be acted on, behind the cursor in the order of the stretch. `for
 * update`, since a new child's foreign key takes a key-share lock, which anything less lets pass.
 * Rows locked by others are left out, so a short answer means only that the stretch is at its end.
 */
export function lockActionable(
  { fitted, boundary, idle }: Decided,
  { stretch, cursor, limit }: Place,
): RawBuilder<Record<string, unknown>> {
  return sql`
    select ${keyTexts(fitted.key, 'row')}${linkTexts(fitted.start)}${placeText(stretch)}
    from ${tableId(stretch.part)} as row
    where ${within(stretch, cursor, fitted)} and ${isActionable(viewOf(fitted, boundary), [], idle)}
    order by ${orderOf(stretch, fitted)}
    limit ${limit}::int
    for update of row skip locked`
}

/**
 * Counts what may be acted on in the whole table. After a sweep the index on the start is full of rows
 * that are gone, and PostgreSQL, which takes the pages for untouched, would look each up where it was: no
 * index holds the place of a row, so that asking for it has the pages read in their order. Rows that stand
 * as one of the transactions `done` wrote them are not looked for among the markers.
 */
export function countActionableRows(
  { fitted, boundary, idle }: Decided,
  walk: WalkKind,
  done: readonly string[],
): RawBuilder<{ rows: string }> {
  const inOrder = sql`${columnId('row', 'ctid')} >= '(0,0)'::tid`
  const notOurs = sql`(${columnId('row', 'xmin')} = any (${done}::text[]::xid[])) is not true`
  const swept = walk === 'heap' ? [inOrder, ...(done.length > 0 ? [notOurs] : [])] : []
  return sql`
    select count(*)::text as rows
    from ${tableId(fitted.table)} as row
    where ${conjunction([...swept, isActionable(viewOf(fitted, boundary), [], idle)])}`
}

/** What a batch holds locked beside the governed rows. */
export type Locked = {
  /** How many related rows of each record, level by level. */
  readonly related: readonly LockedLevel[]
  /** Keys of the rows of each table that change with the governed rows. */
  readonly children: ReadonlyMap<Child, readonly Key[]>
  /** Rows above, on which a hold may come or go. */
  readonly above: readonly LockedAbove[]
}

/**
 * Decides again, in a new statement and so on a new snapshot, with everything that decides locked:
 * which of the locked rows are still due, not blocked, not deciding, and see no related row and no
 * row that goes along but locked ones.
 */
export function decideAgain(
  { fitted, boundary, idle }: Decided,
  keys: readonly Key[],
  locked: Locked,
): RawBuilder<Record<string, unknown>> {
  const { table, key } = fitted
  const unlocked: readonly Asked[] = [
    ...[...locked.children].map(([along, rows]) => ({
      along,
      of: (row: string) => isNotAmong({ columns: along.key, keys: rows }, row),
    })),
    ...locked.above.map((each) => ({
      along: each.from.along,
      of: (row: string) => hasUnlockedAbove(each, row),
    })),
  ]
  const together = isTangled(fitted)
    ? [{ along: null, of: (row: string) => isNotAmong({ columns: key, keys }, row) }]
    : []
  const conditions = [
    isActionable(viewOf(fitted, boundary), [...unlocked, ...together], idle),
    ...locked.related.map((_, at) => seesOnlyHeld(at)),
  ]
  return sql`
    select ${keyTexts(key, 'row')}
    from ${tableId(table)} as row
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'row', 'given')}
    ${seenAndHeld(locked.related)}
    where ${conjunction(conditions)}`
}

/** True of a row that is none of the given ones. */
export function isNotAmong({ columns, keys }: Given, row: string): RawBuilder<boolean> {
  return sql<boolean>`not exists (
    select from ${keySet(columns, keys)} as among where ${keyEquals(columns, row, 'among')}
  )`
}

/** THE statement that deletes: exactly the given rows of one table. */
export function purgeRows(table: Child['table'], rows: Given): RawBuilder<unknown> {
  return sql`
    delete from ${tableId(table)} as row
    using ${keySet(rows.columns, rows.keys)} as given
    where ${keyEquals(rows.columns, 'row', 'given')}`
}

/**
 * The same for tables that refer to each other in a circle: PostgreSQL looks at foreign keys at the
 * end of a statement, when all of these rows are gone. Returns how many went of each, as `rows_1`, ….
 */
export function purgeCircle(
  parts: readonly { readonly table: Child['table']; readonly rows: Given }[],
): RawBuilder<Record<string, string>> {
  const purged = parts.map(
    ({ table, rows }, at) =>
      sql`${sql.id(`purged_${at + 1}`)} as (${purgeRows(table, rows)} returning 1)`,
  )
  const counts = parts.map(
    (_, at) =>
      sql`(select count(*) from ${sql.id(`purged_${at + 1}`)})::text as ${sql.id(`rows_${at + 1}`)}`,
  )
  return sql`with ${sql.join(purged)} select ${sql.join(counts)}`
}

/** Counts the given rows that still refer to something by the link. */
export function countAttached(
  child: Child,
  key: Referral,
  keys: readonly Key[],
): RawBuilder<{ rows: string }> {
  return sql`
    select count(*)::text as rows
    from ${tableId(child.table)} as row
    join ${keySet(child.key, keys)} as given on ${keyEquals(child.key, 'row', 'given')}
    where ${disjunction(key.fromColumns.map((column) => sql`${columnId('row', column)} is not null`))}`
}

/**
 * THE statement that deletes where a rule asks nothing but the row itself: everything in the stretch
 * that may go. PostgreSQL locks each row and asks the predicate again of one that changed meanwhile.
 */
export function purgeStretch(
  { fitted, boundary, idle }: Decided,
  stretch: Stretch,
): RawBuilder<unknown> {
  return sql`
    delete from ${tableId(stretch.part)} as row
    where ${within(stretch, null, fitted)} and ${isActionable(viewOf(fitted, boundary), [], idle)}`
}

/** How many rows a statement acted on; their keys as a JSON array of arrays, or null. */
export type ToldRows = { readonly rows: string; readonly keys: string | null }

/** The keys of all rows: one value, since a row of the result for each takes many times its memory. */
export function keysTold(told: boolean): RawBuilder<string | null> {
  return told ? sql`json_agg(key)::text` : sql`null::text`
}

/**
 * The same by keys: `told` for a proof of each row, or to remove the markers of these rows, since a
 * marker holds a key in clear and goes when its row goes.
 */
export function purgeKeyed(
  decided: Decided,
  stretch: Stretch,
  { marked, told }: { readonly marked: boolean; readonly told: boolean },
): RawBuilder<ToldRows> {
  const { table, key } = decided.fitted
  const unmarked = sql`,
      unmarked as (
        delete from retentiond.anonymised as marker
        using gone
        where marker.table_oid = ${table.oid}::oid and marker.key = gone.key
      )`
  return sql`
    with
      gone as (${purgeStretch(decided, stretch)} returning ${keyArray(key, 'row')} as key)${marked ? unmarked : sql``}
    select count(*)::text as rows, ${keysTold(told)} as keys from gone`
}

/** Counts the given rows that are there. */
export function countGiven(table: Child['table'], rows: Given): RawBuilder<{ rows: string }> {
  return sql`
    select count(*)::text as rows
    from ${tableId(table)} as row
    join ${keySet(rows.columns, rows.keys)} as given on ${keyEquals(rows.columns, 'row', 'given')}`
}

/** Counts rows of the table until there are as many as asked for. */
export function countUpTo(table: TableRef, most: number): RawBuilder<{ rows: string }> {
  return sql`
    select count(*)::text as rows
    from (select from ${tableId(table)} as row limit ${most}::bigint) as found`
}

/** Marks the given rows as anonymised by the entry with this number. */
export function markAnonymised(
  governed: GovernedRule,
  keys: readonly Key[],
  seq: number,
): RawBuilder<unknown> {
  const { table, key, rule, maskDigest } = governed
  return sql`
    insert into retentiond.anonymised (table_oid, key, rule, mask_digest, seq)
    select ${table.oid}::oid, ${keyArray(key, 'row')}, ${rule.id}, ${maskDigest}, ${seq}::bigint
    from ${tableId(table)} as row
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'row', 'given')}
    on conflict (table_oid, rule, key)
    do update set mask_digest = excluded.mask_digest, seq = excluded.seq`
}

/** Removes the markers of purged rows: a marker holds a key in clear, and goes when its row goes. */
export function unmark(table: Child['table'], rows: Given): RawBuilder<unknown> {
  const parts = rows.columns.map((_, at) => columnId('given', `key_${at + 1}`))
  return sql`
    delete from retentiond.anonymised as marker
    using ${keySet(rows.columns, rows.keys)} as given
    where marker.table_oid = ${table.oid}::oid
      and marker.key = array[${sql.join(parts.map((part) => sql`cast(${part} as text)`))}]`
}

/**
 * Removes the markers of rows of the table that are not there any more, whichever rule set them: those
 * older than the entry with this number, whose rows were there when they were marked.
 */
export function unmarkGone({ table, key }: GovernedRule, seq: number): RawBuilder<unknown> {
  return sql`
    delete from retentiond.anonymised as marker
    where marker.table_oid = ${table.oid}::oid and marker.seq < ${seq}::bigint
      and not exists (
        select from ${tableId(table)} as row where ${keyArray(key, 'row')} = marker.key
      )`
}
