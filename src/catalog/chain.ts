/** The way from a related row up to the governed row, table by table. */
import type { Table } from './catalog.ts'
import type { FittedLink, FittedSource, FittedStart } from './fitted.ts'

/** One table of the way, and the columns by which its rows belong to the row above. */
export type Level = {
  readonly table: Table
  readonly links: readonly FittedLink[]
  /** No lock of the row above keeps new rows away: the table is closed to writers for a batch. */
  readonly closed: boolean
}

/** The source, then the hops; the last one belongs to the governed row. */
export function levelsOf({ table, hops, links, guard }: FittedSource): readonly Level[] {
  const tables = [table, ...hops.map((hop) => hop.table)]
  return tables.map((each, at) => {
    const above = hops[at]
    if (above !== undefined) return { table: each, links: above.links, closed: !above.guarded }
    return { table: each, links, closed: guard.kind === 'table' }
  })
}

/** The related tables of a start; none if it starts at a column of its own row. */
export function sourcesOf(start: FittedStart): readonly FittedSource[] {
  return start.kind === 'event' ? start.sources : []
}

/** The tables that only a lock on the whole keeps as they are while a batch decides. */
export function closedBy(start: FittedStart): readonly Table[] {
  return sourcesOf(start).flatMap((source) =>
    levelsOf(source).flatMap(({ table, closed }) => (closed ? [table] : [])),
  )
}

/** Every table that a start reads or locks, besides the governed one. */
export function tablesOf(start: FittedStart): readonly Table[] {
  return sourcesOf(start).flatMap((source) => [
    ...levelsOf(source).map(({ table }) => table),
    ...(source.guard.kind === 'common parent' ? [source.guard.table] : []),
  ])
}
