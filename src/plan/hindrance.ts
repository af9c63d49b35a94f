/** Why a row that is due may not be acted on: done, held, left to another rule, kept, blocked, deciding. */
import { sql, type RawBuilder } from 'kysely'
import { sameTable, type TableName } from '../base/names.ts'
import { isTangled, type Blocker, type Reader, type StartedRule } from '../catalog/fitted.ts'
import { columnId, conjunction, disjunction, keyArray, tableId } from '../db/governed.ts'
import { stillHolds, type Ground } from '../hold/held.ts'
import { boundaryOf } from './boundary.ts'
import { matches } from './condition.ts'
import { isAnonymised, isDone } from './done.ts'
import { alias, hasEnded, isDue, isInClass, type View } from './due.ts'
import { alongOf, anyAmong, keyColumnsOf } from './going.ts'
import { takesAway } from '../policy/policy.ts'
import { groundsFor, stillIdle, type Idle } from './orders.ts'
import { refersTo, sameRow } from './refer.ts'
import { upThrough } from './related.ts'
import { isAmongThoseThatStay, ownWaits, type IsOver, type OwnWaits } from './stays.ts'
import { takenKeys } from './taken.ts'
import { anyInUnit, type Asked } from './unit.ts'

/**
 * True of a due row that a batch may act on now. `more` is what else must not be true of it, or of
 * rows that change with it; for orders of an `idle` kind no row is asked by itself.
 */
export function isActionable(
  view: View,
  more: readonly Asked[] = [],
  idle: Idle = view.idle,
): RawBuilder<boolean> {
  const hindrances = [...hindering(view, view.fitted, idle), ...more]
  const unhindered = isUnhindered(view, hindrances)
  return idle.size === 0 ? unhindered : conjunction([unhindered, stillIdle(view.fitted, idle)])
}

function isUnhindered(view: View, hindrances: readonly Asked[]): RawBuilder<boolean> {
  if (isTangled(view.fitted)) return isActionableAsWhole(view, hindrances)
  // One `not exists` each, which PostgreSQL turns into an anti-join; it cannot do that with an `or`.
  return conjunction([
    isDue(view),
    sql`not ${isDone(view)}`,
    ...hindrances.map(({ along, of }) => sql`not ${anyAmong(view, along, of)}`),
  ])
}

/** Nothing hinders any row of the unit, and each record of it is due. */
function isActionableAsWhole(view: View, hindrances: readonly Asked[]): RawBuilder<boolean> {
  const { children } = view.fitted
  const inUnit = hindrances.filter(({ along }) => along === null || children.includes(along))
  const apart = hindrances.filter(({ along }) => along !== null && !children.includes(along))
  return conjunction([
    isDue(view),
    sql`not ${isDone(view)}`,
    ...apart.map(({ along, of }) => sql`not ${anyAmong(view, along, of)}`),
    sql`not ${anyInUnit(view, [notDue(view), ...inUnit], true)}`,
  ])
}

function notDue(view: View): Asked {
  return { along: null, of: (row) => sql`(${isDue({ ...view, row })}) is not true` }
}

/** Everything that may stand in the way of a row, or of one that changes with it. */
function hindering(
  view: View,
  { blockers: blocking, readers }: OwnWaits,
  idle: Idle = view.idle,
): readonly Asked[] {
  return [
    ...groundsFor(view.fitted)
      .filter((_, at) => !idle.has(at))
      .map(({ along, ground }) => ({ along, of: (row: string) => ground.holds(row) })),
    ...superseding(view),
    ...keepers(view),
    ...blockers(view, blocking),
    ...waitingReaders(view, readers),
    ...stillHolding(view),
    ...takenKeys(view),
  ]
}

