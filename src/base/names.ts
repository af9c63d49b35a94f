/** A schema-qualified table name as written in policies, plans and the journal: never quoted. */
export type TableName = { readonly schema: string; readonly name: string }

/** Prints `schema.name`, the spelling of policies and reports. It is not SQL; see db/governed.ts. */
export function printTable(table: TableName): string {
  return `${table.schema}.${table.name}`
}

export function sameTable(one: TableName, other: TableName): boolean {
  return one.schema === other.schema && one.name === other.name
}
