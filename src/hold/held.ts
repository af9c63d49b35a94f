/**
 * The only place that says which rows an open hold covers. A hold is asked for in the statement
 * that acts, with the holds and their sources closed to writers: nothing is read before.
 */
import { sql, type RawBuilder } from 'kysely'
import { printTable } from '../base/names.ts'
import type { ForeignKey, Table } from '../catalog/catalog.ts'
import type { Above, Cover, CoverSource, Held, Holding } from '../catalog/fitted.ts'
import { columnId, conjunction, disjunction, keyArray, tableId } from '../db/governed.ts'
import { writtenId, type Condition, type Rule } from '../policy/policy.ts'

/** How the filter of a policy is asked of a row. */
export type Matches = (condition: Condition, table: Table, alias: string) => RawBuilder<unknown>

/** One way in which a row may be held. */
export type Ground = {
  /** The table of the row that the hold is on: the row asked about, or one that it refers to. */
  readonly on: string
  /** The table that holds it; null if a person's order does. */
  readonly source: string | null
  /** True of an order (`placed`) that might hold some row on this ground; null if a table holds it. */
  readonly order: RawBuilder<unknown> | null
  /** True of a held row; `only` narrows the persons' orders, which go by the alias `placed`. */
  readonly holds: (row: string, only?: RawBuilder<unknown>) => RawBuilder<boolean>
}

/** Every way in which a row, or a row that it refers to, may be held: each a condition of its own. */
export function groundsOf(held: Held, matches: Matches): readonly Ground[] {
  return [
    ...coverGrounds(held, matches),
    ...held.above.flatMap((above) => groundsAbove(above, matches, [])),
  ]
}

function groundsAbove(above: Above, matches: Matches, below: readonly Above[]): readonly Ground[] {
  const path = [...below, above]
  const own = coverGrounds(above, matches).map((ground) => ({
    ...ground,
    holds: (row: string, only?: RawBuilder<unknown>) =>
      anyAbove(path, row, (top) => ground.holds(top, only)),
  }))
  return [...own, ...above.above.flatMap((each) => groundsAbove(each, matches, path))]
}

/** True if an order of one of these kinds is open, whatever it covers. */
export function anyOpen(orders: readonly RawBuilder<unknown>[]): RawBuilder<boolean> {
  return anyOrder(disjunction(orders))
}

type Climbing = Cover & { readonly above: readonly Above[] }

/** The row itself and the rows above it, as far as a hold may be on them. */
export function coversOf(held: Climbing): readonly Cover[] {
  return [held, ...held.above.flatMap((above) => coversOf(above))]
}

/** True if `condition` holds of the row at the end of a path that begins at `row`. */
export function anyAbove(
  path: readonly Above[],
  row: string,
  condition: (top: string) => RawBuilder<unknown>,
): RawBuilder<boolean> {
  if (path.some(({ repeats }) => repeats.length > 0)) return anyStepwise(path, row, condition)
  return sql<boolean>`exists (
    select from ${tablesOf(path, row)}
    where ${conjunction([climbs(path, row), condition(aliasAt(path.length))])}
  )`
}

/**
 * The same, one row at a time by its key. PostgreSQL expects a hundred rows above each row of a table that refers
 * to itself, and joined it would read the whole table again for every row.
 */
function anyStepwise(
  path: readonly Above[],
  row: string,
  condition: (top: string) => RawBuilder<unknown>,
  at = 0,
): RawBuilder<boolean> {
  const above = path[at]
  if (above === undefined) return sql<boolean>`${condition(row)}`
  const top = aliasAt(at + 1)
  const links =
    above.repeats.length === 0
      ? refersTo(above.foreignKey, row, top)
      : sameKey(above.key, reachedAt(at), top)
  const found = sql<boolean>`exists (
    select from ${tableId(above.table)} as ${sql.id(top)}
    where ${conjunction([links, anyStepwise(path, top, condition, at + 1)])} offset 0
  )`
  if (above.repeats.length === 0) return found
  return sql<boolean>`exists (
    select from ${everyStep(above, row)} as ${sql.id(reachedAt(at))} where ${found}
  )`
}

/** The tables of a path that begins at `row`, which `climbs` joins. */
export function tablesOf(path: readonly Above[], row: string): RawBuilder<unknown> {
  return sql.join(
    path.map((above, at) => {
      const table = sql`${tableId(above.table)} as ${sql.id(aliasAt(at + 1))}`
      if (above.repeats.length === 0) return table
      return sql`${everyStep(above, below(row, at))} as ${sql.id(reachedAt(at))} cross join ${table}`
    }),
    sql` cross join `,
  )
}

/** True where each row of the path is one that the row below it refers to. */
export function climbs(path: readonly Above[], row: string): RawBuilder<boolean> {
  return conjunction(
    path.map(({ foreignKey, repeats, key }, at) =>
      repeats.length === 0
        ? refersTo(foreignKey, below(row, at), aliasAt(at + 1))
        : sameKey(key, reachedAt(at), aliasAt(at + 1)),
    ),
  )
}

