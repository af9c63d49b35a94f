/** Whether the time of one record is over, by the words of docs/policy.md. */
import {
  localDay,
  printDay,
  readDay,
  readings,
  retentionEnd,
  secondsOf,
  dayOfSeconds,
  type Day,
} from './calendar.ts'
import { above, isMeant, matches, rowsOf, type Live, type State } from './state.ts'
import type { Events, Moment, MomentColumn, World, WorldRule } from './world.ts'

export type Time = 'outside' | 'over' | 'running' | 'open' | 'implausible' | 'neverExpires'

/** What a value says of a start. */
type Said = 'nothing' | 'open' | 'implausible' | { readonly day: Day }

type Told = { readonly moment: Moment; readonly column: MomentColumn; readonly open: boolean }

export function timeOf(
  world: World,
  state: State,
  { rule, row, today }: { readonly rule: WorldRule; readonly row: Live; readonly today: Day },
): Time {
  if (!isMeant(rule, row)) return 'outside'
  const said = saidOf(world, state, rule, row)
  if (said.length === 0) return 'neverExpires'
  if (said.includes('implausible')) return 'implausible'
  if (said.includes('open')) return 'open'
  const isOver = (each: Said): boolean =>
    typeof each === 'object' && retentionEnd(each.day, rule.keep) < today
  return said.every(isOver) ? 'over' : 'running'
}

/** Everything that counts for the start of a record; empty if nothing does. */
function saidOf(world: World, state: State, rule: WorldRule, row: Live): readonly Said[] {
  const { start } = rule
  if (start.kind === 'column') {
    const said = meaning(world, ownAt(world, row, start.column))
    return [said === 'nothing' ? 'open' : said]
  }
  const told: Told[] = [
    ...start.events.flatMap((events) =>
      eventsOf(world, state, events, row).map((event) => ({
        ...ownAt(world, event, events.column),
        open: events.open !== null && matches(events.open, event),
      })),
    ),
    ...start.own.map((column) => ({ ...ownAt(world, row, column), open: false })),
  ]
  const said = told.flatMap(({ open, ...each }): readonly Said[] => {
    const one = meaning(world, each)
    if (one === 'nothing' && start.kind === 'activity') return []
    if (one === 'implausible') return [one]
    return [open || one === 'nothing' ? 'open' : one]
  })
  if (said.length > 0 || typeof start.none !== 'number') return said
  const instead = meaning(world, ownAt(world, row, start.none))
  // A substitute that has no end says nothing either.
  return instead === 'nothing' || instead === 'open' ? [] : [instead]
}

function ownAt(world: World, row: Live, at: number): Omit<Told, 'open'> {
  const column = world.tables[row.table]?.moments[at]
  const moment = row.at[at]
  if (column === undefined || moment === undefined) throw new Error(`t${row.table} has no at${at}`)
  return { moment, column }
}

/** The events of a record. */
export function eventsOf(
  world: World,
  state: State,
  { table, way }: Pick<Events, 'table' | 'way'>,
  row: Live,
): readonly Live[] {
  return rowsOf(state, table).filter((event) => {
    switch (way.kind) {
      case 'link':
        return event.up[way.link] === row.id
      case 'through':
        return above(world, state, event, way.link)?.up[way.above] === row.id
      case 'parent':
        return event.up[way.link] !== null && event.up[way.link] === row.up[way.own]
      case 'equal':
        return event.n !== null && event.n === row.n
      default:
        return way satisfies never
    }
  })
}

function meaning(world: World, { moment, column }: Omit<Told, 'open'>): Said {
  if (moment.kind === 'none') return 'nothing'
  const knowsInfinity = ['date', 'timestamp', 'timestamptz'].includes(column.type)
  if (moment.kind === 'infinity' && knowsInfinity) return 'open'
  if (moment.kind !== 'time') return 'implausible'
  const { first, last, written } = daysOf(world, column, moment)
  const { open, invalid } = world.sentinels
  if (written.some((day) => open.includes(printDay(day)))) return 'open'
  if (written.some((day) => invalid.includes(printDay(day)))) return 'implausible'
  if (first < readDay(world.plausibleFrom)) return 'implausible'
  return { day: last }
}

type Days = {
  /** The first and the last day that the value can mean in the zone of the rule. */
  readonly first: Day
  readonly last: Day
  /** The days that whoever wrote the value may have meant. */
  readonly written: readonly Day[]
}

function daysOf(
  world: World,
  { type, zone }: MomentColumn,
  { day, second }: Extract<Moment, { kind: 'time' }>,
): Days {
  const plainly = { first: day, last: day, written: [day] }
  switch (type) {
    case 'date':
    case 'text':
      return plainly
    case 'timestamp': {
      if (zone === null || zone === world.zone) return plainly
      const days = readings(secondsOf(day, second), zone).map((at) => localDay(at, world.zone))
      return { first: Math.min(...days), last: Math.max(...days), written: [day] }
    }
    case 'timestamptz':
    case 'seconds':
    case 'milliseconds':
    case 'uuid7': {
      const at = secondsOf(day, second)
      const here = localDay(at, world.zone)
      return { first: here, last: here, written: [here, dayOfSeconds(at)] }
    }
    default:
      return type satisfies never
  }
}
