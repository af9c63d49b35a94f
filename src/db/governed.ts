/**
 * The only place that makes SQL identifiers out of names known at run time. `sql.id` quotes each
 * part; `sql.ref` is not used, since it would split a column name at a dot.
 */
import { sql, type RawBuilder } from 'kysely'
import type { TableName } from '../base/names.ts'

/**
 * A table that statements may name. `only` of a plain table leaves out the tables that inherit from
 * it, also one that comes between two statements; a partitioned table is named with its partitions.
 */
export type TableRef = TableName & { readonly only: boolean }

/** The table as a statement names it. */
export function tableId(table: TableRef): RawBuilder<unknown> {
  const name = sql.id(table.schema, table.name)
  return table.only ? sql`only ${name}` : name
}

/** A column of the row that goes by `alias` in the statement. */
export function columnId(alias: string, column: string): RawBuilder<unknown> {
  return sql.id(alias, column)
}

/** A type by its name in pg_type. */
export type TypeName = { readonly schema: string; readonly name: string }

/**
 * Binds `text` and lets PostgreSQL read it as `type`, as it reads a literal: once. Through `::text`
 * it would be read again for every row that it is compared with, and the planner could not see it.
 */
export function bound(text: string, type: TypeName): RawBuilder<unknown> {
  return sql`cast(${text} as ${sql.id(type.schema, type.name)})`
}

/** A key as text, one part for each key column: what goes to PostgreSQL and comes back. */
export type Key = readonly string[]

export type KeyColumn = { readonly name: string; readonly type: TypeName }

/** Names of the columns of a `keySet`, in the order of the key. */
export function keyAlias(position: number): string {
  return `key_${position + 1}`
}

/** The keys as rows of typed columns `key_1`, `key_2`, …; each is bound as one array of text. */
export function keySet(columns: readonly KeyColumn[], keys: readonly Key[]): RawBuilder<unknown> {
  const typed = columns.map(
    (column, position) =>
      sql`cast(${sql.id('given', keyAlias(position))} as ${sql.id(column.type.schema, column.type.name)}) as ${sql.id(keyAlias(position))}`,
  )
  const arrays = columns.map((_, position) => sql`${keys.map((key) => key[position])}::text[]`)
  const names = columns.map((_, position) => sql.id(keyAlias(position)))
  return sql`(select ${sql.join(typed)} from unnest(${sql.join(arrays)}) as given (${sql.join(names)}))`
}

/** True where the row's key equals the key set's: the join condition of a statement on given keys. */
export function keyEquals(
  columns: readonly KeyColumn[],
  alias: string,
  set: string,
): RawBuilder<boolean> {
  return conjunction(
    columns.map(
      (column, position) =>
        sql`${columnId(alias, column.name)} = ${sql.id(set, keyAlias(position))}`,
    ),
  )
}

/** The key of the row as select items `key_1`, `key_2`, … of type text. */
export function keyTexts(columns: readonly KeyColumn[], alias: string): RawBuilder<unknown> {
  return sql.join(
    columns.map(
      (column, position) =>
        sql`cast(${columnId(alias, column.name)} as text) as ${sql.id(keyAlias(position))}`,
    ),
  )
}

/** The key of the row as one array of text, as `retentiond.anonymised` keeps it. */
export function keyArray(columns: readonly KeyColumn[], alias: string): RawBuilder<unknown> {
  return sql`array[${sql.join(columns.map((column) => sql`cast(${columnId(alias, column.name)} as text)`))}]`
}

/** Reads back what `keyTexts` selected. */
export function readKey(
  row: Readonly<Record<string, unknown>>,
  columns: readonly KeyColumn[],
): Key {
  return columns.map((_, position) => row[keyAlias(position)] as string)
}

/** `a and b and c`; true of nothing to ask. */
export function conjunction(parts: readonly RawBuilder<unknown>[]): RawBuilder<boolean> {
  return parts.length === 0
    ? sql<boolean>`true`
    : sql<boolean>`(${sql.join([...parts], sql` and `)})`
}

/** `a or b or c`; false of nothing to ask. */
export function disjunction(parts: readonly RawBuilder<unknown>[]): RawBuilder<boolean> {
  return parts.length === 0
    ? sql<boolean>`false`
    : sql<boolean>`(${sql.join([...parts], sql` or `)})`
}