/** True of a row whose unit holds a record that is not due, or that something hinders. */
export function isTied(view: View): RawBuilder<boolean> {
  if (!isTangled(view.fitted)) return sql<boolean>`false`
  const own = hindering(view, view.fitted).filter(({ along }) => along === null)
  const key = keyColumnsOf(view.fitted, view.fitted.table)
  const others = [notDue(view), ...own].map(({ along, of }) => ({
    along,
    of: (row: string) => sql`(not ${sameRow(key, row, view.row)} and (${of(row)}) is not false)`,
  }))
  return anyInUnit(view, others, true)
}

/** True of a row that an open hold covers. */
export function isHeld(view: View): RawBuilder<boolean> {
  return disjunction(heldBy(view).map(({ condition }) => condition()))
}

/** Each ground on which the row, or one that changes with it, may be held. */
export function heldBy(view: View): readonly HeldBy[] {
  const asked = groundsFor(view.fitted).filter((_, at) => !view.idle.has(at))
  return asked.map(({ along, ground }) => ({
    on: ground.on,
    source: ground.source,
    condition: (only?: RawBuilder<unknown>) =>
      anyAmong(view, along, (row) => ground.holds(row, only)),
  }))
}

type HeldBy = Pick<Ground, 'on' | 'source'> & {
  readonly condition: (only?: RawBuilder<unknown>) => RawBuilder<unknown>
}

/** True of a row on which a later phase, or a rule that purges, acts instead. */
export function isSuperseded(view: View): RawBuilder<boolean> {
  return anyOf(view, superseding(view))
}

export function anyOf(view: View, asked: readonly Asked[]): RawBuilder<boolean> {
  return disjunction(asked.map(({ along, of }) => anyAmong(view, along, of)))
}

export function superseding(view: View): readonly Asked[] {
  const acting = view.fitted.superseding.map((other): Asked => ({
    along: null,
    of: (row) => sql`${isDueUnder({ ...view, row }, other)} is true`,
  }))
  // In a plan: a row that an earlier rule takes away goes, and counts, once.
  const taken = takenBefore(view, view.fitted.table).map((earlier): Asked => ({
    along: null,
    of: (row) => sql`${isTakenBy(view, earlier, row)} is true`,
  }))
  return [...acting, ...taken]
}

/** The views of rules that take rows of the table away before this one, in the order of the run. */
function takenBefore(view: View, table: TableName): readonly View[] {
  return [...(view.earlier?.values() ?? [])].flatMap(({ fitted }) => {
    if (!sameTable(fitted.table, table) || !takesAway(fitted.rule)) return []
    return asItActed(view, fitted.rule.id) ?? []
  })
}

/** Each way in which the row is gone by then, taken by a rule before this one. */
function goneBefore(view: View, table: TableName, row: string): readonly RawBuilder<boolean>[] {
  return takenBefore(view, table).map((earlier) => isTakenBy(view, earlier, row))
}

/** True of a row of its table that a rule which acts before takes: asked of the row, or of the set of them all. */
function isTakenBy(asking: View, earlier: View, row: string): RawBuilder<boolean> {
  const { fitted, sets } = earlier
  const asked = { ...earlier, level: earlier.level + 1 }
  const most = actedBefore(asking).length > FEW ? 1 : MOST_NESTED
  if (sets === null || nested(earlier, most) <= most) {
    return isActionable({ ...asked, row })
  }
  const taken = { ...asked, row: alias(asked, 'taken') }
  const keys = (): RawBuilder<unknown> => sql`
    -- Of distinct keys that it knows nothing about PostgreSQL expects few, and hashes them.
    select distinct key from (
      select ${keyArray(fitted.key, taken.row)} as key
      from ${tableId(fitted.table)} as ${sql.id(taken.row)}
      where ${isActionable(taken)}
      offset 0
    ) as found`
  return sql<boolean>`(${keyArray(fitted.key, row)} in (${sets.keysOf(`taken by ${fitted.rule.id}`, keys)}))`
}

/**
 * A condition that is written out is asked of single rows, by indexes; a set is read as a whole, and
 * kept in memory. So the set is for conditions that hold more than this many others, and, in those that
 * speak of more than a few other rules, for all that hold any.
 */
const MOST_NESTED = 4
const FEW = 8

