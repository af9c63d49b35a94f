/** A world as it changes: rows come to be nobody's, or go. */
import type { Filter, Row, World, WorldRule } from './world.ts'

/** A row that is there. */
export type Live = Row & {
  readonly table: number
  /** Null once a rule has overwritten it. */
  name: string | null
  /** Rules that anonymised it. */
  readonly marks: Set<string>
}

/** The rows that are there, by table and id. */
export type State = readonly ReadonlyMap<number, Live>[]

export function begin(world: World): State {
  return world.rows.map(
    (rows, table) =>
      new Map(
        rows.map((row) => [
          row.id,
          { ...row, table, name: `name ${row.id}`, marks: new Set<string>() },
        ]),
      ),
  )
}

export function copy(state: State): State {
  return state.map(
    (rows) => new Map([...rows].map(([id, row]) => [id, { ...row, marks: new Set(row.marks) }])),
  )
}

export function rowsOf(state: State, table: number): readonly Live[] {
  return [...(state[table]?.values() ?? [])]
}

/** The row that a link of `row` names, if it is there. */
export function above(world: World, state: State, row: Live, link: number): Live | undefined {
  const to = world.tables[row.table]?.links[link]?.to
  const id = row.up[link]
  return to === undefined || id === null || id === undefined ? undefined : state[to]?.get(id)
}

/** Rows of a table that refer to `row` by a foreign key. */
export function referring(world: World, state: State, table: number, row: Live): readonly Live[] {
  const links = world.tables[table]?.links ?? []
  return rowsOf(state, table).filter((each) =>
    links.some(
      ({ to, foreignKey }, at) => foreignKey && to === row.table && each.up[at] === row.id,
    ),
  )
}

/** The rows that go along with a row of the rule, at any depth, and not the row itself. */
export function along(world: World, state: State, rule: WorldRule, row: Live): readonly Live[] {
  const found: Live[] = []
  const todo = [row]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    for (const table of rule.along) {
      const children = referring(world, state, table, next)
      found.push(...children)
      todo.push(...children)
    }
  }
  return found
}

/** What goes when the rule acts on a row. */
export function goingWith(world: World, state: State, rule: WorldRule, row: Live): readonly Live[] {
  const children = along(world, state, rule, row)
  return rule.action === 'purge' ? [row, ...children] : children
}

/** True of a row that the rule speaks of. */
export function isMeant({ where, marked }: WorldRule, row: Row): boolean {
  if (marked === 'only' && row.gone !== true) return false
  return matches(where, row) && !(marked === 'exclude' && row.gone === true)
}

/** A comparison with nothing is false, and `not` of it is true. */
export function matches(filter: Filter | null, row: Row): boolean {
  if (filter === null) return true
  switch (filter.kind) {
    case 'is':
      return row[filter.column] === filter.value
    case 'in':
      return filter.values.some((value) => value === row[filter.column])
    case 'not in':
      return filter.values.every((value) => value !== row[filter.column])
    case 'not null':
      return row[filter.column] !== null
    case 'between':
      return row.n !== null && row.n >= filter.from && row.n < filter.before
    case 'any':
      return filter.parts.some((part) => matches(part, row))
    case 'all':
      return filter.parts.every((part) => matches(part, row))
    case 'not':
      return !matches(filter.part, row)
    default:
      return filter satisfies never
  }
}
