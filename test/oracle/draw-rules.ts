/** Reads drawn numbers as rules that the program accepts: what cannot be is turned into what can. */
import { PERIODS, filterOf, often, pick } from './draw.ts'
import { isBefore } from './run.ts'
import type { Events, Start, Way, WorldRule, WorldTable } from './world.ts'

export type DrawnRule = readonly number[]

type Tables = readonly WorldTable[]
const MARKED: readonly WorldRule['marked'][] = [null, null, null, 'include', 'only', 'exclude']

type Bare = Omit<WorldRule, 'along' | 'awaited'>

export function drawRules(tables: Tables, drawn: readonly DrawnRule[]): readonly WorldRule[] {
  const bare = drawn.map((each, at) => bareRule(tables, each, at))
  const mayGoAlong = tables.map((_, at) => pick([true, true, false], drawn[0]?.[1 + (at % 3)]))
  return inSomeOrder(tables, withReferences(tables, bare, mayGoAlong))
}

function bareRule(tables: Tables, drawn: DrawnRule, at: number): Bare {
  const [table = 0, where = 0, keep, mode, action, subject, ...start] = drawn
  const governed = table % tables.length
  return {
    id: `r${at}`,
    table: governed,
    where: filterOf(where, 4),
    marked: pick(MARKED, drawn[20]),
    start: startOf(tables, governed, start),
    keep: pick(PERIODS, keep),
    mode: pick([...often(6, 'enforce' as const), 'report'], mode),
    action: pick(['purge', 'purge', 'anonymise'] as const, action),
    subject: pick([false, true, true], subject),
  }
}

function startOf(tables: Tables, governed: number, drawn: DrawnRule): Start {
  const [kind = 0, column = 0, none = 0, count = 0, own = 0, ...events] = drawn
  const ways = waysTo(tables, governed)
  if (kind % 5 < 2 || (ways.length === 0 && kind % 5 < 4))
    return { kind: 'column', column: column % 2 }
  const sources = [0, 1].flatMap((at): readonly Events[] => {
    if (ways.length === 0 || (at === 1 && count % 3 !== 0)) return []
    const { table, way } = pick(ways, events[at * 3])
    const open = kind % 5 < 4 ? filterOf(events[at * 3 + 1] ?? 0, 3) : null
    return [{ table, column: (events[at * 3 + 2] ?? 0) % 2, way, open }]
  })
  const fallback = pick<'report' | 'error' | number>(
    ['report', 'report', 'report', 0, 1, 'error'],
    none,
  )
  const columns = own % 2 === 0 ? [0] : [0, 1]
  return kind % 5 < 4
    ? { kind: 'latest', events: sources, own: [], none: fallback }
    : { kind: 'activity', events: sources, own: columns, none: fallback }
}

type Lead = { readonly table: number; readonly way: Way }

/** Every way in which a row of some table can name a record. */
function waysTo(tables: Tables, governed: number): readonly Lead[] {
  const links = tables.flatMap((table, from) => table.links.map((link, at) => ({ from, at, link })))
  const direct = links.filter(({ link }) => link.to === governed)
  const own = links.filter(({ from, link }) => from === governed && link.foreignKey)
  const all: readonly Lead[] = [
    ...direct.map(({ from, at }): Lead => ({ table: from, way: { kind: 'link', link: at } })),
    ...direct.flatMap(({ from: middle, at: above }) =>
      links
        .filter(({ link }) => link.to === middle)
        .map(({ from, at }): Lead => ({
          table: from,
          way: { kind: 'through', link: at, middle, above },
        })),
    ),
    ...own.flatMap(({ at: mine, link: { to: parent } }) =>
      links
        .filter(({ link, from }) => link.to === parent && link.foreignKey && from !== parent)
        .filter(() => parent !== governed)
        .map(({ from, at }): Lead => ({
          table: from,
          way: { kind: 'parent', link: at, parent, own: mine },
        })),
    ),
    ...tables.map((_, table): Lead => ({ table, way: { kind: 'equal' } })),
  ]
  return all
}