/** How many times a rule's conditions are written out in those of the rule, itself included; counted up to `most`. */
function nested(view: View, most: number): number {
  let count = 1
  for (const other of actedBefore(view)) {
    if (count > most) return count
    count += nested(other, most - count)
  }
  return count
}

/** The rules before this one whose doings its conditions speak of, once for each time. */
function actedBefore(view: View): readonly View[] {
  const { table, blockers: blocking, readers } = view.fitted
  return [
    ...takenBefore(view, table),
    ...blocking.flatMap(({ key }) => takenBefore(view, key.from)),
    ...readers.flatMap(({ reader }) => [
      ...takenBefore(view, reader.table),
      ...(takesAway(reader.rule) ? [] : [asItActed(view, reader.rule.id) ?? []].flat()),
    ]),
  ]
}

/**
 * The view of a rule that acts earlier in the same run: what had gone by then is what rules before
 * that one take. With all of `earlier` a rule would wait for itself, without an end.
 */
function asItActed(view: View, id: string): View | undefined {
  const entries = [...(view.earlier ?? [])]
  const at = entries.findIndex(([rule]) => rule === id)
  const found = entries[at]?.[1]
  return found === undefined
    ? undefined
    : { ...view, ...found, earlier: new Map(entries.slice(0, at)) }
}

/** True of a row that another rule keeps: it is reached by that rule, which has not ended yet. */
export function isKept(view: View): RawBuilder<boolean> {
  return anyOf(view, keepers(view))
}

export function keepers(view: View): readonly Asked[] {
  return view.fitted.rivals.map((rival) => ({
    along: null,
    of: (row) => isKeptBy(view, rival, row),
  }))
}

/** Anonymised by the rival, the row may have lost what told the end: it has ended all the same. */
function isKeptBy(view: View, rival: StartedRule, row: string): RawBuilder<boolean> {
  const asked = { ...view, fitted: rival, boundary: boundaryOf(view.boundary, rival), row }
  const over = [hasEnded(asked), ...(takesAway(rival.rule) ? [] : [isAnonymised(rival, row)])]
  return sql<boolean>`(${isInClass(asked)} is true and ${disjunction(over)} is not true)`
}

function isDueUnder(view: View, other: StartedRule): RawBuilder<boolean> {
  return isDue({ ...view, fitted: other, boundary: boundaryOf(view.boundary, other) })
}

/**
 * True of a row to which a row still refers that has to be gone before, that is tied to others, or
 * whose archive has a row with its key.
 */
export function isBlocked(view: View): RawBuilder<boolean> {
  const standing = [...blockers(view, view.fitted.blockers), ...takenKeys(view)]
  return disjunction([anyOf(view, standing), isTied(view)])
}

function blockers(view: View, blocking: readonly Blocker[]): readonly Asked[] {
  const { fitted } = view
  return blocking.map((each) => ({
    along: alongOf(fitted, each.key.to),
    of: (row) => sql`exists (
      select from ${referringBy(view, each, row)} and ${staysFor(view, each, row)}
    )`,
  }))
}

/** The rows that refer to the row, as `from … where …`. */
function referringBy(view: View, each: Blocker, row: string): RawBuilder<unknown> {
  const blocker = sql.id(alias(view, 'blocker'))
  const found = sql`${tableId(each.key.from)} as ${blocker} where ${refersTo(each.key, alias(view, 'blocker'), row)}`
  if (view.earlier === null || !ownWaits(view.fitted).blockers.includes(each)) return found
  // Found first, and by an index: what the rule will leave costs so much in the eyes of PostgreSQL that
  // beside it a whole table costs as much as a row.
  return sql`(select ${blocker}.* from ${found} offset 0) as ${blocker} where true`
}

