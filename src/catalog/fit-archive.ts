/** The archives of a rule that blocks: tables like those they take rows from, which nobody else reads. */
import { printTable, sameTable, type TableName } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { archivesOf, inArchive } from '../policy/archives.ts'
import type { PolicySet, Rule } from '../policy/policy.ts'
import { columnOf, rowKey, type Catalog, type ForeignKey, type Table } from './catalog.ts'
import { fitStart } from './fit-start.ts'
import { isGovernable, type Report } from './fit-table.ts'
import type { Child, FittedArchive, GovernedRule, Move } from './fitted.ts'
import { quoted } from './needs.ts'
import { strataOf } from './strata.ts'

type Context = {
  readonly fitted: GovernedRule & { readonly children: readonly Child[] }
  readonly catalog: Catalog
  readonly report: Report
}

/** Fits where a blocking rule moves rows; null for any other rule, and undefined after a report. */
export function fitArchive(context: Context): FittedArchive | null | undefined {
  const { fitted, catalog, report } = context
  const { rule, table, key, children } = fitted
  if (rule.action.kind !== 'block') return null
  const { archive, along } = rule.action
  const circle = strataOf([table, ...children.map((child) => child.table)]).find(refersToItself)
  if (circle !== undefined) {
    const names = circle.map((each) => printTable(each)).join(', ')
    const message = `rows of ${names} refer to each other: no order is known in which to move them`
    report(['then', 'block'], 'archive_circle', message, 'purge or anonymise them instead')
    return undefined
  }
  const moves: Move[] = []
  for (const each of [{ table, key, foreignKeys: [] }, ...children]) {
    const isRoot = each.table === table
    const name = isRoot ? archive : along.find((pair) => sameTable(pair.table, each.table))?.archive
    // What goes along without an archive is a problem of the policy alone (policy/archives.ts).
    if (name === undefined) return undefined
    const place = isRoot ? ['archive'] : ['along', printTable(each.table)]
    const placed = { name, path: ['then', 'block', ...place] }
    const to = fitOne(context, each, placed, moves)
    if (to === undefined) return undefined
    moves.push({ from: each.table, to, key: each.key })
  }
  reportReferred(moves, report)
  const [there] = inArchive(rule, rule)
  const to = moves[0]?.to
  if (there === undefined || to === undefined) return undefined
  const start = fitStart({ rule: there, table: to, catalog, report })
  if (start === undefined) return undefined
  return { moves, started: { ...fitted, rule: there, table: to, start } }
}

function refersToItself(stratum: readonly Table[]): boolean {
  return stratum.some((table) =>
    table.outbound.some((key) => stratum.some((other) => sameTable(other, key.to))),
  )
}

type Taken = Pick<Child, 'table' | 'key' | 'foreignKeys'>

function fitOne(
  { fitted, catalog, report }: Context,
  taken: Taken,
  { name, path }: { readonly name: TableName; readonly path: readonly string[] },
  above: readonly Move[],
): Table | undefined {
  const from = taken.table
  const to = catalog.tables.get(printTable(name))
  if (to === undefined) {
    const parents = above.map((move) => ({ table: move.from, archive: move.to }))
    const remedy = createArchive(taken, name, parents).join(' ')
    report(path, 'archive_missing', `there is no table ${printTable(name)}`, remedy)
    return undefined
  }
  if (!isGovernable(to, { ...fitted.rule, inheritance: null }, path, report)) return undefined
  const printed = printTable(to)
  const differs = whatDiffers(from, to)
  if (differs !== null) {
    const remedy = `an archive has the columns and the key of its table, and nothing that fires: alter ${printed}`
    report(path, 'archive_differs', `${printed} ${differs}`, remedy)
    return undefined
  }
  for (const key of taken.foreignKeys) {
    if (key.logical) continue
    const parent = above.find((move) => sameTable(move.from, key.to))?.to
    if (parent === undefined || isMirrored(key, to, parent)) continue
    const message = `${printed} does not refer to ${printTable(parent)} as ${printTable(from)} does to ${printTable(key.to)}`
    report(path, 'archive_foreign_key_missing', message, foreignKey(to, key, parent))
  }
  return to
}

