/**
 * A stretch: a part of a governed table that batches work through from one end to the other. It says
 * where to look, and never what may go: every statement asks the whole predicate beside it.
 */
import { sql, type RawBuilder } from 'kysely'
import type { FittedRule } from '../catalog/fitted.ts'
import { bound, columnId, type Key, type TableRef, type TypeName } from '../db/governed.ts'

export type Stretch = {
  /** The table, or one of its partitions. */
  readonly part: TableRef
  readonly range: Range
  /** No more rows are expected to be due in it than a batch takes. */
  readonly fits: boolean
  /** How its rows are gone through: as they lie in the heap, or by their key. */
  readonly order: 'place' | 'key'
}

export type Range =
  | { readonly kind: 'whole' }
  /** Pages of the heap, `from <= page < before`; null: to its end, wherever that is by then. */
  | { readonly kind: 'pages'; readonly from: number; readonly before: number | null }
  /** Period starts, `from <= start < before`, as text of the type they are compared in. */
  | {
      readonly kind: 'starts'
      readonly column: string
      readonly type: TypeName
      readonly from: string
      readonly before: string
    }

/** Where a batch of the stretch ended: a key, or a place in the heap as the only part of one. */
export type Cursor = Key

/** Where a batch looks. */
export type Place = {
  readonly stretch: Stretch
  /** Where the batch before it ended; null at the beginning of the stretch. */
  readonly cursor: Cursor | null
  /** Most rows to lock. */
  readonly limit: number
}

/** True of rows of the stretch that come after the cursor. */
export function within(
  { range, order }: Stretch,
  cursor: Cursor | null,
  { key }: Pick<FittedRule, 'key'>,
): RawBuilder<boolean> {
  const parts = [inRange(range), ...(cursor === null ? [] : [isAfter(order, cursor, key)])]
  return sql<boolean>`(${sql.join(parts, sql` and `)})`
}

function inRange(range: Range): RawBuilder<unknown> {
  switch (range.kind) {
    case 'whole':
      return sql`true`
    case 'pages': {
      const from = sql`${PLACE} >= ${placeAt(range.from)}::tid`
      return range.before === null
        ? from
        : sql`${from} and ${PLACE} < ${placeAt(range.before)}::tid`
    }
    case 'starts': {
      const start = columnId('row', range.column)
      return sql`${start} >= ${bound(range.from, range.type)} and ${start} < ${bound(range.before, range.type)}`
    }
    default:
      return range satisfies never
  }
}

/** A range of these is read page by page; two statements may find different rows at one of them. */
const PLACE = columnId('row', 'ctid')

/** Before the first row of a page: rows are numbered from 1. */
function placeAt(page: number): string {
  return `(${page},0)`
}

function isAfter(
  order: Stretch['order'],
  cursor: Cursor,
  key: FittedRule['key'],
): RawBuilder<unknown> {
  if (order === 'place') return sql`${PLACE} > ${cursor[0] ?? ''}::tid`
  const columns = key.map(({ name }) => columnId('row', name))
  return sql`(${sql.join(columns)}) > (${sql.join(key.map(({ type }, at) => bound(cursor[at] ?? '', type)))})`
}

/** What the rows of the stretch are sorted by. */
export function orderOf({ order }: Stretch, { key }: Pick<FittedRule, 'key'>): RawBuilder<unknown> {
  return order === 'place' ? PLACE : sql.join(key.map(({ name }) => columnId('row', name)))
}

/** The place of each row as `place`, where the stretch is gone through by it. */
export function placeText({ order }: Stretch): RawBuilder<unknown> {
  return order === 'place' ? sql`, ${PLACE}::text as place` : sql``
}

/** The cursor behind a row that was selected with `placeText`, and with this key. */
export function cursorBehind(
  { order }: Stretch,
  row: Readonly<Record<string, unknown>>,
  key: Key,
): Cursor {
  return order === 'place' ? [row['place'] as string] : key
}
