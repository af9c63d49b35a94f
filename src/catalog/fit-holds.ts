/** Holds as the catalog lets them be asked for: what may hold a row, and the rows above it. */
import { printTable, sameTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import {
  columnsRead,
  takesAway,
  tiesOf,
  type HoldCover,
  type HoldSource,
  type PolicySet,
} from '../policy/policy.ts'
import {
  columnOf,
  rowKey,
  type Catalog,
  type Column,
  type ForeignKey,
  type Table,
} from './catalog.ts'
import { isComparable } from './fit-equality.ts'
import { findColumn, findTable, type Report } from './fit-table.ts'
import { isWhole } from './partitions.ts'
import type {
  Above,
  Cover,
  CoverSource,
  FittedRule,
  GovernedRule,
  Held,
  Holding,
} from './fitted.ts'

/** A source on one of the tables that it covers. */
type Covering = { readonly covered: Table; readonly source: CoverSource }

type Unheld = GovernedRule & Pick<FittedRule, 'children' | 'detached' | 'archive'>

export type FittedHolds = Pick<FittedRule, 'held' | 'holding'>

/** Fits every source of the set, or reports what does not fit. */
export function fitHoldSources(
  set: PolicySet,
  catalog: Catalog,
  problems: Problem[],
): readonly Covering[] {
  return set.holds.flatMap((hold) => {
    const report: Report = (path, code, message, remedy) => {
      const said = { code, message, ...(remedy === undefined ? {} : { remedy }) }
      problems.push(hold.source.problem(path, said))
    }
    const table = findTable(catalog, hold.table, ['table'], report)
    if (table === undefined || !isReadable(table, report)) return []
    for (const name of columnsRead(hold.while)) {
      const column = findColumn(table, name, ['while', name], report)
      if (column !== undefined) requireComparable(table, column, ['while', name], report)
    }
    return hold.covers.flatMap((cover) => fitCover({ hold, cover, table, catalog, report }))
  })
}

/** A row that cannot be seen or closed to writers would let go what it holds. */
function isReadable(table: Table, report: Report): boolean {
  const printed = printTable(table)
  if (table.kind !== 'table' && table.kind !== 'partitioned table') {
    const message = `${printed} is a ${table.kind}: it cannot be closed to writers while a batch decides`
    report(['table'], 'hold_source_not_a_table', message, 'name the table below it')
    return false
  }
  if (!isWhole(table, ['table'], report)) return false
  if (table.descendants.length > 0) {
    const message = `${table.descendants.join(', ')} inherit from ${printed}: a row that holds could stand in one of them`
    report(['table'], 'source_inherited', message, 'hold from a table without heirs')
    return false
  }
  if (table.rowSecurity) {
    const message = `row security on ${printed} applies to our role: a row that holds could be hidden`
    report(['table'], 'row_security_active', message, 'give the role BYPASSRLS')
    return false
  }
  return true
}

type CoverContext = {
  readonly hold: HoldSource
  readonly cover: HoldCover
  readonly table: Table
  readonly catalog: Catalog
  readonly report: Report
}

function fitCover(context: CoverContext): readonly Covering[] {
  const { hold, cover, table, catalog, report } = context
  const path = ['covers', printTable(cover.table)]
  const covered = findTable(catalog, cover.table, path, report)
  if (covered === undefined) return []
  const links = cover.links.flatMap((link) => {
    const source = findColumn(table, link.source, path, report)
    const own = ownColumn(covered, link.own, path, report)
    if (source === undefined || own === undefined) return []
    if (!sameKind(source, own)) {
      const message = `${printTable(table)}.${source.name} is ${source.typeText}, ${printTable(covered)}.${own.name} is ${own.typeText}`
      report(path, 'link_types_differ', message, 'link columns of one type')
      return []
    }
    requireComparable(table, source, path, report)
    requireComparable(covered, own, path, report)
    return [{ source, own }]
  })
  return [{ covered, source: { table, links, while: hold.while } }]
}

function ownColumn(
  covered: Table,
  name: string | null,
  path: readonly string[],
  report: Report,
): Column | undefined {
  if (name !== null) return findColumn(covered, name, path, report)
  const [only, ...more] = rowKey(covered)?.columns ?? []
  const column = only === undefined || more.length > 0 ? undefined : columnOf(covered, only)
  if (column === undefined) {
    const message = `${printTable(covered)} has no key of one column`
    report(path, 'hold_key_not_single', message, 'write a mapping: { column here: its column }')
  }
  return column
}

function sameKind(one: Column, other: Column): boolean {
  const integers = new Set(['int2', 'int4', 'int8'])
  return (
    one.baseType === other.baseType || (integers.has(one.baseType) && integers.has(other.baseType))
  )
}

function requireComparable(
  table: Table,
  column: Column,
  path: readonly string[],
  report: Report,
): void {
  if (isComparable(column)) return
  const message = `${printTable(table)}.${column.name} is ${column.typeText}, which the program cannot compare safely`
  report(path, 'equality_unknown', message, 'link and filter by types that PostgreSQL itself has')
}

/** Everything by which a row of the rule, or one that goes along with it, may be held. */
export function holdsOf(
  fitted: Unheld,
  all: readonly Unheld[],
  coverings: readonly Covering[],
  catalog: Catalog,
): FittedHolds {
  const context = { all, coverings, catalog }
  const own = { ...coverOf(context, fitted.table, fitted.key), along: null }
  // A row that is detached changes too: held, it keeps the row that it refers to.
  const along = [...fitted.children, ...fitted.detached].map((child): Held => {
    const cover = coverOf(context, child.table, child.key)
    // Those of a child that lead to rows which go with it are asked for at those rows.
    return { ...cover, along: child, above: aboveOf(context, child.table, child.foreignKeys) }
  })
  const held = [{ ...own, above: aboveOf(context, fitted.table, []) }, ...along]
  const going = [
    ...(takesAway(fitted.rule) ? [fitted.table] : []),
    ...fitted.children.map((child) => child.table),
  ]
  return { held, holding: going.flatMap((table) => holdingOf(table, coverings)) }
}

/** The sources whose rows stand in `table`: they stay as long as what they hold is there. */
function holdingOf(table: Table, coverings: readonly Covering[]): readonly Holding[] {
  return coverings
    .filter(({ source }) => sameTable(source.table, table))
    .map(({ covered, source }) => ({ on: table, covered, source }))
}

type Context = {
  readonly all: readonly Unheld[]
  readonly coverings: readonly Covering[]
  readonly catalog: Catalog
}

function coverOf(context: Context, table: Table, key: Cover['key']): Cover {
  const rules = context.all.filter((each) => sameTable(each.table, table)).map(({ rule }) => rule)
  return {
    table,
    key,
    rules,
    formerly: formerlyOf(context, table),
    subjects: [...new Set(rules.flatMap(({ subject }) => subject))],
    sources: context.coverings
      .filter(({ covered }) => sameTable(covered, table))
      .map(({ source }) => source),
  }
}

/** The rows that a row of `table` refers to by references that some rule declares, to the end. */
function aboveOf(context: Context, table: Table, walked: readonly ForeignKey[]): readonly Above[] {
  const declared = declaredKeys(context, table)
  const ownKeys = declared.filter(({ from, to }) => sameTable(from, to))
  return declared.flatMap((foreignKey): readonly Above[] => {
    if (walked.some((known) => sameKey(known, foreignKey))) return []
    const repeats = sameTable(foreignKey.from, foreignKey.to) ? ownKeys : []
    // All keys of a table to itself are one step, however they take turns.
    if (repeats.length > 0 && foreignKey !== repeats[0]) return []
    const to = context.catalog.tables.get(printTable(foreignKey.to))
    const key = to === undefined ? undefined : keyOf(to)
    if (to === undefined || key === undefined) return []
    const cover = coverOf(context, to, key)
    const above = aboveOf(context, to, [...walked, foreignKey, ...repeats])
    const moves = above.length > 0 || repeats.length > 0 || canMove(cover, foreignKey)
    return [{ ...cover, foreignKey, repeats, above, moves }]
  })
}

/** The table in which rows of an archive stood before. */
function formerlyOf({ all }: Pick<Context, 'all'>, table: Table): Table | null {
  const moves = all.flatMap(({ archive }) => archive?.moves ?? [])
  return moves.find(({ to }) => sameTable(to, table))?.from ?? null
}

/**
 * Foreign keys of `table` into a table whose rules say what becomes of its rows. A row in an archive
 * still means the rows that it referred to, though nothing keeps those.
 */
function declaredKeys({ all }: Context, table: Table): readonly ForeignKey[] {
  const formerly = formerlyOf({ all }, table)
  const known = table.outbound.map((key) => JSON.stringify(key.fromColumns))
  const lost = (formerly?.outbound ?? [])
    .filter((key) => !known.includes(JSON.stringify(key.fromColumns)))
    .map((key) => ({ ...key, from: table, enforced: false }))
  return [...table.outbound, ...lost].filter((key) =>
    all.some(
      (each) =>
        tiesOf(each.rule).some((tie) =>
          [table, formerly].some((own) => own !== null && sameTable(tie.table, own)),
        ) && [each, ...each.children].some((going) => sameTable(going.table, key.to)),
    ),
  )
}

function sameKey(one: ForeignKey, other: ForeignKey): boolean {
  return one.name === other.name && sameTable(one.from, other.from) && sameTable(one.to, other.to)
}

function keyOf(table: Table): Cover['key'] | undefined {
  return rowKey(table)?.columns.flatMap((name) => {
    const column = columnOf(table, name)
    return column === undefined ? [] : [{ name, type: column.type }]
  })
}

/**
 * True if a hold on the row may come or go by a change of its columns. Those that the foreign key
 * refers to stay as long as the row that refers to it is locked.
 */
function canMove(cover: Cover, foreignKey: ForeignKey): boolean {
  if (!foreignKey.enforced) return true
  return readColumns(cover).some((column) => !foreignKey.toColumns.includes(column))
}

/** The columns of the covered table that a hold is recognised by, besides its key. */
export function readColumns({ rules, subjects, sources }: Cover): readonly string[] {
  return [
    ...subjects,
    ...rules.flatMap(({ where }) => columnsRead(where)),
    ...sources.flatMap(({ links }) => links.map(({ own }) => own.name)),
  ]
}

/** Every row above, at any depth. */
export function everyAbove(above: readonly Above[]): readonly Above[] {
  return above.flatMap((each) => [each, ...everyAbove(each.above)])
}

/** The tables that decide whether a row is held, and those of them that are closed to writers. */
export function holdTables({ held }: Pick<FittedRule, 'held'>): {
  readonly reached: readonly Table[]
  readonly closed: readonly Table[]
} {
  const covers: readonly Cover[] = held.flatMap((each) => [each, ...everyAbove(each.above)])
  const closed = covers.flatMap(({ sources }) => sources.map(({ table }) => table))
  return { reached: [...covers.map(({ table }) => table), ...closed], closed: distinct(closed) }
}

function distinct(tables: readonly Table[]): readonly Table[] {
  return [...new Map(tables.map((table) => [printTable(table), table])).values()]
}