/** What makes a table no archive of the other; null if nothing does. */
function whatDiffers(from: Table, to: Table): string | null {
  const missing = from.columns.filter(({ name }) => columnOf(to, name) === undefined)
  if (missing.length > 0) return `has no column ${missing.map(({ name }) => name).join(', ')}`
  const more = to.columns.filter(({ name }) => columnOf(from, name) === undefined)
  if (more.length > 0) return `has a column ${more.map(({ name }) => name).join(', ')} of its own`
  const other = to.columns.find(
    ({ name, typeText, type }) =>
      columnOf(from, name)?.typeText !== typeText ||
      columnOf(from, name)?.type.schema !== type.schema,
  )
  if (other !== undefined) {
    return `has ${other.name} of type ${other.typeText}, not ${columnOf(from, other.name)?.typeText ?? ''}`
  }
  const generated = to.columns.find((column) => column.generated)
  if (generated !== undefined) return `generates ${generated.name} by itself`
  const keys = [from, to].map((table) => JSON.stringify(rowKey(table)?.columns))
  if (keys[0] !== keys[1]) return `is not named by ${rowKey(from)?.columns.join(', ') ?? ''}`
  if (to.triggers.length > 0) {
    return `has triggers: ${to.triggers.map(({ name }) => name).join(', ')}`
  }
  if (to.ancestors.length > 0)
    return `inherits from ${to.ancestors.join(', ')}, which shows its rows`
  return null
}

function isMirrored(key: ForeignKey, to: Table, parent: Table): boolean {
  return to.outbound.some(
    (own) =>
      own.enforced &&
      sameTable(own.to, parent) &&
      JSON.stringify([own.fromColumns, own.toColumns]) ===
        JSON.stringify([key.fromColumns, key.toColumns]),
  )
}

/** Rows of the application that refer to an archive would read it. */
function reportReferred(moves: readonly Move[], report: Report): void {
  for (const { to } of moves) {
    for (const key of to.inbound) {
      if (moves.some((move) => sameTable(move.to, key.from))) continue
      const message = `${printTable(key.from)} refers to ${printTable(to)} (foreign key ${key.name})`
      report(
        ['then', 'block'],
        'archive_referenced',
        message,
        'drop it: nothing refers to an archive',
      )
    }
  }
}

/** The SQL that makes an archive; not what only its owner decides: who may read it. */
export function createArchive(
  { table, foreignKeys }: { readonly table: Table; readonly foreignKeys: readonly ForeignKey[] },
  archive: TableName,
  parents: readonly { readonly table: TableName; readonly archive: TableName }[],
): readonly string[] {
  const name = quotedTable(archive)
  return [
    `create schema if not exists ${quoted(archive.schema)};`,
    `create table ${name} (like ${quotedTable(table)});`,
    `alter table ${name} add primary key (${list(rowKey(table)?.columns ?? [])});`,
    ...foreignKeys.flatMap((each) => {
      const parent = parents.find((pair) => sameTable(pair.table, each.to))?.archive
      return parent === undefined ? [] : [foreignKey(archive, each, parent)]
    }),
    `revoke all on ${name} from public;`,
  ]
}

function foreignKey(from: TableName, key: ForeignKey, to: TableName): string {
  return `alter table ${quotedTable(from)} add foreign key (${list(key.fromColumns)}) references ${quotedTable(to)} (${list(key.toColumns)});`
}

function quotedTable({ schema, name }: TableName): string {
  return `${quoted(schema)}.${quoted(name)}`
}

function list(columns: readonly string[]): string {
  return columns.map((column) => quoted(column)).join(', ')
}

/** Roles that read an archive and reach its table: an archive that the application reads is none. */
export function openArchives(
  rule: Rule,
  moves: readonly Move[],
  { readers }: Pick<Catalog, 'readers'>,
): readonly Problem[] {
  return moves.flatMap(({ from, to }) => {
    const name = printTable(to)
    const who = readers.get(name)
    if (who !== undefined && who.length === 0) return []
    const said = who?.join(', ') ?? 'somebody whom nobody asked for'
    return [
      rule.source.problem(['then', 'block'], {
        code: 'archive_open',
        message: `${said} can read ${name} and reach ${printTable(from)}: what the application reads is not blocked`,
        remedy: `revoke all on ${name} from ${said}; or take from them the roles by which they have the right`,
      }),
    ]
  })
}

/** The SQL that makes each archive which is not there yet; empty if none is missing. */
export function missingArchives(set: PolicySet, catalog: Catalog): string {
  const pairs = archivesOf(set.rules)
  const lines = pairs.flatMap(({ table: name, archive }) => {
    const table = catalog.tables.get(printTable(name))
    if (table === undefined || catalog.tables.has(printTable(archive))) return []
    const foreignKeys = table.outbound.filter((key) =>
      pairs.some((pair) => sameTable(pair.table, key.to)),
    )
    return [
      '',
      `-- the archive of ${printTable(table)}`,
      ...createArchive({ table, foreignKeys }, archive, pairs),
    ]
  })
  if (lines.length === 0) return ''
  const head =
    '-- Archives that are missing. Let nobody read them who reaches the tables; then run grants again.'
  return `${[head, ...lines].join('\n')}\n`
}