/** True of a referring row that is another one than its parent and will not have gone before it. */
export function staysFor(view: View, each: Blocker, row: string): RawBuilder<boolean> {
  const { key } = each
  const blocker = alias(view, 'blocker')
  const itself = sameTable(key.from, key.to)
    ? sql`not ${sameRow(keyColumnsOf(view.fitted, key.to), blocker, row)}`
    : sql`true`
  // Rows of the same rule go leaves first, pass after pass.
  const ownGone =
    view.earlier !== null && ownWaits(view.fitted).blockers.includes(each)
      ? [sql`not ${staysItself(view, blocker)}`]
      : []
  const gone = [...goneBefore(view, key.from, blocker), ...ownGone]
  return conjunction([itself, sql`${disjunction(gone)} is not true`])
}

/** True of a row that the rule will leave when all its passes are over. */
function staysItself(view: View, row: string): RawBuilder<boolean> {
  const own = ownWaits(view.fitted)
  return isAmongThoseThatStay(view, row, {
    isOver: isOverFor,
    goes: (low) =>
      isUnhindered(
        low,
        hindering(low, {
          blockers: low.fitted.blockers.filter((each) => !own.blockers.includes(each)),
          readers: low.fitted.readers.filter((each) => !own.readers.includes(each)),
        }),
      ),
  })
}

/** True of a row that keeps nobody by then, in this way: it is gone before the rule acts, or done. */
export const isOverFor: IsOver = (view, each) =>
  disjunction(
    'reader' in each
      ? overForReader(view, each, view.row)
      : goneBefore(view, each.key.from, view.row),
  )

/** Whichever rule takes the record away: nothing is decided about it any more. */
function overForReader(
  view: View,
  { reader }: Reader,
  row: string,
): readonly RawBuilder<boolean>[] {
  const gone = goneBefore(view, reader.table, row)
  if (takesAway(reader.rule)) return gone
  const before = asItActed(view, reader.rule.id)
  return [
    isAnonymised(reader, row),
    ...gone,
    ...(before === undefined ? [] : [isTakenBy(view, before, row)]),
  ]
}

/** True of a row that decides about a record on which its rule has yet to act. */
export function isDeciding(view: View): RawBuilder<boolean> {
  return anyOf(view, [...waitingReaders(view, view.fitted.readers), ...stillHolding(view)])
}

/** A row that holds another one decides about it as long as that is there. */
function stillHolding(view: View): readonly Asked[] {
  return view.fitted.holding.map((holding) => ({
    along: alongOf(view.fitted, holding.on),
    of: (row) => stillHolds(holding, row, matches),
  }))
}

function waitingReaders(view: View, readers: readonly Reader[]): readonly Asked[] {
  return readers.map((reader) => ({
    along: alongOf(view.fitted, reader.on),
    of: (row) => readerWaits(view, reader, row),
  }))
}

function readerWaits(view: View, reader: Reader, read: string): RawBuilder<boolean> {
  const { tables, condition } = waits(view, reader, read)
  return sql<boolean>`exists (
    select from ${tableId(reader.reader.table)} as ${sql.id(alias(view, 'reader'))}${tables}
    where ${condition}
  )`
}

/** True of a row `reader` that the row `read` decides, and on which its rule has yet to act. */
export function waits(
  view: View,
  each: Reader,
  read: string,
): { readonly tables: RawBuilder<unknown>; readonly condition: RawBuilder<unknown> } {
  const { reader, hops, pairs, exceptRoot } = each
  const waiting = alias(view, 'reader')
  const up = upThrough(hops, read, (name) => alias(view, name))
  // In an earlier pass of the same rule.
  const ownOver =
    view.earlier !== null && ownWaits(view.fitted).readers.includes(each)
      ? [sql`not ${staysItself(view, waiting)}`]
      : []
  const over = [...overForReader(view, each, waiting), ...ownOver]
  const condition = conjunction([
    ...pairs.map(
      ({ own, read: column }) => sql`${columnId(waiting, own)} = ${columnId(up.top, column)}`,
    ),
    up.links,
    sql`${disjunction(over)} is not true`,
    ...(exceptRoot ? [sql`not ${sameRow(reader.key, waiting, view.row)}`] : []),
  ])
  return { tables: up.tables, condition }
}
