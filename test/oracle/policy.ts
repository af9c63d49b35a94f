/** A world's rules and holds as a policy file; JSON is YAML too. */
import { keyColumns, linkColumns } from './sql.ts'
import type { Events, Filter, Start, World, WorldRule, WorldTable } from './world.ts'

export function policyOf(world: World, schema: string, ruleId: (id: string) => string): string {
  const { zone, sentinels, plausibleFrom, batch } = world
  const name = (table: number): string => `${schema}.t${table}`
  const context = { world, name }
  return JSON.stringify({
    version: 1,
    policy: schema,
    owner: 'nobody',
    timezone: zone,
    sentinels,
    plausible_from: plausibleFrom,
    defaults: {
      limits: { max_rows: 1_000_000, max_percent: 100 },
      batch: { rows: batch },
      pace: { share: 100 },
    },
    ...(world.sources.length === 0
      ? {}
      : { holds: world.sources.map((each) => holdsOf(context, each)) }),
    ...(world.floors.length === 0
      ? {}
      : {
          floors: world.floors.map(({ table, rows }) => ({
            table: name(table),
            keep_at_least: rows,
          })),
        }),
    rules: world.rules.map((rule) => ({ ...ruleOf(context, rule), id: ruleId(rule.id) })),
  })
}

type Context = { readonly world: World; readonly name: (table: number) => string }

function tableOf({ world }: Context, at: number): WorldTable {
  const table = world.tables[at]
  if (table === undefined) throw new Error(`there is no t${at}`)
  return table
}

function holdsOf(context: Context, { table, link, while: condition }: World['sources'][number]) {
  return {
    table: context.name(table),
    covers: { [context.name(linkOf(context, table, link).to)]: pairs(context, table, link) },
    ...(condition === null ? {} : { while: filterOf(condition) }),
  }
}

function linkOf(context: Context, table: number, at: number) {
  const link = tableOf(context, table).links[at]
  if (link === undefined) throw new Error(`t${table} has no link ${at}`)
  return link
}

/** Columns of the link, and the columns of the key that they name. */
function pairs(context: Context, table: number, at: number): Readonly<Record<string, string>> {
  const link = linkOf(context, table, at)
  const own = keyColumns(tableOf(context, link.to))
  const columns = linkColumns(context.world, link, at)
  return Object.fromEntries(columns.map((column, part) => [column, own[part] ?? '']))
}

function ruleOf(context: Context, rule: WorldRule) {
  const { table, where, marked, keep, mode, action } = rule
  const references = [
    ...rule.along.map((each) => [context.name(each), 'with_parent'] as const),
    ...rule.awaited.map((each) => [context.name(each), 'own_rule'] as const),
  ]
  const fate = action === 'purge' ? 'purge' : { anonymise: masksOf(context, table) }
  return {
    table: context.name(table),
    ...(rule.subject ? { subject: 'who' } : {}),
    ...(where === null ? {} : { where: filterOf(where) }),
    ...(marked === null ? {} : { soft_deleted: { column: 'gone', rows: marked } }),
    start: startOf(context, table, rule.start),
    keep: `P${keep.count}${keep.unit.slice(0, 1).toUpperCase()}`,
    mode,
    ...(references.length === 0 ? {} : { references: Object.fromEntries(references) }),
    // oxlint-disable-next-line unicorn/no-thenable -- the word of the policy language
    then: fate,
  }
}

function masksOf(context: Context, at: number): Readonly<Record<string, unknown>> {
  const { world } = context
  const table = tableOf(context, at)
  const linked = table.links.flatMap((link, number) => linkColumns(world, link, number))
  const kept = [
    'state',
    'n',
    'who',
    'gone',
    ...linked,
    ...table.moments.map((_, number) => `at${number}`),
  ]
  return { ...Object.fromEntries(kept.map((column) => [column, { keep: 'x' }])), name: 'nothing' }
}

function startOf(context: Context, table: number, start: Start): unknown {
  if (start.kind === 'column') return momentOf(context, table, start.column)
  const none =
    typeof start.none === 'number'
      ? { use: `at${start.none}`, ...readingOf(tableOf(context, table).moments[start.none]) }
      : start.none
  const list = [
    ...start.own.map((column) => momentOf(context, table, column)),
    ...start.events.map((events) => eventsOf(context, table, events)),
  ]
  return { [start.kind === 'latest' ? 'latest' : 'last_activity']: list, none }
}

function momentOf(context: Context, table: number, at: number): Readonly<Record<string, string>> {
  const column = tableOf(context, table).moments[at]
  return { column: `at${at}`, ...readingOf(column) }
}

function readingOf(
  column: WorldTable['moments'][number] | undefined,
): Readonly<Record<string, string>> {
  if (column === undefined) return {}
  if (column.type === 'text') return { format: 'YYYY-MM-DD' }
  if (column.type === 'timestamp') return column.zone === null ? {} : { timezone: column.zone }
  return ['seconds', 'milliseconds', 'uuid7'].includes(column.type) ? { unit: column.type } : {}
}

function eventsOf(context: Context, table: number, { column, way, open, ...events }: Events) {
  const read = tableOf(context, events.table).moments[column]
  return {
    column: `${context.name(events.table)}.at${column}`,
    ...readingOf(read),
    ...wayOf(context, table, events.table, way),
    ...(open === null ? {} : { open: filterOf(open) }),
  }
}

function wayOf(context: Context, table: number, from: number, way: Events['way']) {
  switch (way.kind) {
    case 'link':
      return { by: pairs(context, from, way.link) }
    case 'through': {
      const below = Object.entries(pairs(context, from, way.link))
      const step = below.map(([column, own]) => [column, `${context.name(way.middle)}.${own}`])
      return { by: [Object.fromEntries(step), pairs(context, way.middle, way.above)] }
    }
    case 'parent': {
      const [read, own] = [linkOf(context, from, way.link), linkOf(context, table, way.own)]
      const mine = linkColumns(context.world, own, way.own)
      const by = linkColumns(context.world, read, way.link).map((each, part) => [each, mine[part]])
      return { by: Object.fromEntries(by), via: context.name(way.parent) }
    }
    case 'equal':
      return { by: { n: 'n' } }
    default:
      return way satisfies never
  }
}

function filterOf(filter: Filter): Readonly<Record<string, unknown>> {
  switch (filter.kind) {
    case 'is':
      return { [filter.column]: filter.value }
    case 'in':
      return { [filter.column]: filter.values }
    case 'not in':
      return { [filter.column]: { not: filter.values } }
    case 'not null':
      return { [filter.column]: { not: null } }
    case 'between':
      return { n: { gte: filter.from, lt: filter.before } }
    case 'any':
    case 'all':
      return { [filter.kind]: filter.parts.map((part) => filterOf(part)) }
    case 'not':
      return { not: filterOf(filter.part) }
    default:
      return filter satisfies never
  }
}
