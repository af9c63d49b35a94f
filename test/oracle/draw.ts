/**
 * Draws worlds. fast-check draws numbers, and every combination of them is read as some world: a
 * number says which of the choices that are left is taken, and 0 the plainest. So it can shrink.
 */
import * as fc from 'fast-check'
import { firstDayNotOver, readDay, type Day, type Period } from './calendar.ts'
import { drawRules } from './draw-rules.ts'
import type { Filter, Link, Moment, MomentColumn, Order, Row, World, WorldTable } from './world.ts'

const number = fc.noBias(fc.nat({ max: 9999 }))
const numbers = (count: number) => fc.array(number, { minLength: count, maxLength: count })

/** Takes one of the choices. */
export function pick<T>(choices: readonly T[], drawn: number | undefined): T {
  return choices[(drawn ?? 0) % choices.length] as T
}

/** Repeats what is to be drawn more often. */
export function often<T>(times: number, choice: T): readonly T[] {
  return Array.from({ length: times }, () => choice)
}

export const PERIODS: readonly Period[] = [
  { count: 1, unit: 'year' },
  { count: 6, unit: 'month' },
  { count: 13, unit: 'month' },
  { count: 90, unit: 'day' },
  { count: 2, unit: 'week' },
  { count: 10, unit: 'year' },
]

const ZONES = ['Europe/Paris', 'UTC', 'America/New_York', 'Asia/Kathmandu', 'Pacific/Apia'] as const

/** Worlds of a day; `most` rows in all. */
export function worldsAt(today: Day, most: number): fc.Arbitrary<World> {
  const drawn = fc.record({
    policy: numbers(4),
    tables: fc.array(numbers(9), { minLength: 2, maxLength: 5, size: 'max' }),
    rules: fc.array(numbers(24), { minLength: 1, maxLength: 5, size: 'max' }),
    sources: fc.array(numbers(3), { maxLength: 1, size: 'max' }),
    orders: fc.array(numbers(3), { maxLength: 3, size: 'max' }),
    floors: fc.array(numbers(3), { maxLength: 2, size: 'max' }),
    rows: fc.array(numbers(9), { minLength: 0, maxLength: most, size: 'max' }),
  })
  return drawn.map(({ policy, tables, rules, sources, orders, floors, rows }) => {
    const made = tables.map((table, at) => tableOf(table, at))
    const world: World = {
      zone: pick(ZONES, policy[0]),
      sentinels: {
        open: pick([['9999-12-31'], []], policy[1]),
        invalid: pick([['2011-11-11'], []], policy[1]),
      },
      plausibleFrom: pick(['1990-01-01', '2004-06-01'], policy[2]),
      tables: made,
      rows: rowsOf(made, rows, today),
      rules: drawRules(made, rules),
      sources: [],
      orders: [],
      floors: [],
      batch: pick([5000, 3, 1, 2], policy[3]),
    }
    return {
      ...world,
      sources: sourcesOf(world, sources),
      orders: ordersOf(world, orders),
      floors: floorsOf(world, floors),
    }
  })
}

const TYPES: readonly MomentColumn['type'][] = [
  'date',
  'timestamptz',
  'timestamp',
  'seconds',
  'milliseconds',
  'text',
  'uuid7',
]

function tableOf(drawn: readonly number[], at: number): WorldTable {
  const [key, first, second, type, other, zone] = drawn
  const links = [first, second].flatMap((each, number) => linkOf(each ?? 0, at, number, drawn[6]))
  const moments = [type, other].map((each): MomentColumn => {
    const column = pick(TYPES, each)
    const isElsewhere = column === 'timestamp' && pick([false, true], zone)
    return {
      type: column,
      zone: isElsewhere ? pick(['Asia/Kathmandu', 'America/Havana'], zone) : null,
    }
  })
  return { key: pick([...often(3, 'int' as const), 'uuid', 'text', 'pair'], key), links, moments }
}

