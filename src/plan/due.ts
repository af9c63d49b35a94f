/**
 * The only place that says which rows are due. Plan and enforce put these fragments around the row
 * that goes by the alias `view.row`.
 */
import { sql, type RawBuilder } from 'kysely'
import type { FittedRule, FittedStart, StartedRule } from '../catalog/fitted.ts'
import { columnId, conjunction, tableId } from '../db/governed.ts'
import type { Boundary } from './boundary.ts'
import { matches } from './condition.ts'
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
export type Asked = Pick<View, 'boundary' | 'row' | 'level'> & { readonly fitted: StartedRule }

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

/** True of a row whose period is over: every start that counts lies before the boundary. */
export function hasEnded(view: Asked): RawBuilder<boolean> {
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

/** An alias of its own for each level of nesting. */
export function alias({ level }: Pick<View, 'level'>, name: string): string {
  return level === 0 ? name : `${name}_at_${level}`
}
