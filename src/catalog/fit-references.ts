import { printTable, sameTable, type TableName } from '../base/names.ts'
import {
  tablesRead,
  takesAway,
  tiesOf,
  type LogicalLink,
  type ReferenceKind,
  type Rule,
} from '../policy/policy.ts'
import type { Catalog, ForeignKey, Table } from './catalog.ts'
import type { Child, Declared, FittedRule, Referral } from './fitted.ts'
import { fitDetach, type Decided } from './fit-detach.ts'
import { fitLogical } from './fit-logical.ts'
import { findTable, fitKey, isGovernable, type Report } from './fit-table.ts'
import { strataOf } from './strata.ts'

export type FittedReferences = Pick<
  FittedRule,
  'children' | 'together' | 'detached' | 'blockers' | 'declared'
>

type Path = readonly (string | number)[]

type Walk = {
  readonly rule: Rule
  readonly catalog: Catalog
  readonly report: Report
  readonly decided: readonly Decided[]
  /** The governed table, then every `with_parent` table in the order in which it was found. */
  readonly going: Table[]
  /** In the order in which they were found. */
  readonly declared: Declared[]
  readonly met: Set<string>
}

export type ReferenceContext = Pick<Walk, 'rule' | 'catalog' | 'report' | 'decided'> & {
  readonly table: Table
}

/**
 * Walks every inbound foreign key of the governed table, and of each table whose rows go along, to
 * the end, and every logical link. A foreign key that is not declared refuses the rule: `on delete
 * cascade` would destroy rows that nobody counted, even where our role has no right on their table.
 */
export function fitReferences({ table, ...context }: ReferenceContext): FittedReferences {
  const walk: Walk = {
    ...context,
    going: [table],
    declared: [],
    met: new Set(),
  }
  // `going` grows while it is walked.
  for (const parent of walk.going) {
    for (const key of parent.inbound) walkKey(walk, key, parent)
    for (const [at, link] of walk.rule.logical.entries()) {
      if (sameTable(link.to, parent)) walkLink(walk, link, ['logical', at], parent)
    }
  }
  reportUnmet(walk)
  return {
    children: childrenOf(walk, table),
    together: keysFrom(walk, table, 'with_parent'),
    detached: detachedOf(walk),
    blockers: walk.declared.filter((each) => mayBlock(each, walk.rule)),
    declared: walk.declared,
  }
}

function walkKey(walk: Walk, key: ForeignKey, parent: Table): void {
  const { rule, report } = walk
  const name = printTable(key.from)
  const reference = rule.references.find((candidate) => sameTable(candidate.table, key.from))
  walk.met.add(`references ${name}`)
  if (reference === undefined) {
    reportUndeclared(key, parent, report)
    return
  }
  const stays = reference.as === 'own_rule' || reference.as === 'block'
  // Rows of a partition without the key are met too, and kept away by closing the whole table.
  if (!key.enforced && !(key.partial && stays)) {
    reportUnenforced(key, report)
    return
  }
  take(walk, { ...key, logical: false, filter: null }, reference.as, ['references', name])
}

function walkLink(walk: Walk, link: LogicalLink, path: Path, parent: Table): void {
  walk.met.add(path.join(' '))
  const key = fitLogical({ link, to: parent, path, ...walk })
  if (key !== undefined) take(walk, key, link.as, path)
}

/** Takes up what the policy says of the rows that refer by `key`. */
function take(walk: Walk, key: Referral, said: ReferenceKind, path: Path): void {
  const { rule, catalog, report } = walk
  const as = said === 'with_parent' && staysFor(rule, key) ? 'own_rule' : said
  const table = findTable(catalog, key.from, path, report)
  if (table === undefined) return
  switch (as) {
    case 'own_rule':
    case 'block':
      if (sameTable(table, rule.table) && !sameTable(key.to, rule.table)) {
        return reportOwnParent(walk, key, path)
      }
      break
    case 'detach':
      if (!fitDetach({ ...walk, table, key, path })) return
      break
    case 'with_parent': {
      const isKnown = walk.going.some((each) => sameTable(each, table))
      if (!isKnown && !isGovernable(table, rule, path, report)) return
      if (!isKnown) walk.going.push(table)
      break
    }
    default:
      return as satisfies never
  }
  walk.declared.push({ key, table, as })
}

/** In a phase that leaves the record, rows stay that go along with it in a later one. */
function staysFor(rule: Rule, { from, to }: Referral): boolean {
  const isOwn = sameTable(from, rule.table) && sameTable(to, rule.table)
  return staysForLater(rule, from) || (isOwn && !takesAway(rule))
}