/** Says of every table that refers to a governed one what becomes of its rows; it may need a rule. */
function withReferences(
  tables: Tables,
  rules: readonly Bare[],
  mayGoAlong: readonly boolean[],
): readonly WorldRule[] {
  const claimed = new Set<number>()
  const made: WorldRule[] = []
  for (const rule of rules) {
    const walked = walk(tables, rules, rule, { mayGoAlong, claimed })
    // Once a table needs a rule of its own, all are looked at again.
    if ('needs' in walked) {
      return withReferences(tables, [...rules, plainRule(walked.needs, rules.length)], mayGoAlong)
    }
    for (const table of walked.along) claimed.add(table)
    made.push({ ...rule, ...walked })
  }
  return made
}

type Walk = { readonly mayGoAlong: readonly boolean[]; readonly claimed: ReadonlySet<number> }

function walk(
  tables: Tables,
  rules: readonly Bare[],
  rule: Bare,
  { mayGoAlong, claimed }: Walk,
): Pick<WorldRule, 'along' | 'awaited'> | { readonly needs: number } {
  const going = [rule.table]
  const awaited = new Set<number>()
  for (const parent of going) {
    for (const [at, { links }] of tables.entries()) {
      if (!links.some(({ to, foreignKey }) => foreignKey && to === parent)) continue
      if (rules.some(({ table }) => table === at)) {
        awaited.add(at)
        continue
      }
      if (going.includes(at)) continue
      const isAlone = rules.every(({ id, table }) => id === rule.id || table !== rule.table)
      if (!(mayGoAlong[at] ?? false) || !isAlone || claimed.has(at)) return { needs: at }
      going.push(at)
    }
  }
  const along = going.slice(1)
  const torn = along.find((at) => keysInto(tables, at, going) > 1)
  return torn === undefined ? { along, awaited: [...awaited] } : { needs: torn }
}

function keysInto(tables: Tables, at: number, going: readonly number[]): number {
  const links = tables[at]?.links ?? []
  return links.filter(({ to, foreignKey }) => foreignKey && going.includes(to)).length
}

function plainRule(table: number, at: number): Bare {
  return {
    id: `r${at}`,
    table,
    where: null,
    marked: null,
    start: { kind: 'column', column: 0 },
    keep: pick(PERIODS, at),
    mode: 'enforce',
    action: 'purge',
    subject: false,
  }
}

/** Rules that would wait for each other are made to anonymise, and then to count from their own row. */
function inSomeOrder(tables: Tables, rules: readonly WorldRule[]): readonly WorldRule[] {
  const circle = circleOf(rules)
  if (circle.length === 0) return rules
  const purging = circle.find(({ action }) => action === 'purge')
  const reading = circle.find(({ start }) => start.kind !== 'column')
  const changed = purging ?? reading
  if (changed === undefined) throw new Error('rules wait for each other without a reason')
  const plain: Start = { kind: 'column', column: 0 }
  return inSomeOrder(
    tables,
    rules.map((rule) => {
      if (rule !== changed) return rule
      return purging === undefined ? { ...rule, start: plain } : { ...rule, action: 'anonymise' }
    }),
  )
}

/** What is left once every rule that waits for none of the others is taken away. */
function circleOf(rules: readonly WorldRule[]): readonly WorldRule[] {
  const left = rules.filter((rule) => rules.some((other) => isBefore(other, rule)))
  return left.length === rules.length ? inCircles(left) : circleOf(left)
}

/** Without those that only wait for the others. */
function inCircles(rules: readonly WorldRule[]): readonly WorldRule[] {
  const left = rules.filter((rule) => rules.some((other) => isBefore(rule, other)))
  return left.length === rules.length ? left : inCircles(left)
}
