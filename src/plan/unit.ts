/**
 * What has to go at once with a record: rows that refer to each other in circles, rows with several
 * parents, and records that go along with others.
 *
 * The unit of a record is the least set of rows that holds the record, every row that goes along with
 * a row of it, and every row to which a row that goes along refers. It goes as a whole or not at
 * all: each record of it is due by itself, and each other row goes along with one of them.
 */
import { sql, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import { sameTable, type TableName } from '../base/names.ts'
import type { Child, FittedRule, Referral } from '../catalog/fitted.ts'
import {
  columnId,
  conjunction,
  disjunction,
  keyArray,
  tableId,
  type KeyColumn,
  type TableRef,
} from '../db/governed.ts'
import { alias, type View } from './due.ts'
import { refersTo } from './refer.ts'

type Place = Pick<View, 'fitted' | 'level'>

/** The units of the rows that `seed` selects, as the common table `unit (part, key)`. */
export function unitOf(place: Place, seed: RawBuilder<unknown>): RawBuilder<unknown> {
  const { fitted } = place
  const unit = alias(place, 'unit')
  const steps = keysAlong(fitted).flatMap((key) => [
    stepDown(place, key),
    ...(hasManyParents(fitted) && partOf(fitted, key.from) !== 0 ? [stepUp(place, key)] : []),
  ])
  return sql`${sql.id(unit)} (part, key) as (
    ${seed}
    union
    select next.part, next.key
    from ${sql.id(unit)} cross join lateral (${sql.join(steps, sql` union all `)}) as next
  )`
}

/** The seed of the unit of one row of the governed table. */
export function seedOf({ key }: FittedRule, row: string): RawBuilder<unknown> {
  return sql`select 0, ${keyArray(key, row)}`
}

/** True where the alias `row` stands for the row of the unit that belongs to this table. */
export function isMember(place: Place, table: Child | null, row: string): RawBuilder<boolean> {
  const { fitted } = place
  const part = table === null ? 0 : fitted.children.indexOf(table) + 1
  const key = table === null ? fitted.key : table.key
  return isPart(alias(place, 'unit'), { part, key }, row)
}

/** What is asked of each row of a unit that belongs to one table; null is the governed table. */
export type Asked = {
  readonly along: Child | null
  readonly of: (row: string) => RawBuilder<unknown>
}

/**
 * True if any of the conditions holds, or cannot be told, of a row of the unit. With `whole`, also
 * if a row of it goes along with none of its records.
 */
export function anyInUnit(
  view: View,
  asked: readonly Asked[],
  whole: boolean,
): RawBuilder<boolean> {
  const { fitted } = view
  const unit = alias(view, 'unit')
  const member = alias(view, 'member')
  const tables = [null, ...fitted.children].flatMap((along, part) => {
    const conditions = asked.filter((each) => each.along === along)
    if (conditions.length === 0) return []
    const said = conditions.map(({ of }) => sql`(${of(member)}) is not false`)
    return [
      sql`(${sql.id(unit, 'part')} = ${part}::int and exists (
        select from ${tableId(along?.table ?? fitted.table)} as ${sql.id(member)}
        where ${isMember(view, along, member)} and ${disjunction(said)}
      ))`,
    ]
  })
  const isAsked = whole && hasManyParents(fitted)
  const stray = isAsked ? [isStray(view)] : []
  const gone = isAsked ? sql`, ${goneWith(view)}` : sql``
  return sql<boolean>`exists (
    with recursive ${unitOf(view, seedOf(fitted, view.row))}${gone}
    select from ${sql.id(unit)} where ${disjunction([...tables, ...stray])}
  )`
}

/** The rows of the unit that go along with one of its records, as the common table `gone`. */
function goneWith(place: Place): RawBuilder<unknown> {
  const gone = alias(place, 'gone')
  const unit = alias(place, 'unit')
  const steps = keysAlong(place.fitted).map((key) => stepDown(place, key, gone))
  return sql`${sql.id(gone)} (part, key) as (
    select part, key from ${sql.id(unit)} where part = 0
    union
    select next.part, next.key
    from ${sql.id(gone)} cross join lateral (${sql.join(steps, sql` union all `)}) as next
  )`
}

function isStray(place: Place): RawBuilder<boolean> {
  const [gone, unit] = [alias(place, 'gone'), alias(place, 'unit')]
  return sql<boolean>`not exists (
    select from ${sql.id(gone)}
    where ${sql.id(gone, 'part')} = ${sql.id(unit, 'part')}
      and ${sql.id(gone, 'key')} = ${sql.id(unit, 'key')}
  )`
}

function hasManyParents({ children }: FittedRule): boolean {
  return children.some(({ foreignKeys }) => foreignKeys.length > 1)
}

function keysAlong({ children, together }: FittedRule): readonly Referral[] {
  return [...children.flatMap(({ foreignKeys }) => foreignKeys), ...together]
}

/** From a row to those that go along with it. */
function stepDown(place: Place, key: Referral, from = alias(place, 'unit')): RawBuilder<unknown> {
  const { fitted } = place
  const [upper, lower] = [alias(place, 'upper_row'), alias(place, 'lower_row')]
  return sql`(
    select ${partOf(fitted, key.from)}::int as part, ${keyArray(keyOf(fitted, key.from), lower)} as key
    from ${tableId(key.to)} as ${sql.id(upper)}
    join ${tableId(key.from)} as ${sql.id(lower)} on ${refersTo(key, lower, upper)}
    where ${isPart(from, partAt(fitted, key.to), upper)}
  )`
}

/** From a row that goes along to the one that it refers to. */
function stepUp(place: Place, key: Referral): RawBuilder<unknown> {
  const { fitted } = place
  const [upper, lower] = [alias(place, 'upper_row'), alias(place, 'lower_row')]
  return sql`(
    select ${partOf(fitted, key.to)}::int as part, ${keyArray(keyOf(fitted, key.to), upper)} as key
    from ${tableId(key.from)} as ${sql.id(lower)}
    join ${tableId(key.to)} as ${sql.id(upper)} on ${refersTo(key, lower, upper)}
    where ${isPart(alias(place, 'unit'), partAt(fitted, key.from), lower)}
  )`
}

type Part = { readonly part: number; readonly key: readonly KeyColumn[] }

/** `case`, since the key of a row of another part need not be of these types. */
function isPart(unit: string, { part, key }: Part, row: string): RawBuilder<boolean> {
  return conjunction(
    key.map(
      ({ name, type }, at) =>
        sql`${columnId(row, name)} = case when ${sql.id(unit, 'part')} = ${part}::int
          then cast((${sql.id(unit, 'key')})[${at + 1}::int] as ${sql.id(type.schema, type.name)}) end`,
    ),
  )
}

function partAt(fitted: FittedRule, table: TableRef): Part {
  return { part: partOf(fitted, table), key: keyOf(fitted, table) }
}

/** Which part of a unit the rows of a table are: the governed table is part 0. */
function partOf({ table, children }: FittedRule, name: TableName): number {
  if (sameTable(name, table)) return 0
  const at = children.findIndex((child) => sameTable(child.table, name))
  invariant(at >= 0, 'a link leads to a table that does not go along')
  return at + 1
}

function keyOf(fitted: FittedRule, name: TableName): readonly KeyColumn[] {
  const part = partOf(fitted, name)
  return part === 0 ? fitted.key : (fitted.children[part - 1]?.key ?? [])
}
