/** The rows that go along with a governed row: those of its `with_parent` tables, at any depth. */
import { sql, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import { sameTable, type TableName } from '../base/names.ts'
import type { ForeignKey } from '../catalog/catalog.ts'
import type { Child, FittedRule } from '../catalog/fitted.ts'
import { columnId, conjunction, disjunction, tableId, type KeyColumn } from '../db/governed.ts'
import { alias, type View } from './due.ts'

/** Asks `condition` of the row itself, or of every row of a child table that goes along with it. */
export function anyAmong(
  view: View,
  on: TableName,
  condition: (row: string) => RawBuilder<unknown>,
): RawBuilder<unknown> {
  if (sameTable(on, view.fitted.table)) return condition(view.row)
  return anyGoing(view, childOf(view.fitted, on), condition)
}

/** True if `condition` holds of any row of the child table that goes along with the row. */
export function anyGoing(
  view: View,
  child: Child,
  condition: (going: string) => RawBuilder<unknown>,
): RawBuilder<boolean> {
  const going = alias(view, 'going_0')
  return disjunction(
    pathsTo(view.fitted, child).map(
      (path) => sql`exists (
        select from ${joined(view, child, path)}
        where ${refersTo(lastOf(path), alias(view, `going_${path.length - 1}`), view.row)}
          and ${condition(going)}
      )`,
    ),
  )
}

/** True of the child's row `going` that goes along with a row of the governed table that `matches`. */
export function goesWithAny(
  view: View,
  child: Child,
  going: string,
  matching: RawBuilder<unknown>,
): RawBuilder<boolean> {
  return disjunction(
    pathsTo(view.fitted, child).map(([first, ...rest]) => {
      const up = [first, ...rest].flatMap((key, at) => {
        const from = at === 0 ? going : alias(view, `above_${at}`)
        const isRoot = at === rest.length
        const to = isRoot ? view.row : alias(view, `above_${at + 1}`)
        return [{ table: sql`${tableId(key.to)} as ${sql.id(to)}`, on: refersTo(key, from, to) }]
      })
      return sql`exists (
        select from ${sql.join(
          up.map(({ table }) => table),
          sql` cross join `,
        )}
        where ${conjunction([...up.map(({ on }) => on), matching])}
      )`
    }),
  )
}

/** Foreign keys from a child's table up to the governed table, one after the other. */
type Path = readonly [ForeignKey, ...ForeignKey[]]

/** Every way up. Chains are joined, not nested, since PostgreSQL only turns one level into a join. */
function pathsTo(fitted: FittedRule, child: Child): readonly Path[] {
  return child.foreignKeys.flatMap((key): readonly Path[] =>
    sameTable(key.to, fitted.table)
      ? [[key]]
      : pathsTo(fitted, childOf(fitted, key.to)).map((path): Path => [key, ...path]),
  )
}

/** The child's table as `going_0`, joined with the tables above it as `going_1`, `going_2`, …. */
function joined(view: View, child: Child, path: Path): RawBuilder<unknown> {
  const above = path.slice(0, -1).map((key, at) => {
    const [from, to] = [alias(view, `going_${at}`), alias(view, `going_${at + 1}`)]
    return sql` join ${tableId(key.to)} as ${sql.id(to)} on ${refersTo(key, from, to)}`
  })
  return sql`${tableId(child.table)} as ${sql.id(alias(view, 'going_0'))}${sql.join(above, sql``)}`
}

function lastOf([first, ...rest]: Path): ForeignKey {
  return rest.at(-1) ?? first
}

/** True where the row `from` refers to the row `to` by the foreign key. */
export function refersTo(key: ForeignKey, from: string, to: string): RawBuilder<boolean> {
  return conjunction(
    key.fromColumns.map(
      (column, position) =>
        sql`${columnId(from, column)} = ${columnId(to, key.toColumns[position] ?? '')}`,
    ),
  )
}

/** True of two aliases that stand for one row. */
export function sameRow(
  key: readonly KeyColumn[],
  one: string,
  other: string,
): RawBuilder<boolean> {
  return conjunction(key.map(({ name }) => sql`${columnId(one, name)} = ${columnId(other, name)}`))
}

function childOf(fitted: FittedRule, name: TableName): Child {
  const child = fitted.children.find((candidate) => sameTable(candidate.table, name))
  invariant(child !== undefined, 'a foreign key leads to a table that does not go along')
  return child
}

export function keyColumnsOf(fitted: FittedRule, name: TableName): readonly KeyColumn[] {
  return sameTable(name, fitted.table) ? fitted.key : childOf(fitted, name).key
}
