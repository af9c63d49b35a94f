/** The statements of a batch on governed tables, one function each. `row` is the governed row. */
import { sql, type RawBuilder } from 'kysely'
import { sameTable } from '../base/names.ts'
import type { ForeignKey } from '../catalog/catalog.ts'
import type { Child, FittedRule, GovernedRule } from '../catalog/fitted.ts'
import {
  bound,
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
import { anyAmong, anyGoing, refersTo } from '../plan/going.ts'
import { isActionable } from '../plan/hindrance.ts'
import { linkTexts, seenAndHeld, seesOnlyHeld, type LockedLevel } from './related.ts'

/** Key columns of the rows that a set of given rows is found by. */
export type Given = { readonly columns: readonly KeyColumn[]; readonly keys: readonly Key[] }

/** Rows of the table that a foreign key refers to. */
export type GivenParents = { readonly key: ForeignKey; readonly rows: Given }

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
 * Locks at most `limit` rows that may be acted on, after `cursor` in the order of the key. `for
 * update`, since a new child's foreign key takes a key-share lock, which anything less lets pass.
 * Rows locked by others are left out, so a short answer means only that the pass is at its end.
 */
export function lockActionable(
  fitted: FittedRule,
  boundary: Boundary,
  page: { readonly cursor: Key | null; readonly limit: number },
): RawBuilder<Record<string, unknown>> {
  const { table, key } = fitted
  const columns = sql.join(key.map((column) => columnId('row', column.name)))
  const after =
    page.cursor === null
      ? sql`true`
      : sql`(${columns}) > (${sql.join(key.map((column, at) => bound(page.cursor?.[at] ?? '', column.type)))})`
  return sql`
    select ${keyTexts(key, 'row')}${linkTexts(fitted.start)}
    from ${tableId(table)} as row
    where ${after} and ${isActionable(viewOf(fitted, boundary))}
    order by ${columns}
    limit ${page.limit}::int
    for update of row skip locked`
}

/** Locks the rows of a child table that refer to the given rows, and returns their keys. */
export function lockChildren(
  child: Child,
  given: readonly GivenParents[],
): RawBuilder<Record<string, unknown>> {
  return sql`${selectChildren(child, given)} for update of child skip locked`
}

/** Returns the keys of the rows of a child table that refer to the given rows. */
export function selectChildren(
  child: Child,
  given: readonly GivenParents[],
): RawBuilder<Record<string, unknown>> {
  return sql`
    select ${keyTexts(child.key, 'child')}
    from ${tableId(child.table)} as child
    where ${childOfGiven(given)}`
}

/** The rows that a child's foreign keys lead to, out of those that are known to go. */
export function parentsAmong(
  fitted: FittedRule,
  child: Child,
  known: { readonly keys: readonly Key[]; readonly children: ReadonlyMap<Child, readonly Key[]> },
): readonly GivenParents[] {
  return child.foreignKeys.map((key) => {
    if (sameTable(key.to, fitted.table)) {
      return { key, rows: { columns: fitted.key, keys: known.keys } }
    }
    const [parent, keys] =
      [...known.children].find(([candidate]) => sameTable(candidate.table, key.to)) ?? []
    return { key, rows: { columns: parent?.key ?? [], keys: keys ?? [] } }
  })
}

function childOfGiven(given: readonly GivenParents[]): RawBuilder<boolean> {
  return disjunction(
    given.map(
      ({ key, rows }) => sql`exists (
        select from ${tableId(key.to)} as parent
        join ${keySet(rows.columns, rows.keys)} as given on ${keyEquals(rows.columns, 'parent', 'given')}
        where ${refersTo(key, 'child', 'parent')}
      )`,
    ),
  )
}

/** What a batch holds locked beside the governed rows. */
export type Locked = {
  /** How many related rows of each record, level by level. */
  readonly related: readonly LockedLevel[]
  /** Keys of each child table's rows. */
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
  fitted: FittedRule,
  boundary: Boundary,
  keys: readonly Key[],
  locked: Locked,
): RawBuilder<Record<string, unknown>> {
  const { table, key, children } = fitted
  const view = viewOf(fitted, boundary)
  const along = children.map(
    (child) => sql`not ${anyGoing(view, child, (going) => isNotLocked(child, going, locked))}`,
  )
  const conditions = [
    isActionable(view),
    ...along,
    ...locked.related.map((_, at) => seesOnlyHeld(at)),
    ...locked.above.map(
      (each) => sql`not ${anyAmong(view, each.from.table, (held) => hasUnlockedAbove(each, held))}`,
    ),
  ]
  return sql`
    select ${keyTexts(key, 'row')}
    from ${tableId(table)} as row
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'row', 'given')}
    ${seenAndHeld(locked.related)}
    where ${conjunction(conditions)}`
}

function isNotLocked(child: Child, going: string, locked: Locked): RawBuilder<boolean> {
  return sql<boolean>`not exists (
    select from ${keySet(child.key, locked.children.get(child) ?? [])} as locked_child
    where ${keyEquals(child.key, going, 'locked_child')}
  )`
}

/** THE statement that deletes: exactly the given rows of one table. */
export function purgeRows(table: Child['table'], rows: Given): RawBuilder<unknown> {
  return sql`
    delete from ${tableId(table)} as row
    using ${keySet(rows.columns, rows.keys)} as given
    where ${keyEquals(rows.columns, 'row', 'given')}`
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

/** Removes the markers of rows of the table that are not there any more, whichever rule set them. */
export function unmarkGone({ table, key }: GovernedRule): RawBuilder<unknown> {
  return sql`
    delete from retentiond.anonymised as marker
    where marker.table_oid = ${table.oid}::oid
      and not exists (
        select from ${tableId(table)} as row where ${keyArray(key, 'row')} = marker.key
      )`
}
