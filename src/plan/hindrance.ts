/** Why a row that is due may not be acted on: done, held, left to another rule, kept, blocked, deciding. */
import { sql, type RawBuilder } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import type { ForeignKey } from '../catalog/catalog.ts'
import type { GovernedRule, Reader, StartedRule } from '../catalog/fitted.ts'
import { columnId, conjunction, disjunction, keyArray, tableId } from '../db/governed.ts'
import { groundsOf, stillHolds, type Ground } from '../hold/held.ts'
import { boundaryOf } from './boundary.ts'
import { matches } from './condition.ts'
import { alias, hasEnded, isDue, isInClass, type View } from './due.ts'
import { anyAmong, anyGoing, keyColumnsOf, refersTo, sameRow } from './going.ts'
import { isUnmasked } from './mask.ts'
import { upThrough } from './related.ts'

/** True of a due row that a batch may act on now. */
export function isActionable(view: View): RawBuilder<boolean> {
  // One `not exists` each, which PostgreSQL turns into an anti-join; it cannot do that with an `or`.
  const hindrances = [
    isDone(view),
    ...heldBy(view).map(({ condition }) => condition()),
    ...superseding(view),
    ...keepers(view),
    ...blockers(view),
    ...waitingReaders(view),
    ...stillHolding(view),
  ]
  return conjunction([isDue(view), ...hindrances.map((hindrance) => sql`not ${hindrance}`)])
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
    and not ${isUnmasked({ governed, alias: row }, null)}
  )`
}

/** True of a row that an open hold covers. */
export function isHeld(view: View): RawBuilder<boolean> {
  return disjunction(heldBy(view).map(({ condition }) => condition()))
}

/** Each ground on which the row, or one that goes along with it, may be held. */
export function heldBy(view: View): readonly HeldBy[] {
  return view.fitted.held.flatMap((held) =>
    groundsOf(held, matches).map((ground) => ({
      on: ground.on,
      source: ground.source,
      condition: (only?: RawBuilder<unknown>) =>
        anyAmong(view, held.table, (row) => ground.holds(row, only)),
    })),
  )
}

type HeldBy = Pick<Ground, 'on' | 'source'> & {
  readonly condition: (only?: RawBuilder<unknown>) => RawBuilder<unknown>
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
  /** Tables of rows that it holds. */
  readonly holding: readonly Named[]
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
    holding: stillHolding(view).map((condition, at) => ({
      name: printTable(view.fitted.holding[at]?.covered ?? view.fitted.table),
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
  return disjunction([...waitingReaders(view), ...stillHolding(view)])
}

/** A row that holds another one decides about it as long as that is there. */
function stillHolding(view: View): readonly RawBuilder<unknown>[] {
  return view.fitted.holding.map((holding) =>
    anyAmong(view, holding.on, (row) => stillHolds(holding, row, matches)),
  )
}

function waitingReaders(view: View): readonly RawBuilder<unknown>[] {
  return view.fitted.readers.map((reader) =>
    anyAmong(view, reader.on, (row) => readerWaits(view, reader, row)),
  )
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
