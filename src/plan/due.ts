/**
 * The only place that says which rows are due. Plan and enforce put these fragments around the row
 * that goes by the alias `view.row`.
 */
import { sql, type RawBuilder } from 'kysely'
import type { FittedRule, StartedRule } from '../catalog/fitted.ts'
import { conjunction } from '../db/governed.ts'
import type { Boundary } from './boundary.ts'
import { matches } from './condition.ts'
import { NONE_IDLE, type Idle } from './orders.ts'
import { KeySets } from './sets.ts'
import { isOver } from './start.ts'

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
  readonly earlier: ReadonlyMap<string, Pick<View, 'fitted' | 'boundary' | 'idle'>> | null
  /** Kinds of orders of which none is open: nobody has to ask for them. */
  readonly idle: Idle
  /** What fragments may ask for by name, if the statement around them begins with it. */
  readonly sets: KeySets | null
}

/** What is asked of a row by time alone. */
export type Asked = Pick<View, 'boundary' | 'row' | 'level'> & { readonly fitted: StartedRule }

/** Asks about the row `row` as things are. */
export function viewOf(fitted: FittedRule, boundary: Boundary): View {
  return { fitted, boundary, row: 'row', level: 0, idle: NONE_IDLE, earlier: null, sets: null }
}

/** A statement about what a run would do; sets of keys that its fragments ask for stand before it. */
export function stated<T>(view: View, build: (view: View) => RawBuilder<T>): RawBuilder<T> {
  if (view.earlier === null) return build(view)
  const sets = new KeySets()
  return sets.before(build({ ...view, sets }))
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
  const { fitted, boundary, row } = view
  const law = { rule: fitted.rule, boundary }
  return isOver(fitted.start, { law, row, named: (name) => alias(view, name) })
}

/** An alias of its own for each level of nesting. */
export function alias({ level }: Pick<View, 'level'>, name: string): string {
  return level === 0 ? name : `${name}_at_${level}`
}
