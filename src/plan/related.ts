/** The rows that say when a record's period starts, joined up to the record that they belong to. */
import { sql, type RawBuilder } from 'kysely'
import { levelsOf } from '../catalog/chain.ts'
import type { FittedHop, FittedLink, FittedSource } from '../catalog/fitted.ts'
import { columnId, conjunction, tableId } from '../db/governed.ts'

/** Names the row of each level: `event` for the source, then `hop_1`, `hop_2`, …. */
export type Naming = (name: string) => string

export const plainly: Naming = (name) => name

/** The row of one level of the way. */
export function rowAt(level: number, named: Naming): string {
  return named(level === 0 ? 'event' : `hop_${level}`)
}

/** The rows of level `from` of the way, with the rows above that each of them belongs to. */
export function wayFrom(source: FittedSource, from: number, named: Naming): RawBuilder<unknown> {
  const levels = levelsOf(source)
  const above = levels.slice(from + 1).map(({ table }, step) => {
    const at = from + step
    const links = belongs(levels[at]?.links ?? [], rowAt(at, named), rowAt(at + 1, named))
    return sql` join ${tableId(table)} as ${sql.id(rowAt(at + 1, named))} on ${links}`
  })
  const first = levels[from]?.table ?? source.table
  return sql`${tableId(first)} as ${sql.id(rowAt(from, named))}${sql.join(above, sql``)}`
}

/** The row of the way whose columns must equal those of the record. */
export function topOf(source: FittedSource, named: Naming): string {
  return rowAt(source.hops.length, named)
}

/** True where the top of the way belongs to the governed row `row`. */
export function isRelated(source: FittedSource, row: string, named: Naming): RawBuilder<boolean> {
  return belongs(source.links, topOf(source, named), row)
}

function belongs(links: readonly FittedLink[], below: string, above: string): RawBuilder<boolean> {
  return conjunction(
    links.map(
      ({ source, own }) => sql`${columnId(below, source.name)} = ${columnId(above, own.name)}`,
    ),
  )
}

/** The rows of `hops` above the row `below`: tables to join, their links, and the topmost row. */
export function upThrough(
  hops: readonly FittedHop[],
  below: string,
  named: Naming,
): {
  readonly tables: RawBuilder<unknown>
  readonly links: RawBuilder<boolean>
  readonly top: string
} {
  const rows = [below, ...hops.map((_, at) => named(`through_${at + 1}`))]
  const tables = hops.map(
    ({ table }, at) => sql` cross join ${tableId(table)} as ${sql.id(rows[at + 1] ?? '')}`,
  )
  const links = hops.map((hop, at) => belongs(hop.links, rows[at] ?? '', rows[at + 1] ?? ''))
  return { tables: sql.join(tables, sql``), links: conjunction(links), top: rows.at(-1) ?? below }
}
