/**
 * The only place that says which rows are due and which of them may be acted on. Plan and enforce
 * put these fragments around the row that goes by the alias `view.row`.
 */
import { sql, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import { sameTable, type TableName } from '../base/names.ts'
import type { ForeignKey } from '../catalog/catalog.ts'
import type { Child, FittedRule, FittedStart, GovernedRule, Reader } from '../catalog/fitted.ts'
import {
  columnId,
  conjunction,
  disjunction,
  keyArray,
  tableId,
  type KeyColumn,
} from '../db/governed.ts'
import type { Boundary } from './boundary.ts'
import { matches } from './condition.ts'
import { isUnmasked } from './mask.ts'
import { isPast, type Law } from './moment.ts'

type EventStart = Extract<FittedStart, { kind: 'event' }>

/** A rule, its law of time, and the alias of the row that a fragment asks about. */
export type View = {
  readonly fitted: FittedRule
  readonly boundary: Boundary
  readonly row: string
  /** Fragments nest; each level has aliases of its own. */
  readonly level: number
  /**
   * Rules that will have acted before this one in the same run, for a plan that says what the run
   * would do. Empty for the run itself, which asks what is true.
   */
  readonly earlier: ReadonlyMap<string, Pick<View, 'fitted' | 'boundary'>>
}

/** Asks about the row `row` as things are. */
export function viewOf(fitted: FittedRule, boundary: Boundary): View {
  return { fitted, boundary, row: 'row', level: 0, earlier: new Map() }
}

/** True of a row of the rule's record class whose retention has ended. */
export function isDue(view: View): RawBuilder<boolean> {
  return conjunction([isInClass(view), hasEnded(view)])
}

/** True of a row that the rule speaks of. */
export function isInClass({ fitted: { rule, table }, row }: View): RawBuilder<boolean> {
  return rule.where === null ? sql<boolean>`true` : matches(rule.where, table, row)
}

/** True of a due row that a batch may act on now. */
export function isActionable(view: View): RawBuilder<boolean> {
  return conjunction([
    isDue(view),
    sql`not ${isDone(view)}`,
    sql`not ${isBlocked(view)}`,
    sql`not ${isDeciding(view)}`,
  ])
}

function hasEnded(view: View): RawBuilder<boolean> {
  const { start } = view.fitted
  const law = { rule: view.fitted.rule, boundary: view.boundary }
  if (start.kind === 'column') {
    return isPast(columnId(view.row, start.moment.column), start.moment.frame, law)
  }
  // All related rows are past: one that is not, or of which it is not known, keeps the record.
  const event = alias(view, 'event')
  const related = anyEvent(view, start, sql`true`)
  const ended = sql<boolean>`(
    ${related} and not ${anyEvent(view, start, sql`${isPastEvent(start, law, event)} is not true`)}
  )`
  if (start.none === null) return ended
  const fallback = isPast(columnId(view.row, start.none.column), start.none.frame, law)
  return sql<boolean>`(${ended} or (not ${related} and ${fallback}))`
}

/** True of an event that is closed, plausible and before the first day not yet due. */
function isPastEvent(start: EventStart, law: Law, event: string): RawBuilder<boolean> {
  const past = isPast(columnId(event, start.moment.column), start.moment.frame, law)
  if (start.open === null) return past
  return sql<boolean>`(${past} and ${matches(start.open, start.source, event)} is not true)`
}

function anyEvent(
  view: View,
  start: EventStart,
  condition: RawBuilder<unknown>,
): RawBuilder<boolean> {
  const event = alias(view, 'event')
  return sql<boolean>`exists (
    select from ${tableId(start.source)} as ${sql.id(event)}
    where ${isRelated(start, event, view.row)} and ${condition}
  )`
}

/** True of an event of the source that belongs to the row. */
export function isRelated(start: EventStart, event: string, row: string): RawBuilder<boolean> {
  return conjunction(
    start.links.map(
      ({ source, own }) => sql`${columnId(event, source.name)} = ${columnId(row, own.name)}`,
    ),
  )
}

/** True of a row that was anonymised before, and that nobody refilled since. */
export function isDone(view: View): RawBuilder<boolean> {
  const { fitted, row } = view
  if (fitted.rule.action.kind === 'purge') return sql<boolean>`false`
  const left = fitted.children.map(
    (child) => sql`exists (
      select from ${tableId(child.table)} as ${sql.id(going(view, child))}
      where ${goesAlong(view, child)}
    )`,
  )
  return sql<boolean>`(${isAnonymised(fitted, row)} and not ${disjunction(left)})`
}

/** True of a row of `governed` that bears its marker and still holds what its masks write. */
function isAnonymised(governed: GovernedRule, row: string): RawBuilder<boolean> {
  return sql<boolean>`(
    exists (
      select from retentiond.anonymised as marker
      where marker.table_oid = ${governed.table.oid}::oid
        and marker.rule = ${governed.rule.id}
        and marker.key = ${keyArray(governed.key, row)}
        and marker.mask_digest = ${governed.maskDigest}
    )
    and not ${isUnmasked(governed, row)}
  )`
}

/** True of a row to which a row with a rule of its own still refers. */
export function isBlocked(view: View): RawBuilder<boolean> {
  const blocker = alias(view, 'blocker')
  return disjunction(
    view.fitted.blockers.map(({ key }) =>
      underGoing(
        view,
        key.to,
        (row) => sql`exists (
          select from ${tableId(key.from)} as ${sql.id(blocker)}
          where ${refersTo(key, blocker, row)} and ${staysFor(view, key, row)}
        )`,
      ),
    ),
  )
}

/** True of a referring row that is another one than its parent and will not have gone before it. */
function staysFor(view: View, key: ForeignKey, row: string): RawBuilder<boolean> {
  const blocker = alias(view, 'blocker')
  const itself = sameTable(key.from, key.to)
    ? sql`not ${sameRow(keyColumnsOf(view.fitted, key.to), blocker, row)}`
    : sql`true`
  const gone = [...view.earlier.values()]
    .filter(
      ({ fitted }) => sameTable(fitted.table, key.from) && fitted.rule.action.kind === 'purge',
    )
    .map(({ fitted, boundary }) =>
      isActionable({ ...view, fitted, boundary, row: blocker, level: view.level + 1 }),
    )
  // Rows of the same rule go leaves first, pass after pass: at most those that are due.
  const ownGone =
    view.earlier.size > 0 && sameTable(key.from, view.fitted.table)
      ? [isDue({ ...view, row: blocker, level: view.level + 1 })]
      : []
  return conjunction([itself, sql`${disjunction([...gone, ...ownGone])} is not true`])
}

/** True of a row that decides about a record on which its rule has yet to act. */
export function isDeciding(view: View): RawBuilder<boolean> {
  return disjunction(
    view.fitted.readers.map((reader) =>
      underGoing(view, reader.on, (row) => readerWaits(view, reader, row)),
    ),
  )
}

function readerWaits(
  view: View,
  { reader, pairs, exceptRoot }: Reader,
  read: string,
): RawBuilder<boolean> {
  const waiting = alias(view, 'reader')
  const { rule, table, key } = reader
  const acted = rule.action.kind === 'purge' ? [] : [isAnonymised(reader, waiting)]
  const before = view.earlier.get(rule.id)
  const willAct =
    before === undefined
      ? []
      : [isActionable({ ...view, ...before, row: waiting, level: view.level + 1 })]
  return sql<boolean>`exists (
    select from ${tableId(table)} as ${sql.id(waiting)}
    where ${conjunction(pairs.map(({ own, read: column }) => sql`${columnId(waiting, own)} = ${columnId(read, column)}`))}
      and ${disjunction([...acted, ...willAct])} is not true
      ${exceptRoot ? sql`and not ${sameRow(key, waiting, view.row)}` : sql``}
  )`
}

/** Asks `condition` of the row itself, or of every row of a child table that goes along with it. */
function underGoing(
  view: View,
  on: TableName,
  condition: (row: string) => RawBuilder<unknown>,
): RawBuilder<unknown> {
  if (sameTable(on, view.fitted.table)) return condition(view.row)
  const child = childOf(view.fitted, on)
  const row = going(view, child)
  return sql`exists (
    select from ${tableId(child.table)} as ${sql.id(row)}
    where ${goesAlong(view, child)} and ${condition(row)}
  )`
}

/** True of a row of the child table (by its own alias, see `going`) that goes along with the row. */
export function goesAlong(view: View, child: Child): RawBuilder<boolean> {
  const row = going(view, child)
  return disjunction(
    child.foreignKeys.map((key) => {
      if (sameTable(key.to, view.fitted.table)) return refersTo(key, row, view.row)
      const parent = childOf(view.fitted, key.to)
      const parentRow = going(view, parent)
      return sql`exists (
        select from ${tableId(parent.table)} as ${sql.id(parentRow)}
        where ${refersTo(key, row, parentRow)} and ${goesAlong(view, parent)}
      )`
    }),
  )
}

/** The alias of a child table: one for each, since a chain of them is nested. */
export function going(view: View, child: Child): string {
  return alias(view, `going_${view.fitted.children.indexOf(child) + 1}`)
}

function alias({ level }: View, name: string): string {
  return level === 0 ? name : `${name}_at_${level}`
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
