/**
 * The only place that says which rows are due and which of them may be acted on. Plan and enforce
 * put these fragments around the row that goes by the alias `row`.
 */
import { sql, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import { sameTable, type TableName } from '../base/names.ts'
import type { ForeignKey } from '../catalog/catalog.ts'
import type {
  Child,
  FittedMask,
  FittedRule,
  FittedStart,
  GovernedRule,
  Reader,
} from '../catalog/fitted.ts'
import {
  bound,
  columnId,
  conjunction,
  disjunction,
  keyArray,
  tableId,
  type KeyColumn,
} from '../db/governed.ts'
import type { Boundary } from './boundary.ts'
import { matches } from './condition.ts'
import { isPast, type Law } from './moment.ts'

type EventStart = Extract<FittedStart, { kind: 'event' }>

/** True of a row of the rule's record class whose retention has ended. */
export function isDue(fitted: FittedRule, boundary: Boundary): RawBuilder<boolean> {
  const law = { rule: fitted.rule, boundary }
  return conjunction([isInClass(fitted), hasEnded(fitted.start, law)])
}

/** True of a row that the rule speaks of. */
export function isInClass({ rule, table }: FittedRule): RawBuilder<boolean> {
  return rule.where === null ? sql<boolean>`true` : matches(rule.where, table, 'row')
}

/** True of a due row that a batch may act on now. */
export function isActionable(fitted: FittedRule, boundary: Boundary): RawBuilder<boolean> {
  return conjunction([
    isDue(fitted, boundary),
    sql`not ${isDone(fitted)}`,
    sql`not ${isBlocked(fitted)}`,
    sql`not ${isDeciding(fitted)}`,
  ])
}

function hasEnded(start: FittedStart, law: Law): RawBuilder<boolean> {
  if (start.kind === 'column') {
    return isPast(columnId('row', start.moment.column), start.moment.frame, law)
  }
  // All related rows are past: one that is not, or of which it is not known, keeps the record.
  const ended = sql<boolean>`(
    ${anyEvent(start, sql`true`)}
    and not ${anyEvent(start, sql`${isPastEvent(start, law)} is not true`)}
  )`
  if (start.none === null) return ended
  const fallback = isPast(columnId('row', start.none.column), start.none.frame, law)
  return sql<boolean>`(${ended} or (not ${anyEvent(start, sql`true`)} and ${fallback}))`
}

/** True of an event that is closed, plausible and before the first day not yet due. */
function isPastEvent(start: EventStart, law: Law): RawBuilder<boolean> {
  const past = isPast(columnId('event', start.moment.column), start.moment.frame, law)
  if (start.open === null) return past
  return sql<boolean>`(${past} and ${matches(start.open, start.source, 'event')} is not true)`
}

function anyEvent(start: EventStart, condition: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from ${tableId(start.source)} as event
    where ${isRelated(start)} and ${condition}
  )`
}

/** True of an `event` of the source that belongs to the `row`. */
export function isRelated(start: EventStart): RawBuilder<boolean> {
  return conjunction(
    start.links.map(
      ({ source, own }) => sql`${columnId('event', source.name)} = ${columnId('row', own.name)}`,
    ),
  )
}

/** True of a row that was anonymised before, and that nobody refilled since. */
export function isDone(fitted: FittedRule): RawBuilder<boolean> {
  if (fitted.rule.action.kind === 'purge') return sql<boolean>`false`
  const left = fitted.children.map(
    (child) => sql`exists (
      select from ${tableId(child.table)} as ${sql.id(going(fitted, child))}
      where ${goesAlong(fitted, child)}
    )`,
  )
  return sql<boolean>`(${isAnonymised(fitted, 'row')} and not ${disjunction(left)})`
}

/** True of a row of `governed` that bears its marker and still holds what its masks write. */
function isAnonymised(governed: GovernedRule, alias: string): RawBuilder<boolean> {
  return sql<boolean>`(
    exists (
      select from retentiond.anonymised as marker
      where marker.table_oid = ${governed.table.oid}::oid
        and marker.rule = ${governed.rule.id}
        and marker.key = ${keyArray(governed.key, alias)}
        and marker.mask_digest = ${governed.maskDigest}
    )
    and not ${isUnmasked(governed, alias)}
  )`
}

/** True of a row of which a masked column holds something else than its mask writes. */
export function isUnmasked(governed: GovernedRule, alias: string): RawBuilder<boolean> {
  return disjunction(
    governed.masks.map((mask) => {
      const held = columnId(alias, mask.column.name)
      const written = maskValue(mask, governed.key, alias)
      return hasOwnEquality(mask)
        ? sql`${held} is distinct from ${written}`
        : sql`${held}::text is distinct from ${written}::text`
    }),
  )
}

/** Numbers and times are equal by value (0 and 0.00); text by its letters, and json has no equality. */
function hasOwnEquality({ column }: FittedMask): boolean {
  return ['N', 'D', 'T', 'B', 'I'].includes(column.category)
}

/** What the mask writes into the row `alias`. */
export function maskValue(
  mask: FittedMask,
  key: readonly KeyColumn[],
  alias: string,
): RawBuilder<unknown> {
  const { column, written } = mask
  const type = sql.id(column.type.schema, column.type.name)
  switch (written.kind) {
    case 'nothing':
      return sql`cast(null as ${type})`
    case 'constant':
      return bound(written.text, column.type)
    case 'template':
      return sql`cast(
        replace(${written.text}::text, '{key}', array_to_string(${keyArray(key, alias)}, '-')) as ${type}
      )`
    default:
      return written satisfies never
  }
}

/** True of a row to which a row with a rule of its own still refers. */
export function isBlocked(fitted: FittedRule): RawBuilder<boolean> {
  return disjunction(
    fitted.blockers.map((key) =>
      underGoing(fitted, key.to, (alias) => {
        const self = sameTable(key.from, key.to)
        return sql`exists (
          select from ${tableId(key.from)} as blocker
          where ${refersTo(key, 'blocker', alias)}
          ${self ? sql`and not ${sameRow(keyColumnsOf(fitted, key.to), 'blocker', alias)}` : sql``}
        )`
      }),
    ),
  )
}

/** True of a row that decides about a record on which its rule has yet to act. */
export function isDeciding(fitted: FittedRule): RawBuilder<boolean> {
  return disjunction(
    fitted.readers.map((reader) =>
      underGoing(fitted, reader.on, (alias) => readerWaits(reader, alias)),
    ),
  )
}

function readerWaits({ reader, pairs, exceptRoot }: Reader, alias: string): RawBuilder<boolean> {
  const acted =
    reader.rule.action.kind === 'purge' ? sql<boolean>`false` : isAnonymised(reader, 'reader')
  return sql<boolean>`exists (
    select from ${tableId(reader.table)} as reader
    where ${conjunction(pairs.map(({ own, read }) => sql`${columnId('reader', own)} = ${columnId(alias, read)}`))}
      and not ${acted}
      ${exceptRoot ? sql`and not ${sameRow(reader.key, 'reader', 'row')}` : sql``}
  )`
}

/** Asks `condition` of the row itself, or of every row of a child table that goes along with it. */
function underGoing(
  fitted: FittedRule,
  on: TableName,
  condition: (alias: string) => RawBuilder<unknown>,
): RawBuilder<unknown> {
  if (sameTable(on, fitted.table)) return condition('row')
  const child = childOf(fitted, on)
  const alias = going(fitted, child)
  return sql`exists (
    select from ${tableId(child.table)} as ${sql.id(alias)}
    where ${goesAlong(fitted, child)} and ${condition(alias)}
  )`
}

/** True of a row of the child table (by its own alias, see `going`) that goes along with the `row`. */
export function goesAlong(fitted: FittedRule, child: Child): RawBuilder<boolean> {
  const alias = going(fitted, child)
  return disjunction(
    child.foreignKeys.map((key) => {
      if (sameTable(key.to, fitted.table)) return refersTo(key, alias, 'row')
      const parent = childOf(fitted, key.to)
      const parentAlias = going(fitted, parent)
      return sql`exists (
        select from ${tableId(parent.table)} as ${sql.id(parentAlias)}
        where ${refersTo(key, alias, parentAlias)} and ${goesAlong(fitted, parent)}
      )`
    }),
  )
}

/** The alias of a child table: one for each, since a chain of them is nested. */
export function going(fitted: FittedRule, child: Child): string {
  return `going_${fitted.children.indexOf(child) + 1}`
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

function sameRow(key: readonly KeyColumn[], one: string, other: string): RawBuilder<boolean> {
  return conjunction(key.map(({ name }) => sql`${columnId(one, name)} = ${columnId(other, name)}`))
}

function childOf(fitted: FittedRule, name: TableName): Child {
  const child = fitted.children.find((candidate) => sameTable(candidate.table, name))
  invariant(child !== undefined, 'a foreign key leads to a table that does not go along')
  return child
}

function keyColumnsOf(fitted: FittedRule, name: TableName): readonly KeyColumn[] {
  return sameTable(name, fitted.table) ? fitted.key : childOf(fitted, name).key
}