/** The keys of all rows that `row` of the same table refers to, or that those refer to. */
function everyStep({ table, key, repeats }: Above, row: string): RawBuilder<unknown> {
  const linked = [...key.map(({ name }) => name), ...repeats.flatMap((each) => each.fromColumns)]
  const columns = sql.join([...new Set(linked)].map((name) => columnId('step_up', name)))
  const step = (from: string) =>
    sql.join(
      repeats.map((foreignKey) => refersTo(foreignKey, from, 'step_up')),
      sql` or `,
    )
  // Each step by the key: PostgreSQL expects many more rows above a row than there are, and would read
  // the whole table for each of them.
  return sql`lateral (
    with recursive reached as (
      select ${columns} from ${tableId(table)} as step_up where ${step(row)}
      union
      select further.*
      from reached cross join lateral (
        select ${columns} from ${tableId(table)} as step_up where ${step('reached')} offset 0
      ) as further
    )
    select ${sql.join(key.map(({ name }) => columnId('reached', name)))} from reached
  )`
}

function refersTo(foreignKey: ForeignKey, from: string, to: string): RawBuilder<boolean> {
  return conjunction(
    foreignKey.fromColumns.map(
      (column, position) =>
        sql`${columnId(from, column)} = ${columnId(to, foreignKey.toColumns[position] ?? '')}`,
    ),
  )
}

export function sameKey(key: Above['key'], one: string, other: string): RawBuilder<boolean> {
  return conjunction(key.map(({ name }) => sql`${columnId(one, name)} = ${columnId(other, name)}`))
}

function below(row: string, at: number): string {
  return at === 0 ? row : aliasAt(at)
}

function reachedAt(at: number): string {
  return `reached_${at + 1}`
}

/** The row at the end of a path of this length. */
export function aliasAt(length: number): string {
  return `higher_${length}`
}

function coverGrounds(cover: Cover, matches: Matches): readonly Ground[] {
  const on = printTable(cover.table)
  return [
    ...ordersOn(cover, matches).map(({ kind, covers }) => ({
      on,
      source: null,
      order: kind,
      holds: (row: string, only: RawBuilder<unknown> = sql`true`) =>
        anyOrder(conjunction([kind, covers(row), only])),
    })),
    ...cover.sources.map((source) => ({
      on,
      source: printTable(source.table),
      order: null,
      holds: (row: string) => anyOfSource(source, row, matches),
    })),
  ]
}

/** What persons may have ordered to keep, as conditions on `placed`. */
type Order = {
  /** True of every order of this kind. */
  readonly kind: RawBuilder<unknown>
  /** True of those that cover the row. */
  readonly covers: (row: string) => RawBuilder<unknown>
}

function ordersOn(cover: Cover, matches: Matches): readonly Order[] {
  const { table, key, subjects, rules, formerly } = cover
  const places = [table, ...(formerly === null ? [] : [formerly])]
  const isOn = sql`placed.scope = 'row' and (
    placed.table_oid = any (${places.map(({ oid }) => String(oid))}::text[]::oid[])
    or placed.table_name = any (${places.map((place) => printTable(place))}::text[])
  )`
  const names = sql`${key.map(({ name }) => name)}::text[]`
  return [
    { kind: isOn, covers: (row) => sql`placed.key = ${keyArray(key, row)}` },
    // The key of the table has changed since: no longer known which row was meant, so every one is.
    { kind: sql`${isOn} and placed.key_columns <> ${names}`, covers: () => sql`true` },
    ...subjects.map((subject): Order => ({
      kind: sql`placed.scope = 'subject'`,
      covers: (row) => sql`placed.subject = cast(${columnId(row, subject)} as text)`,
    })),
    ...rules.map((rule): Order => ({
      kind: sql`placed.scope = 'rule' and placed.rule = any (${orderedIds(rule)}::text[])`,
      covers: (row) => (rule.where === null ? sql`true` : matches(rule.where, table, row)),
    })),
  ]
}

function anyOrder(condition: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from retentiond.hold as placed
    where placed.lifted_at is null and ${condition}
  )`
}

/** A hold on a rule with phases is on each of them. */
function orderedIds(rule: Rule): readonly string[] {
  return [rule.id, writtenId(rule)]
}

function anyOfSource(source: CoverSource, row: string, matches: Matches): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from ${tableId(source.table)} as holder
    where ${holdsRow(source, 'holder', row, matches)}
  )`
}

/** True of a row of a source that still holds a row which is there. */
export function stillHolds(
  { covered, source }: Holding,
  holder: string,
  matches: Matches,
): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from ${tableId(covered)} as covered
    where ${holdsRow(source, holder, 'covered', matches)}
  )`
}

/** True of a row of a source that holds the row `row`. */
export function holdsRow(
  { table, links, while: condition }: CoverSource,
  holder: string,
  row: string,
  matches: Matches,
): RawBuilder<boolean> {
  return conjunction([
    ...links.map(
      ({ source, own }) => sql`${columnId(holder, source.name)} = ${columnId(row, own.name)}`,
    ),
    ...(condition === null ? [] : [matches(condition, table, holder)]),
  ])
}