/** A link to an earlier table, mostly, or to the table itself; the second only now and then. */
function linkOf(drawn: number, at: number, number: number, how = 0): readonly Link[] {
  if (number === 1 && drawn % 3 !== 0) return []
  const itself = at === 0 ? drawn % 3 === 1 : drawn % 7 === 6
  if (at === 0 && !itself) return []
  const to = itself ? at : Math.floor(drawn / 7) % at
  const foreignKey = pick([...often(5, true), false], how + number)
  return [{ to, foreignKey, required: foreignKey && !itself && how % 4 === 1 }]
}

function rowsOf(
  tables: readonly WorldTable[],
  drawn: readonly (readonly number[])[],
  today: Day,
): World['rows'] {
  const all: Row[][] = tables.map(() => [])
  const sorted = drawn.toSorted((one, other) => place(tables, one) - place(tables, other))
  for (const [number, each] of sorted.entries()) {
    const at = place(tables, each)
    const row = rowOf({ tables, all, at, id: number + 1, drawn: each, today })
    if (row !== null) all[at]?.push(row)
  }
  return all.map((rows, at) => rows.map((row) => withLater(tables[at], rows, row, at)))
}

/** Lets some rows refer to rows of their table that come later, so that there are circles. */
function withLater(table: WorldTable | undefined, rows: readonly Row[], row: Row, at: number): Row {
  const up = row.up.map((id, number) => {
    const isOwn = id !== null && id !== 9999 && table?.links[number]?.to === at
    return isOwn && (row.id + id) % 4 === 3 ? pick(rows, row.id * 7 + id).id : id
  })
  return { ...row, up }
}

function place(tables: readonly unknown[], [table = 0]: readonly number[]): number {
  return table % tables.length
}

type RowDraw = {
  readonly tables: readonly WorldTable[]
  readonly all: readonly (readonly Row[])[]
  readonly at: number
  readonly id: number
  readonly drawn: readonly number[]
  readonly today: Day
}

/** Null for a row that would have to name another one, where there is none. */
function rowOf({ tables, all, at, id, drawn, today }: RowDraw): Row | null {
  const table = tables[at]
  if (table === undefined) return null
  const up = table.links.map((link, number) => {
    const choice = drawn[1 + number] ?? 0
    const ids = (all[link.to] ?? []).map((row) => row.id)
    // By its own number: a row may refer to itself, or to one that comes later.
    const possible = link.to === at ? [...ids, id] : ids
    if (!link.required && choice % 6 === 5) return null
    if (!link.foreignKey && choice % 11 === 10) return 9999
    return possible.length === 0 ? null : pick(possible, Math.floor(choice / 6))
  })
  if (table.links.some(({ required }, number) => required && up[number] === null)) return null
  return {
    id,
    up,
    state: pick(['a', 'a', 'b', 'c', null], drawn[3]),
    n: pick([1, 2, 3, 4, null], drawn[4]),
    who: pick(['w1', 'w2', 'w3', 'w4', 'w5', null], drawn[5]),
    gone: pick([...often(4, false), true, null], drawn[8]),
    at: table.moments.map((column, number) => momentOf(column, drawn[6 + number] ?? 0, today)),
  }
}

/** Long over, mostly; with the ends of months, and days on which clocks are turned. */
const OLD = ['2012-02-29', '2011-08-31', '2010-03-28', '2010-10-31', '2013-01-31', '2014-06-15']
/** Of a day in UTC: its ends, and about when it ends elsewhere. */
const SECONDS = [43_200, 0, 86_399, 79_199, 79_200, 82_799, 82_800, 65_699, 65_700, 3600]

