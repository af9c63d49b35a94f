/** Why a row that is due may not be acted on: done, held, left to another rule, kept, blocked, deciding. */
import { sql, type RawBuilder } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import {
  isTangled,
  type Blocker,
  type Child,
  type GovernedRule,
  type Reader,
  type StartedRule,
} from '../catalog/fitted.ts'
import { columnId, conjunction, disjunction, keyArray, tableId } from '../db/governed.ts'
import { groundsOf, stillHolds, type Ground } from '../hold/held.ts'
import { boundaryOf } from './boundary.ts'
import { matches } from './condition.ts'
import { alias, hasEnded, isDue, isInClass, type View } from './due.ts'
import { alongOf, anyAmong, anyGoing, keyColumnsOf } from './going.ts'
import { isUnmasked } from './mask.ts'
import { refersTo, sameRow } from './refer.ts'
import { upThrough } from './related.ts'
import { anyInUnit, type Asked } from './unit.ts'

/**
 * True of a due row that a batch may act on now. `more` is what else must not be true of it, or of
 * rows that change with it.
 */
export function isActionable(view: View, more: readonly Asked[] = []): RawBuilder<boolean> {
  const hindrances = [...hindering(view), ...more]
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
function hindering(view: View): readonly Asked[] {
  return [
    ...groundsFor(view).map(({ along, ground }) => ({
      along,
      of: (row: string) => ground.holds(row),
    })),
    ...superseding(view),
    ...keepers(view),
    ...blockers(view),
    ...waitingReaders(view),
    ...stillHolding(view),
  ]
}

/** True of a row whose unit holds a record that is not due, or that something hinders. */
export function isTied(view: View): RawBuilder<boolean> {
  if (!isTangled(view.fitted)) return sql<boolean>`false`
  const own = hindering(view).filter(({ along }) => along === null)
  const key = keyColumnsOf(view.fitted, view.fitted.table)
  const others = [notDue(view), ...own].map(({ along, of }) => ({
    along,
    of: (row: string) => sql`(not ${sameRow(key, row, view.row)} and (${of(row)}) is not false)`,
  }))
  return anyInUnit(view, others, true)
}

/** True of a row that was anonymised before, and that nobody refilled since. */
export function isDone(view: View): RawBuilder<boolean> {
  const { fitted, row } = view
  if (fitted.rule.action.kind === 'purge') return sql<boolean>`false`
  const changing = [...fitted.children, ...fitted.detached]
  const left = changing.map((child) => anyGoing(view, child, () => sql`true`))
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
    and not ${isUnmasked({ governed, alias: row }, null)}
  )`
}

/** True of a row that an open hold covers. */
export function isHeld(view: View): RawBuilder<boolean> {
  return disjunction(heldBy(view).map(({ condition }) => condition()))
}

/** Each ground on which the row, or one that changes with it, may be held. */
export function heldBy(view: View): readonly HeldBy[] {
  return groundsFor(view).map(({ along, ground }) => ({
    on: ground.on,
    source: ground.source,
    condition: (only?: RawBuilder<unknown>) =>
      anyAmong(view, along, (row) => ground.holds(row, only)),
  }))
}

function groundsFor({ fitted }: View): readonly { along: Child | null; ground: Ground }[] {
  return fitted.held.flatMap((held) =>
    groundsOf(held, matches).map((ground) => ({ along: held.along, ground })),
  )
}

type HeldBy = Pick<Ground, 'on' | 'source'> & {
  readonly condition: (only?: RawBuilder<unknown>) => RawBuilder<unknown>
}

/** True of a row on which a later phase, or a rule that purges, acts instead. */
export function isSuperseded(view: View): RawBuilder<boolean> {
  return anyOf(view, superseding(view))
}

function anyOf(view: View, asked: readonly Asked[]): RawBuilder<boolean> {
  return disjunction(asked.map(({ along, of }) => anyAmong(view, along, of)))
}

function superseding(view: View): readonly Asked[] {
  const acting = view.fitted.superseding.map((other): Asked => ({
    along: null,
    of: (row) => sql`${isDueUnder({ ...view, row }, other)} is true`,
  }))
  const purged = earlierPurges(view).map((earlier): Asked => ({
    along: null,
    of: (row) => sql`${isActionable({ ...view, ...earlier, row, level: view.level + 1 })} is true`,
  }))
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
  return anyOf(view, keepers(view))
}

function keepers(view: View): readonly Asked[] {
  return view.fitted.rivals.map((rival) => ({
    along: null,
    of: (row) => isKeptBy(view, rival, row),
  }))
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

/** True of a row to which a row still refers that has to be gone before, or that is tied to others. */
export function isBlocked(view: View): RawBuilder<boolean> {
  return disjunction([anyOf(view, blockers(view)), isTied(view)])
}

function blockers(view: View): readonly Asked[] {
  const { fitted } = view
  const blocker = alias(view, 'blocker')
  return fitted.blockers.map((each) => ({
    along: alongOf(fitted, each.key.to),
    of: (row) => sql`exists (
      select from ${tableId(each.key.from)} as ${sql.id(blocker)}
      where ${refersTo(each.key, blocker, row)} and ${staysFor(view, each, row)}
    )`,
  }))
}

/** What could stand in the way of a row, each by the name of the table or the rule that does. */
export function hindrancesOf(view: View): {
  readonly blockers: readonly Named[]
  readonly readers: readonly Named[]
  /** Tables of rows that it holds. */
  readonly holding: readonly Named[]
} {
  const { fitted } = view
  const named = (asked: readonly Asked[], nameAt: (at: number) => string): readonly Named[] =>
    asked.map(({ along, of }, at) => ({ name: nameAt(at), condition: anyAmong(view, along, of) }))
  return {
    blockers: named(blockers(view), (at) => printTable(fitted.blockers[at]?.table ?? fitted.table)),
    readers: named(waitingReaders(view), (at) => fitted.readers[at]?.reader.rule.id ?? ''),
    holding: named(stillHolding(view), (at) =>
      printTable(fitted.holding[at]?.covered ?? fitted.table),
    ),
  }
}

type Named = { readonly name: string; readonly condition: RawBuilder<unknown> }

/** True of a referring row that is another one than its parent and will not have gone before it. */
function staysFor(view: View, { key }: Blocker, row: string): RawBuilder<boolean> {
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
  return anyOf(view, [...waitingReaders(view), ...stillHolding(view)])
}

/** A row that holds another one decides about it as long as that is there. */
function stillHolding(view: View): readonly Asked[] {
  return view.fitted.holding.map((holding) => ({
    along: alongOf(view.fitted, holding.on),
    of: (row) => stillHolds(holding, row, matches),
  }))
}

function waitingReaders(view: View): readonly Asked[] {
  return view.fitted.readers.map((reader) => ({
    along: alongOf(view.fitted, reader.on),
    of: (row) => readerWaits(view, reader, row),
  }))
}

function readerWaits(
  view: View,
  { reader, hops, pairs, exceptRoot }: Reader,
  read: string,
): RawBuilder<boolean> {
  const waiting = alias(view, 'reader')
  const up = upThrough(hops, read, (name) => alias(view, name))
  const { rule, table, key } = reader
  const acted = rule.action.kind === 'purge' ? [] : [isAnonymised(reader, waiting)]
  const before = view.earlier?.get(rule.id)
  const willAct =
    before === undefined
      ? []
      : [isActionable({ ...view, ...before, row: waiting, level: view.level + 1 })]
  return sql<boolean>`exists (
    select from ${tableId(table)} as ${sql.id(waiting)}${up.tables}
    where ${conjunction(pairs.map(({ own, read: column }) => sql`${columnId(waiting, own)} = ${columnId(up.top, column)}`))}
      and ${up.links}
      and ${disjunction([...acted, ...willAct])} is not true
      ${exceptRoot ? sql`and not ${sameRow(key, waiting, view.row)}` : sql``}
  )`
}
