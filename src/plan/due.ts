/**
 * The only place that says which rows are due and which of them may be acted on. Plan and enforce
 * put these fragments around the row that goes by the alias `view.row`.
 */
import { sql, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import { printTable, sameTable, type TableName } from '../base/names.ts'
import type { ForeignKey } from '../catalog/catalog.ts'
import type {
  Child,
  FittedRule,
  FittedStart,
  GovernedRule,
  Reader,
  StartedRule,
} from '../catalog/fitted.ts'
import {
  columnId,
  conjunction,
  disjunction,
  keyArray,
  tableId,
  type KeyColumn,
} from '../db/governed.ts'
import { boundaryOf, type Boundary } from './boundary.ts'
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
   * would do. Null for the run itself, which asks what is true.
   */
  readonly earlier: ReadonlyMap<string, Pick<View, 'fitted' | 'boundary'>> | null
}

/** What is asked of a row by time alone. */
type Asked = Pick<View, 'boundary' | 'row' | 'level'> & { readonly fitted: StartedRule }

/** Asks about the row `row` as things are. */
export function viewOf(fitted: FittedRule, boundary: Boundary): View {
  return { fitted, boundary, row: 'row', level: 0, earlier: null }
}

/** True of a row of the rule's record class whose retention has ended. */
export function isDue(view: Asked): RawBuilder<boolean> {
  return conjunction([isInClass(view), hasEnded(view)])
}

/** True of a row that the rule speaks of. */
export function isInClass({ fitted: { rule, table }, row }: Asked): RawBuilder<boolean> {
  return rule.where === null ? sql<boolean>`true` : matches(rule.where, table, row)
}

/** True of a due row that a batch may act on now. */
export function isActionable(view: View): RawBuilder<boolean> {
  // One `not exists` each, which PostgreSQL turns into an anti-join; it cannot do that with an `or`.
  const hindrances = [
    isDone(view),
    isHeld(view),
    ...superseding(view),
    ...keepers(view),
    ...blockers(view),
    ...waitingReaders(view),
  ]
  return conjunction([isDue(view), ...hindrances.map((hindrance) => sql`not ${hindrance}`)])
}

function hasEnded(view: Asked): RawBuilder<boolean> {
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
  view: Asked,
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
  const left = fitted.children.map((child) => anyGoing(view, child, () => sql`true`))
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

/** True of a row that an open hold covers. */
export function isHeld(_view: View): RawBuilder<boolean> {
  return sql<boolean>`false`
}

/** True of a row on which a later phase, or a rule that purges, acts instead. */
export function isSuperseded(view: View): RawBuilder<boolean> {
  return disjunction(superseding(view))
}

function superseding(view: View): readonly RawBuilder<boolean>[] {
  const acting = view.fitted.superseding.map(
    (other) => sql<boolean>`${isDueUnder(view, other)} is true`,
  )
  const purged = earlierPurges(view).map(
    (earlier) => sql<boolean>`${isActionable({ ...view, ...earlier })} is true`,
  )
  return [...acting, ...purged]
}

/** Rules that purge rows of the same table before this one, in a plan: a row goes, and counts, once. */
function earlierPurges({ earlier, fitted }: View): readonly Pick<View, 'fitted' | 'boundary'>[] {
  const before = [...(earlier?.values() ?? [])]
  const own = before.findIndex((each) => each.fitted.rule.id === fitted.rule.id)
  return (own < 0 ? before : before.slice(0, own)).filter(
    (each) =>
      sameTable(each.fitted.table, fitted.table) && each.fitted.rule.action.kind === 'purge',
  )
}

/** True of a row that another rule keeps: it is reached by that rule, which has not ended yet. */
export function isKept(view: View): RawBuilder<boolean> {
  return disjunction(keepers(view))
}

function keepers(view: View): readonly RawBuilder<boolean>[] {
  return view.fitted.rivals.map((rival) => isKeptBy(view, rival, view.row))
}

/** Anonymised by the rival, the row may have lost what told the end: it has ended all the same. */
function isKeptBy(view: View, rival: StartedRule, row: string): RawBuilder<boolean> {
  const asked = { ...view, fitted: rival, boundary: boundaryOf(view.boundary, rival), row }
  const over = [
    hasEnded(asked),
    ...(rival.rule.action.kind === 'purge' ? [] : [isAnonymised(rival, row)]),
  ]
  return sql<boolean>`(${isInClass(asked)} is true and ${disjunction(over)} is not true)`
}

function isDueUnder(view: View, other: StartedRule): RawBuilder<boolean> {
  return isDue({ ...view, fitted: other, boundary: boundaryOf(view.boundary, other) })
}

/** True of a row to which a row with a rule of its own still refers. */
export function isBlocked(view: View): RawBuilder<boolean> {
  return disjunction(blockers(view))
}

function blockers(view: View): readonly RawBuilder<unknown>[] {
  const blocker = alias(view, 'blocker')
  return view.fitted.blockers.map(({ key }) =>
    anyAmong(
      view,
      key.to,
      (row) => sql`exists (
        select from ${tableId(key.from)} as ${sql.id(blocker)}
        where ${refersTo(key, blocker, row)} and ${staysFor(view, key, row)}
      )`,
    ),
  )
}

/** What could stand in the way of a row, each by the name of the table or the rule that does. */
export function hindering(view: View): {
  readonly blockers: readonly Named[]
  readonly readers: readonly Named[]
} {
  return {
    blockers: blockers(view).map((condition, at) => ({
      name: printTable(view.fitted.blockers[at]?.table ?? view.fitted.table),
      condition,
    })),
    readers: waitingReaders(view).map((condition, at) => ({
      name: view.fitted.readers[at]?.reader.rule.id ?? '',
      condition,
    })),
  }
}

type Named = { readonly name: string; readonly condition: RawBuilder<unknown> }

/** True of a referring row that is another one than its parent and will not have gone before it. */
function staysFor(view: View, key: ForeignKey, row: string): RawBuilder<boolean> {
  const blocker = alias(view, 'blocker')
  const itself = sameTable(key.from, key.to)
    ? sql`not ${sameRow(keyColumnsOf(view.fitted, key.to), blocker, row)}`
    : sql`true`
  const gone = [...(view.earlier?.values() ?? [])]
    .filter(
      ({ fitted }) => sameTable(fitted.table, key.from) && fitted.rule.action.kind === 'purge',
    )
    .map(({ fitted, boundary }) =>
      isActionable({ ...view, fitted, boundary, row: blocker, level: view.level + 1 }),
    )
  // Rows of the same rule go leaves first, pass after pass: at most those that are due.
  const ownGone =
    view.earlier !== null && sameTable(key.from, view.fitted.table)
      ? [isDue({ ...view, row: blocker, level: view.level + 1 })]
      : []
  return conjunction([itself, sql`${disjunction([...gone, ...ownGone])} is not true`])
}

/** True of a row that decides about a record on which its rule has yet to act. */
export function isDeciding(view: View): RawBuilder<boolean> {
  return disjunction(waitingReaders(view))
}

function waitingReaders(view: View): readonly RawBuilder<unknown>[] {
  return view.fitted.readers.map((reader) =>
    anyAmong(view, reader.on, (row) => readerWaits(view, reader, row)),
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
  const before = view.earlier?.get(rule.id)
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
function anyAmong(
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

function alias({ level }: Pick<View, 'level'>, name: string): string {
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
