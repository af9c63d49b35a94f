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
import { groundsOf, holdsRow, stillHolds, type Ground } from '../hold/held.ts'
import { boundaryOf } from './boundary.ts'
import { matches } from './condition.ts'
import { alias, hasEnded, isDue, isInClass, type View } from './due.ts'
import { alongOf, anyAmong, anyGoing, keyColumnsOf } from './going.ts'
import { takesAway } from '../policy/policy.ts'
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
  if (takesAway(fitted.rule)) return sql<boolean>`false`
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
  const taken = takenBefore(view).map((earlier): Asked => ({
    along: null,
    of: (row) => sql`${isActionable({ ...view, ...earlier, row, level: view.level + 1 })} is true`,
  }))
  return [...acting, ...taken]
}

/** Rules that take rows of the same table away before this one, in a plan: a row goes, and counts, once. */
function takenBefore({ earlier, fitted }: View): readonly Pick<View, 'fitted' | 'boundary'>[] {
  const before = [...(earlier?.values() ?? [])]
  const own = before.findIndex((each) => each.fitted.rule.id === fitted.rule.id)
  return (own < 0 ? before : before.slice(0, own)).filter(
    (each) => sameTable(each.fitted.table, fitted.table) && takesAway(each.fitted.rule),
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
  const over = [hasEnded(asked), ...(takesAway(rival.rule) ? [] : [isAnonymised(rival, row)])]
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
  readonly superseding: readonly Named[]
  readonly keepers: readonly Named[]
  readonly blockers: readonly Counted[]
  readonly readers: readonly Counted[]
  /** Tables of rows that it holds. */
  readonly holding: readonly Counted[]
} {
  const { fitted } = view
  const named = (asked: readonly Asked[], others: readonly StartedRule[]): readonly Named[] =>
    others.map(({ rule }, at) => ({
      name: rule.id,
      condition: anyOf(view, asked.slice(at, at + 1)),
    }))
  const [blocker, waiting] = [alias(view, 'blocker'), alias(view, 'reader')]
  return {
    superseding: named(superseding(view), fitted.superseding),
    keepers: named(keepers(view), fitted.rivals),
    blockers: fitted.blockers.map((each) => ({
      name: printTable(each.table),
      from: sql`${tableId(each.key.from)} as ${sql.id(blocker)}`,
      along: alongOf(fitted, each.key.to),
      of: (row) => conjunction([refersTo(each.key, blocker, row), staysFor(view, each, row)]),
    })),
    readers: fitted.readers.map((reader) => ({
      name: reader.reader.rule.id,
      from: sql`${tableId(reader.reader.table)} as ${sql.id(waiting)}`,
      along: alongOf(fitted, reader.on),
      of: (row) => {
        const { tables, condition } = waits(view, reader, row)
        return sql`exists (select from (select) as one${tables} where ${condition})`
      },
    })),
    holding: fitted.holding.map(({ covered, source, on }) => ({
      name: printTable(covered),
      from: sql`${tableId(covered)} as covered`,
      along: alongOf(fitted, on),
      of: (row) => holdsRow(source, row, 'covered', matches),
    })),
  }
}

type Named = { readonly name: string; readonly condition: RawBuilder<unknown> }

/** Rows of another table (`from`) that stand in the way of those rows `of` is true of. */
export type Counted = Asked & { readonly name: string; readonly from: RawBuilder<unknown> }

/** True of a row that any of those stand in the way of. */
export function hinders(view: View, { from, along, of }: Counted): RawBuilder<unknown> {
  return anyAmong(view, along, (row) => sql`exists (select from ${from} where ${of(row)})`)
}

/** Counts what stands in the way of the governed row that `isRoot` is true of, or of what goes along. */
export function countHindering(
  view: View,
  { from, along, of }: Counted,
  isRoot: RawBuilder<unknown>,
): RawBuilder<{ rows: string }> {
  return sql`
    select count(*)::text as rows from ${from}
    where exists (
      select from ${tableId(view.fitted.table)} as ${sql.id(view.row)}
      where ${isRoot} and ${anyAmong(view, along, of)}
    )`
}

/** True of a referring row that is another one than its parent and will not have gone before it. */
function staysFor(view: View, { key }: Blocker, row: string): RawBuilder<boolean> {
  const blocker = alias(view, 'blocker')
  const itself = sameTable(key.from, key.to)
    ? sql`not ${sameRow(keyColumnsOf(view.fitted, key.to), blocker, row)}`
    : sql`true`
  const gone = [...(view.earlier?.values() ?? [])]
    .filter(({ fitted }) => sameTable(fitted.table, key.from) && takesAway(fitted.rule))
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

function readerWaits(view: View, reader: Reader, read: string): RawBuilder<boolean> {
  const { tables, condition } = waits(view, reader, read)
  return sql<boolean>`exists (
    select from ${tableId(reader.reader.table)} as ${sql.id(alias(view, 'reader'))}${tables}
    where ${condition}
  )`
}

/** True of a row `reader` that the row `read` decides, and on which its rule has yet to act. */
function waits(
  view: View,
  { reader, hops, pairs, exceptRoot }: Reader,
  read: string,
): { readonly tables: RawBuilder<unknown>; readonly condition: RawBuilder<unknown> } {
  const waiting = alias(view, 'reader')
  const up = upThrough(hops, read, (name) => alias(view, name))
  const { rule, key } = reader
  const acted = takesAway(rule) ? [] : [isAnonymised(reader, waiting)]
  // Of its own rule what is asked is whether other rows are there, whatever becomes of them.
  const before = exceptRoot ? undefined : view.earlier?.get(rule.id)
  const willAct =
    before === undefined
      ? []
      : [isActionable({ ...view, ...before, row: waiting, level: view.level + 1 })]
  const condition = conjunction([
    ...pairs.map(
      ({ own, read: column }) => sql`${columnId(waiting, own)} = ${columnId(up.top, column)}`,
    ),
    up.links,
    sql`${disjunction([...acted, ...willAct])} is not true`,
    ...(exceptRoot ? [sql`not ${sameRow(key, waiting, view.row)}`] : []),
  ])
  return { tables: up.tables, condition }
}
