/** What a plan must say and a run must do: each rule in its turn, until nothing more can go. */
import type { Verdict } from '../../src/plan/census.ts'
import type { Day } from './calendar.ts'
import { along, copy, rowsOf, type Live, type State } from './state.ts'
import { byTime, hindered, standing, verdictNow, type Asked } from './judge.ts'
import type { Start, World, WorldRule } from './world.ts'

export type Foretold = {
  readonly rule: WorldRule
  readonly verdicts: ReadonlyMap<number, Verdict>
  /** Rows that go along, by table. */
  readonly along: ReadonlyMap<number, number>
  /** Why a run leaves the whole rule alone. */
  readonly refused: 'records_without_event' | 'below_floor' | null
  /** Rows of its table that a run acts on. */
  readonly acts: number
}

export type Future = {
  readonly rules: readonly Foretold[]
  readonly after: State
}

/** What becomes of the state in one run. */
export function foretell(world: World, now: State, today: Day): Future {
  let state = copy(now)
  const rules = orderOf(world.rules).map((rule): Foretold => {
    const before = rowsOf(now, rule.table)
    const after = copy(state)
    const acted = actOn(world, after, rule, today)
    const verdicts = new Map(
      before.map((row) => {
        const asked = { world, today, rule, row }
        return [row.id, acted.roots.has(row.id) ? 'due' : leftAs({ ...asked, now, after })] as const
      }),
    )
    const lacks = [...verdicts.values()].includes('neverExpires')
    const isError = lacks && rule.start.kind !== 'column' && rule.start.none === 'error'
    const low = isError ? false : isBelowFloor(world, now, rule, { verdicts, along: acted.along })
    const refused = isError ? 'records_without_event' : low ? 'below_floor' : null
    const acts = rule.mode === 'enforce' && refused === null
    if (acts) state = after
    return { rule, verdicts, along: acted.along, refused, acts: acts ? acted.roots.size : 0 }
  })
  return { rules, after: state }
}

/** True if the rule would leave too few rows of a table; what another one may take is not left. */
function isBelowFloor(
  { floors }: World,
  now: State,
  rule: WorldRule,
  { verdicts, along: went }: Pick<Foretold, 'verdicts' | 'along'>,
): boolean {
  const going = [...verdicts.values()].filter((each) => each === 'due' || each === 'superseded')
  return floors.some(({ table, rows }) => {
    const there = rowsOf(now, table).length
    if (table === rule.table) return rule.action === 'purge' && there - going.length < rows
    return rule.along.includes(table) && there - (went.get(table) ?? 0) < rows
  })
}

type Left = Omit<Asked, 'state'> & { readonly now: State; readonly after: State }

/** Why the rule leaves a row: by what is so before the run, or still is after the rule has acted. */
function leftAs({ now, after, ...asked }: Left): Verdict {
  const before = { ...asked, state: now }
  const early = byTime(before) ?? standing(before)
  if (early !== null) return early
  const row = after[asked.row.table]?.get(asked.row.id)
  // An earlier rule purges it in the same run.
  if (row === undefined) return 'superseded'
  const late = hindered({ ...asked, state: after, row })
  if (late === null) throw new Error(`nothing keeps row ${row.id} of t${row.table}`)
  return late
}

type Acted = {
  readonly roots: ReadonlySet<number>
  readonly along: ReadonlyMap<number, number>
}

/** Acts on everything that is due, and again on what that has freed. */
function actOn(world: World, state: State, rule: WorldRule, today: Day): Acted {
  const roots = new Set<number>()
  const went = new Map<number, number>()
  for (;;) {
    const due = rowsOf(state, rule.table).filter(
      (row) => verdictNow({ world, state, today, rule, row }) === 'due',
    )
    if (due.length === 0) return { roots, along: went }
    for (const row of due) {
      roots.add(row.id)
      for (const child of along(world, state, rule, row)) {
        went.set(child.table, (went.get(child.table) ?? 0) + 1)
        remove(state, child)
      }
      if (rule.action === 'purge') remove(state, row)
      else Object.assign(row, { name: null, marks: row.marks.add(rule.id) })
    }
  }
}

function remove(state: State, row: Live): void {
  ;(state[row.table] as Map<number, Live>).delete(row.id)
}

/** Readers before what they read, children before a parent that waits for them, and else by id. */
export function orderOf(rules: readonly WorldRule[]): readonly WorldRule[] {
  const ordered: WorldRule[] = []
  const waiting = rules.toSorted((one, other) => (one.id < other.id ? -1 : 1))
  while (waiting.length > 0) {
    const free = waiting.findIndex((rule) => !waiting.some((other) => isBefore(other, rule)))
    // What waits for itself in a circle has no order; the program refuses it.
    if (free < 0) return []
    ordered.push(...waiting.splice(free, 1))
  }
  return ordered
}

/** True if `one` has to act before `other`. */
export function isBefore(one: WorldRule, other: WorldRule): boolean {
  if (one.id === other.id) return false
  const goes = other.action === 'purge' ? [other.table, ...other.along] : other.along
  const waitsFor = other.action === 'purge' && other.awaited.includes(one.table)
  return waitsFor || tablesRead(one.start).some((table) => goes.includes(table))
}

function tablesRead(start: Start): readonly number[] {
  if (start.kind === 'column') return []
  return start.events.flatMap(({ table, way }) => {
    if (way.kind === 'through') return [table, way.middle]
    return way.kind === 'parent' ? [table, way.parent] : [table]
  })
}
