/** A schema-qualified table name; its parts are what PostgreSQL stores, without quotes. */
export type TableName = { readonly schema: string; readonly name: string }

/**
 * Prints `schema.name`, the spelling of policies and reports. It is not SQL; see db/governed.ts. A
 * part with a dot or a quote in it is quoted, since `a.b.c` would be two tables.
 */
export function printTable(table: TableName): string {
  return `${printName(table.schema)}.${printName(table.name)}`
}

/** Prints one part of a name, in quotes if a dot or a quote in it would mislead. */
export function printName(name: string): string {
  return /[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}

export function sameTable(one: TableName, other: TableName): boolean {
  return one.schema === other.schema && one.name === other.name
}
