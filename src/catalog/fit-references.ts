import { printTable, sameTable, type TableName } from '../base/names.ts'
import { tablesRead, type Rule } from '../policy/policy.ts'
import type { Catalog, ForeignKey, Table } from './catalog.ts'
import type { Blocker, Child } from './fitted.ts'
import { findTable, fitKey, isGovernable, type Report } from './fit-table.ts'

export type FittedReferences = {
  readonly children: readonly Child[]
  readonly blockers: readonly Blocker[]
  /** Tables of blockers whose rows no foreign key of the whole table keeps from appearing. */
  readonly unkept: readonly Table[]
}

type Walk = {
  readonly rule: Rule
  readonly catalog: Catalog
  readonly report: Report
  /** The governed table, then every `with_parent` table in the order in which it was found. */
  readonly going: Table[]
  readonly blockers: Blocker[]
  readonly met: Set<string>
}

/**
 * Walks every inbound foreign key of the governed table, and of each table whose rows go along, to
 * the end. An undeclared one refuses the rule: `on delete cascade` would destroy rows that nobody
 * counted, even where our role has no right on their table.
 */
export function fitReferences(
  rule: Rule,
  table: Table,
  catalog: Catalog,
  report: Report,
): FittedReferences {
  const walk: Walk = { rule, catalog, report, going: [table], blockers: [], met: new Set() }
  // `going` grows while it is walked.
  for (let position = 0; position < walk.going.length; position += 1) {
    const parent = walk.going[position]
    if (parent !== undefined) walkInbound(walk, parent, position === 0)
  }
  reportUnmet(walk)
  const unkept = walk.blockers.filter(({ key }) => key.partial).map(({ table: each }) => each)
  return { children: orderChildren(walk), blockers: walk.blockers, unkept }
}

function walkInbound(walk: Walk, parent: Table, isRoot: boolean): void {
  const { rule, catalog, report } = walk
  for (const key of parent.inbound) {
    const name = printTable(key.from)
    const reference = rule.references.find((candidate) => sameTable(candidate.table, key.from))
    const path = ['references', name]
    walk.met.add(name)
    if (reference === undefined) {
      reportUndeclared(key, parent, report)
      continue
    }
    // Rows of a partition without the key are met too, and kept away by closing the whole table.
    if (!key.enforced && !(key.partial && reference.as === 'own_rule')) {
      reportUnenforced(key, report)
      continue
    }
    if (reference.as === 'own_rule' || staysForLater(rule, key.from)) {
      // An anonymised row stays, so nothing that refers to it stands in the way.
      const waiting = findTable(catalog, key.from, path, report)
      const blocks = !isRoot || rule.action.kind === 'purge'
      if (waiting !== undefined && blocks) walk.blockers.push({ key, table: waiting })
      continue
    }
    const child = findTable(catalog, key.from, path, report)
    if (child !== undefined && sameTable(child, rule.table)) {
      reportCycle(walk, [child])
      continue
    }
    if (child === undefined || walk.going.some((table) => sameTable(table, child))) continue
    if (isGovernable(child, rule, path, report)) walk.going.push(child)
  }
}

/** Rows from which a later phase counts stay until that has acted, or it would never be due. */
function staysForLater(rule: Rule, child: TableName): boolean {
  const { phase, action } = rule
  if (phase === null || phase.number === phase.of || action.kind !== 'anonymise') return false
  return tablesRead(rule).some((read) => sameTable(read, child))
}

function reportUndeclared(key: ForeignKey, parent: Table, report: Report): void {
  const name = printTable(key.from)
  report(
    ['references'],
    'reference_undeclared',
    `${name} refers to ${printTable(parent)} (foreign key ${key.name}) and is not declared`,
    `add \`${name}: own_rule\` (its rows have a rule of their own) or \`${name}: with_parent\` (they go along)`,
  )
}

function reportUnenforced(key: ForeignKey, report: Report): void {
  const name = printTable(key.from)
  report(
    ['references', name],
    'foreign_key_not_enforced',
    `foreign key ${key.name} of ${name} is not enforced: rows could appear while their parent goes`,
    key.partial
      ? `declare it on ${name} itself, or give ${name} a rule of its own and write own_rule`
      : 'validate it and enable its triggers, or drop it',
  )
}

function reportUnmet(walk: Walk): void {
  for (const { table } of walk.rule.references) {
    const name = printTable(table)
    // What only a later phase takes along is met there.
    if (
      walk.met.has(name) ||
      walk.rule.references.some((each) => staysForLater(walk.rule, each.table))
    ) {
      continue
    }
    walk.report(
      ['references', name],
      'reference_unused',
      `${name} has no foreign key to ${printTable(walk.rule.table)} or to a table that goes along`,
      'remove it',
    )
  }
}

/** Puts each child after the tables it refers to, so that deleting from the end is child first. */
function orderChildren(walk: Walk): readonly Child[] {
  const [root, ...waiting] = walk.going
  const placed = root === undefined ? [] : [root]
  const children: Child[] = []
  while (waiting.length > 0) {
    const free = waiting.findIndex((table) => keysInto(table, waiting).length === 0)
    const [table] = free < 0 ? [] : waiting.splice(free, 1)
    if (table === undefined) {
      reportCycle(walk, waiting)
      return children
    }
    const key = fitKey(table, ['references', printTable(table)], walk.report)
    const foreignKeys = keysInto(table, placed)
    if (foreignKeys.length > 1) reportTwoParents(walk, table, foreignKeys)
    if (key !== undefined) children.push({ table, key, foreignKeys })
    placed.push(table)
  }
  return children
}

function keysInto(table: Table, targets: readonly Table[]): readonly ForeignKey[] {
  return table.outbound.filter((key) => targets.some((target) => sameTable(target, key.to)))
}

/** A row with two parents would go with the first that is due, while the other one stays. */
function reportTwoParents(walk: Walk, table: Table, keys: readonly ForeignKey[]): void {
  walk.report(
    ['references', printTable(table)],
    'child_with_two_parents',
    `${printTable(table)} refers by ${keys.map((key) => key.name).join(' and ')} to rows that go: one of its parents could stay`,
    'give it a rule of its own; this version lets a row go along with one parent only',
  )
}

function reportCycle(walk: Walk, tables: readonly Table[]): void {
  walk.report(
    ['references'],
    'references_cycle',
    `${tables.map((table) => printTable(table)).join(', ')} refer to each other or to themselves: no child is first`,
    'this version follows with_parent through trees only; give one of them a rule of its own',
  )
}
