/** The rows that a batch changes beside a governed row: those that go along, and those detached from them. */
import { sql, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import { sameTable, type TableName } from '../base/names.ts'
import { isTangled, type Child, type FittedRule, type Referral } from '../catalog/fitted.ts'
import { conjunction, disjunction, keyTexts, tableId, type KeyColumn } from '../db/governed.ts'
import { alias, type View } from './due.ts'
import { refersTo } from './refer.ts'
import { anyInUnit, isMember, seedOf, unitOf } from './unit.ts'

/** Asks `condition` of the row itself (null), or of every row of a table that changes with it. */
export function anyAmong(
  view: View,
  along: Child | null,
  condition: (row: string) => RawBuilder<unknown>,
): RawBuilder<unknown> {
  return along === null ? condition(view.row) : anyGoing(view, along, condition)
}

/** True if `condition` holds of any row of the table that goes along with the row, or is detached. */
export function anyGoing(
  view: View,
  child: Child,
  condition: (going: string) => RawBuilder<unknown>,
): RawBuilder<boolean> {
  if (isTangled(view.fitted)) return anyTangled(view, child, condition)
  return disjunction(
    pathsTo(view.fitted, child).map(
      (path) => sql`exists (
        select from ${chain(view, child, path)}
        where ${refersToRow(view, path)} and ${condition(alias(view, 'going_0'))}
      )`,
    ),
  )
}

/** Each way in which rows of a table, `read`, go along with the row: tables to join, and their links. */
export function goingTo(
  view: View,
  child: Child,
): readonly {
  readonly read: string
  readonly tables: RawBuilder<unknown>
  readonly links: RawBuilder<boolean>
}[] {
  return pathsTo(view.fitted, child).map((path) => ({
    read: alias(view, 'going_0'),
    tables: chain(view, child, path),
    links: refersToRow(view, path),
  }))
}

function refersToRow(view: View, path: Path): RawBuilder<boolean> {
  return refersTo(lastOf(path), alias(view, `going_${path.length - 1}`), view.row)
}

function anyTangled(
  view: View,
  child: Child,
  condition: (going: string) => RawBuilder<unknown>,
): RawBuilder<boolean> {
  const { fitted } = view
  if (fitted.children.includes(child)) {
    return anyInUnit(view, [{ along: child, of: condition }], false)
  }
  const unit = unitOf(view, seedOf(fitted, view.row))
  const going = alias(view, 'going_0')
  return disjunction(
    child.foreignKeys.map(
      (key) => sql`exists (
        with recursive ${unit}
        select from ${referring(view, key, child, going)} and ${condition(going)}
      )`,
    ),
  )
}

/** `from … where`: rows of the unit, and the rows `going` that refer to them by `key`. */
function referring(
  view: View,
  key: Referral,
  child: Pick<Child, 'table'>,
  going: string,
): RawBuilder<unknown> {
  const above = alias(view, 'above_0')
  return sql`${sql.id(alias(view, 'unit'))}
    join ${tableId(key.to)} as ${sql.id(above)} on ${isMember(view, alongOf(view.fitted, key.to), above)}
    join ${tableId(child.table)} as ${sql.id(going)} on ${refersTo(key, going, above)}
    where true`
}

/** Counts the rows that refer to rows which go along with, or are, a row that `matches`. */
export function countReferring(
  view: View,
  from: Pick<Child, 'table' | 'foreignKeys'>,
  matching: RawBuilder<unknown>,
  only: (referring: string) => RawBuilder<unknown> = () => sql`true`,
): RawBuilder<{ rows: string }> {
  const child = alias(view, 'child')
  const { units, refers } = referringTo(view, from, matching)
  return sql`
    ${units}
    select count(*)::text as rows
    from ${tableId(from.table)} as ${sql.id(child)}
    where ${refers} and ${only(child)}`
}

/** Locks some of these rows that nobody else has locked, and returns their keys. */
export function lockReferring(
  view: View,
  child: Child,
  matching: RawBuilder<unknown>,
  most: number,
): RawBuilder<Record<string, unknown>> {
  const row = alias(view, 'child')
  const { units, refers } = referringTo(view, child, matching)
  return sql`
    ${units}
    select ${keyTexts(child.key, row)}
    from ${tableId(child.table)} as ${sql.id(row)}
    where ${refers}
    limit ${most}::int
    for update of ${sql.id(row)} skip locked`
}

/** `refers` is asked of a row by the alias `child`; `units` goes before the statement. */
function referringTo(
  view: View,
  from: Pick<Child, 'foreignKeys'>,
  matching: RawBuilder<unknown>,
): { readonly units: RawBuilder<unknown>; readonly refers: RawBuilder<boolean> } {
  const { fitted, row } = view
  const child = alias(view, 'child')
  if (!isTangled(fitted)) {
    return { units: sql``, refers: goesWithAny(view, from, child, matching) }
  }
  const above = alias(view, 'above_0')
  const seed = sql`${seedOf(fitted, row)} from ${tableId(fitted.table)} as ${sql.id(row)} where ${matching}`
  const refers = from.foreignKeys.map(
    (key) => sql`exists (
      select from ${sql.id(alias(view, 'unit'))}
      join ${tableId(key.to)} as ${sql.id(above)} on ${isMember(view, alongOf(fitted, key.to), above)}
      where ${refersTo(key, child, above)}
    )`,
  )
  return { units: sql`with recursive ${unitOf(view, seed)}`, refers: disjunction(refers) }
}

/** True of the row `going` that refers to a row which goes with one that `matches`, or is it. */
function goesWithAny(
  view: View,
  child: Pick<Child, 'foreignKeys'>,
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

/** Links from a table up to the governed table, one after the other. */
type Path = readonly [Referral, ...Referral[]]

/** Every way up. Chains are joined, not nested, since PostgreSQL only turns one level into a join. */
function pathsTo(fitted: FittedRule, { foreignKeys }: Pick<Child, 'foreignKeys'>): readonly Path[] {
  return foreignKeys.flatMap((key): readonly Path[] => {
    const above = alongOf(fitted, key.to)
    return above === null ? [[key]] : pathsTo(fitted, above).map((path): Path => [key, ...path])
  })
}

/** The child's table as `going_0`, joined with the tables above it as `going_1`, `going_2`, …. */
function chain(view: View, child: Child, path: Path): RawBuilder<unknown> {
  const above = path.slice(0, -1).map((key, at) => {
    const [from, to] = [alias(view, `going_${at}`), alias(view, `going_${at + 1}`)]
    return sql` join ${tableId(key.to)} as ${sql.id(to)} on ${refersTo(key, from, to)}`
  })
  return sql`${tableId(child.table)} as ${sql.id(alias(view, 'going_0'))}${sql.join(above, sql``)}`
}

function lastOf([first, ...rest]: Path): Referral {
  return rest.at(-1) ?? first
}

/** The table that goes along by this name; null if it is the governed one. */
export function alongOf(fitted: FittedRule, name: TableName): Child | null {
  if (sameTable(name, fitted.table)) return null
  const child = fitted.children.find((candidate) => sameTable(candidate.table, name))
  invariant(child !== undefined, 'a link leads to a table that does not go along')
  return child
}

export function keyColumnsOf(fitted: FittedRule, name: TableName): readonly KeyColumn[] {
  return alongOf(fitted, name)?.key ?? fitted.key
}