/** Rows from which a later phase counts stay until that has acted, or it would never be due. */
function staysForLater(rule: Rule, child: TableName): boolean {
  const { phase, action } = rule
  if (phase === null || phase.number === phase.of || action.kind !== 'anonymise') return false
  return tablesRead(rule).some((read) => sameTable(read, child))
}

/** An anonymised row stays, so that a row with a rule of its own may go on referring to it. */
function mayBlock({ key, as }: Declared, rule: Rule): boolean {
  if (as === 'block') return true
  return as === 'own_rule' && (takesAway(rule) || !sameTable(key.to, rule.table))
}

function reportUndeclared(key: ForeignKey, parent: Table, report: Report): void {
  const name = printTable(key.from)
  report(
    ['references'],
    'reference_undeclared',
    `${name} refers to ${printTable(parent)} (foreign key ${key.name}) and is not declared`,
    `add \`${name}: own_rule\` (its rows have a rule of their own), \`with_parent\` (they go along), \`detach\` (their link becomes null) or \`block\` (the record stays)`,
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
      : 'validate it and enable its triggers, or drop it and declare the link under `logical`',
  )
}

/** The record itself refers to what goes along with it, and would wait for itself. */
function reportOwnParent({ rule, report }: Walk, key: Referral, path: Path): void {
  const name = printTable(rule.table)
  report(
    path,
    'reference_blocks_itself',
    `${name} refers to ${printTable(key.to)}, which goes along with it (${key.name}): a record would wait for itself`,
    `write \`${name}: detach\` or \`${name}: with_parent\``,
  )
}

function reportUnmet({ rule, met, report }: Walk): void {
  // What only a later phase takes along is met there.
  if (tiesOf(rule).some((tie) => staysForLater(rule, tie.table))) return
  for (const { table } of rule.references) {
    const name = printTable(table)
    if (met.has(`references ${name}`)) continue
    report(
      ['references', name],
      'reference_unused',
      `${name} has no foreign key to ${printTable(rule.table)} or to a table that goes along`,
      'remove it, or declare the link under `logical`',
    )
  }
  for (const [at, { to }] of rule.logical.entries()) {
    if (met.has(`logical ${at}`)) continue
    report(
      ['logical', at, 'to'],
      'reference_unused',
      `${printTable(to)} is neither ${printTable(rule.table)} nor a table that goes along`,
      'remove it, or name the table whose rows are referred to',
    )
  }
}

/** Puts each child after the tables it refers to, so that deleting from the end is child first. */
function childrenOf(walk: Walk, root: Table): readonly Child[] {
  const children = walk.going.filter((table) => !sameTable(table, root))
  const ordered = strataOf([root, ...children]).flat()
  return ordered.flatMap((table): readonly Child[] => {
    if (sameTable(table, root)) return []
    const path = placeOf(walk, table)
    const key = fitKey(table, path, walk.report)
    const foreignKeys = keysFrom(walk, table, 'with_parent')
    return key === undefined ? [] : [{ table, key, foreignKeys }]
  })
}

function detachedOf(walk: Walk): readonly Child[] {
  const detached = walk.declared.filter(({ as }) => as === 'detach').map(({ table }) => table)
  const tables = [...new Map(detached.map((table) => [printTable(table), table])).values()]
  return tables.flatMap((table): readonly Child[] => {
    const key = fitKey(table, placeOf(walk, table), walk.report)
    return key === undefined ? [] : [{ table, key, foreignKeys: keysFrom(walk, table, 'detach') }]
  })
}

/** Where the policy speaks of the table: a problem of it belongs there. */
function placeOf({ rule }: Walk, table: TableName): Path {
  const isNamed = rule.references.some((reference) => sameTable(reference.table, table))
  const at = rule.logical.findIndex((link) => sameTable(link.table, table))
  return isNamed ? ['references', printTable(table)] : ['logical', at]
}

/** Two foreign keys over the same columns say one thing twice. */
function keysFrom({ declared }: Walk, table: TableName, kind: ReferenceKind): readonly Referral[] {
  const keys = declared.filter(({ key, as }) => as === kind && sameTable(key.from, table))
  const spelled = ({ from, to, fromColumns, toColumns, filter }: Referral): string =>
    JSON.stringify([from, to, fromColumns, toColumns, filter?.condition ?? null])
  return [...new Map(keys.map(({ key }) => [spelled(key), key])).values()]
}
