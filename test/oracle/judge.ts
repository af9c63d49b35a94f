/** The verdict on each row, in the order of precedence that docs/plan.md lists. */
import type { Verdict } from '../../src/plan/census.ts'
import type { Day } from './calendar.ts'
import {
  above,
  along,
  goingWith,
  isMeant,
  matches,
  referring,
  rowsOf,
  type Live,
  type State,
} from './state.ts'
import { eventsOf, timeOf } from './time.ts'
import type { Events, Way, World, WorldRule } from './world.ts'

/** What a question is asked of: a world as it is now, a rule, and one of its rows. */
export type Asked = {
  readonly world: World
  readonly state: State
  readonly today: Day
  readonly rule: WorldRule
  readonly row: Live
}

/** The verdict as things are: what `explain` tells, and what a batch acts by. */
export function verdictNow(asked: Asked): Verdict {
  return byTime(asked) ?? standing(asked) ?? hindered(asked) ?? 'due'
}

/** The verdict on a row whose time is not over, or which was done; null: it is over. */
export function byTime(asked: Asked): Verdict | null {
  const { world, state, rule } = asked
  const time = timeOf(world, state, asked)
  if (time === 'outside') return time
  const mayHaveMoved = rule.start.kind === 'activity'
  const counts = time === 'over' || time === 'neverExpires' || mayHaveMoved
  if (counts && isDone(asked)) return 'done'
  return time === 'over' ? null : time
}

/** What keeps a row whatever else goes in the same run. */
export function standing(asked: Asked): Verdict | null {
  if (isHeld(asked)) return 'held'
  if (isSuperseded(asked)) return 'superseded'
  return isKept(asked) ? 'kept' : null
}

/** What keeps a row until other rows are gone. */
export function hindered(asked: Asked): Verdict | null {
  if (isBlocked(asked)) return 'blocked'
  return isDeciding(asked) ? 'deciding' : null
}

function isAnonymised(rule: WorldRule, row: Live): boolean {
  return rule.action === 'anonymise' && row.marks.has(rule.id) && row.name === null
}

export function isDone({ world, state, rule, row }: Asked): boolean {
  return isAnonymised(rule, row) && along(world, state, rule, row).length === 0
}

function isHeld({ world, state, rule, row }: Asked): boolean {
  return [row, ...along(world, state, rule, row)].some((going) =>
    [going, ...everythingAbove(world, state, going)].some((each) => isHeldItself(world, each)),
  )
}

/** The rows that a row refers to by foreign keys which some rule declares, at any distance. */
function everythingAbove(world: World, state: State, row: Live): readonly Live[] {
  const found = new Set<Live>()
  const todo = [row]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    for (const [at, link] of (world.tables[next.table]?.links ?? []).entries()) {
      const parent = above(world, state, next, at)
      if (parent === undefined || found.has(parent) || !link.foreignKey) continue
      if (!isDeclared(world, next.table, link.to)) continue
      found.add(parent)
      todo.push(parent)
    }
  }
  return [...found]
}

function isDeclared({ rules }: World, from: number, to: number): boolean {
  return rules.some(
    (rule) =>
      [...rule.along, ...rule.awaited].includes(from) && [rule.table, ...rule.along].includes(to),
  )
}

function isHeldItself(world: World, row: Live): boolean {
  const rules = world.rules.filter(({ table }) => table === row.table)
  const ordered = world.orders.some((order) => {
    switch (order.scope) {
      case 'row':
        return order.table === row.table && order.id === row.id
      case 'subject':
        return rules.some(({ subject }) => subject) && order.subject === row.who
      case 'rule':
        return rules.some((rule) => rule.id === order.rule && isMeant(rule, row))
      default:
        return order satisfies never
    }
  })
  // Rows of a source are never gone while they hold: the world as it was drawn tells as much.
  return ordered || world.sources.some((source) => holders(world, source, row).length > 0)
}

function holders(world: World, source: World['sources'][number], row: Live) {
  if (world.tables[source.table]?.links[source.link]?.to !== row.table) return []
  return (world.rows[source.table] ?? []).filter(
    (each) => each.up[source.link] === row.id && matches(source.while, each),
  )
}

function isSuperseded(asked: Asked): boolean {
  const { world, rule, row } = asked
  if (rule.action === 'purge') return false
  return othersOn(world, rule).some(
    (other) =>
      other.mode === 'enforce' &&
      other.action === 'purge' &&
      timeOf(world, asked.state, { ...asked, rule: other, row }) === 'over',
  )
}

function isKept(asked: Asked): boolean {
  const { world, state, rule, row } = asked
  return othersOn(world, rule).some((other) => {
    if (!isMeant(other, row) || isAnonymised(other, row)) return false
    return timeOf(world, state, { ...asked, rule: other }) !== 'over'
  })
}

function othersOn({ rules }: World, rule: WorldRule): readonly WorldRule[] {
  return rules.filter(({ id, table }) => table === rule.table && id !== rule.id)
}

function isBlocked({ world, state, rule, row }: Asked): boolean {
  return goingWith(world, state, rule, row).some((going) =>
    rule.awaited.some((table) =>
      referring(world, state, table, going).some((each) => each !== going),
    ),
  )
}

/** True of a row that still says something of a record on which its rule has yet to act. */
function isDeciding(asked: Asked): boolean {
  const { world, state, rule, row } = asked
  return goingWith(world, state, rule, row).some(
    (going) =>
      world.rules.some((reader) =>
        readsBy(asked, reader, going).some((each) => !isAnonymised(reader, each)),
      ) || world.sources.some((source) => stillHolds(world, state, source, going)),
  )
}

function stillHolds(
  world: World,
  state: State,
  source: World['sources'][number],
  going: Live,
): boolean {
  if (source.table !== going.table || !matches(source.while, going)) return false
  return above(world, state, going, source.link) !== undefined
}

/** The records of a rule that is reading a start, or the way to one, from the row `read`. */
function readsBy(asked: Asked, reader: WorldRule, read: Live): readonly Live[] {
  const { world, state, rule, row } = asked
  if (reader.start.kind === 'column') return []
  const isOwn = reader.id === rule.id
  const records = reader.start.events.flatMap((events) =>
    rowsOf(state, reader.table).filter(
      (record) =>
        (read.table === events.table &&
          !(isOwn && read.table === rule.table && isGroup(events.way)) &&
          eventsOf(world, state, events, record).includes(read)) ||
        isOnTheWay(events, record, read),
    ),
  )
  const goesItself = rule.action === 'purge' && reader.table === rule.table
  return records.filter((record) => !(isOwn || goesItself) || record !== row)
}

/** Events of one table that belong together by the same column are equal before the rule. */
function isGroup(way: Way): boolean {
  return way.kind === 'equal' || (way.kind === 'parent' && way.link === way.own)
}

function isOnTheWay({ way }: Events, record: Live, read: Live): boolean {
  if (way.kind === 'through') return read.table === way.middle && read.up[way.above] === record.id
  if (way.kind === 'parent') return read.table === way.parent && record.up[way.own] === read.id
  return false
}