function momentOf(column: MomentColumn, drawn: number, today: Day): Moment {
  const kind = drawn % 30
  const rest = Math.floor(drawn / 30)
  const second = pick(SECONDS, rest)
  const time = (day: Day): Moment => ({ kind: 'time', day, second })
  if (kind < 17) return time(readDay(pick(OLD, rest)))
  if (kind < 22) {
    // Where a wall clock means two instants, which of them is the law is not for this test to say.
    const step = column.zone === null ? 1 : 4
    const edge = firstDayNotOver(today, pick(PERIODS, rest))
    return time(edge + step * pick([0, -1, 1, -2], Math.floor(rest / PERIODS.length)))
  }
  switch (kind) {
    case 22:
    case 23:
      return { kind: 'none' }
    case 24:
      return { kind: 'infinity' }
    case 25:
      return pick<Moment>([{ kind: 'minus infinity' }, { kind: 'nonsense' }], rest)
    case 26:
      return time(readDay('9999-12-31'))
    case 27:
      return time(readDay(pick(['1970-01-01', '2004-05-31', '1989-12-31'], rest)))
    case 28:
      return time(readDay('2011-11-11'))
    default:
      return time(today + pick([0, 400, -20], rest))
  }
}

/** A filter, or none; `some` is how often of ten there is one. */
export function filterOf(drawn: number, some: number): Filter | null {
  if (drawn % 10 >= some) return null
  const rest = Math.floor(drawn / 10)
  const filters: readonly Filter[] = [
    { kind: 'is', column: 'state', value: 'a' },
    { kind: 'in', column: 'state', values: ['a', 'b'] },
    { kind: 'not in', column: 'state', values: ['c'] },
    { kind: 'is', column: 'state', value: null },
    { kind: 'not null', column: 'n' },
    { kind: 'between', from: 1, before: 4 },
    {
      kind: 'any',
      parts: [
        { kind: 'is', column: 'n', value: 2 },
        { kind: 'is', column: 'state', value: 'a' },
      ],
    },
    {
      kind: 'all',
      parts: [
        { kind: 'not', part: { kind: 'in', column: 'n', values: [3, 4] } },
        { kind: 'not', part: { kind: 'is', column: 'state', value: 'b' } },
      ],
    },
  ]
  return pick(filters, rest)
}

/** Links that may hold what they name. */
function sourcesOf(world: World, drawn: readonly (readonly number[])[]): World['sources'] {
  const links = world.tables.flatMap((table, at) =>
    table.links.map((link, number) => ({ table: at, link: number, to: link.to })),
  )
  const destroyed = world.rules.flatMap((rule) => [rule.table, ...rule.along])
  const held = links.filter(({ to, table }) => to !== table && destroyed.includes(to))
  return drawn.flatMap(([whether = 0, which = 0, how = 0]) =>
    held.length === 0 || whether % 2 === 0
      ? []
      : [{ table: pick(held, which).table, link: pick(held, which).link, while: filterOf(how, 8) }],
  )
}

/** Floors of tables on which some rule acts, mostly so low that they hold nothing up. */
function floorsOf({ rules }: World, drawn: readonly (readonly number[])[]): World['floors'] {
  const acted = rules.flatMap((rule) => [rule.table, ...rule.along])
  return drawn.flatMap(([whether = 0, which = 0, rows = 0]) =>
    whether % 5 === 0 ? [{ table: pick(acted, which), rows: pick([1, 1, 2, 3, 6], rows) }] : [],
  )
}

function ordersOf(world: World, drawn: readonly (readonly number[])[]): readonly Order[] {
  const all = world.rows.flatMap((rows, table) => rows.map(({ id }) => ({ table, id })))
  return drawn.flatMap(([how = 0, which = 0, rule = 0]): readonly Order[] => {
    if (how % 8 === 7) return [{ scope: 'rule', rule: pick(world.rules, rule).id }]
    if (how % 3 === 1) return [{ scope: 'subject', subject: pick(['w1', 'w2', 'w3'], which) }]
    return how % 3 === 0 || all.length === 0 ? [] : [{ scope: 'row', ...pick(all, which) }]
  })
}
