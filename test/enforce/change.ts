/** Something the application does about record `id`; `fresh` is an id that nothing has yet. */
export type Change = {
  readonly name: string
  readonly table: string
  /** Rows that one row reached adds to its table. */
  readonly adds: 1 | 0 | -1
  readonly sql: (id: number, fresh: number) => string
}

export const update = (name: string, table: string, sql: Change['sql']): Change => ({
  name,
  table,
  adds: 0,
  sql,
})
export const insert = (name: string, table: string, sql: Change['sql']): Change => ({
  name,
  table,
  adds: 1,
  sql,
})
export const remove = (name: string, table: string, sql: Change['sql']): Change => ({
  name,
  table,
  adds: -1,
  sql,
})
