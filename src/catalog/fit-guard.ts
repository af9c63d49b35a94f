import { printTable, sameTable } from '../base/names.ts'
import type { EventSource } from '../policy/policy.ts'
import { columnOf, type Catalog, type ForeignKey, type Table } from './catalog.ts'
import type { FittedLink, Guard } from './fitted.ts'
import { findTable, type Report } from './fit-table.ts'

type GuardContext = {
  readonly source: EventSource
  /** A record may be due although no row of this source belongs to it. */
  readonly mayLackEvents: boolean
  /** The table whose rows belong to the governed row: the source, or the last of its hops. */
  readonly top: Table
  readonly table: Table
  readonly links: readonly FittedLink[]
  readonly catalog: Catalog
  readonly report: Report
}

/**
 * Row locks keep new related rows away only if inserting one must lock the same row, which an
 * enforced foreign key over exactly the link columns makes it do. Failing that the table is closed
 * to writers for the length of a batch, which needs a write privilege on it.
 */
export function fitGuard(context: GuardContext): Guard | undefined {
  const { source, top, table, links } = context
  if (source.via !== null) return fitParent(context, source.via)
  return isKeptBy(top, table, links) ? { kind: 'own row' } : { kind: 'table' }
}

function fitParent(context: GuardContext, via: NonNullable<EventSource['via']>): Guard | undefined {
  const { source, top, links, catalog, report } = context
  const path = [...source.place, 'via']
  const parent = findTable(catalog, via, path, report)
  if (parent === undefined) return undefined
  const key = foreignKeyOver(top, parent, links)
  if (key === undefined) {
    report(
      path,
      'via_without_foreign_key',
      `${printTable(top)} has no enforced foreign key over the columns of \`by\` to ${printTable(parent)}`,
      'locking a row of `via` would not keep new related rows away; leave `via` out',
    )
    return undefined
  }
  const pairs = parentPairs(key, parent, links)
  // A record whose parent is not there has nothing to be locked by. If it can be due all the same,
  // only the closed table keeps related rows from coming to it together with their parent.
  if (context.mayLackEvents && !alwaysHas(context.table, parent, pairs)) return { kind: 'table' }
  return { kind: 'common parent', table: parent, pairs }
}

/** True if a row of `below` can only come to belong to a row of `above` by locking that row. */
export function isKeptBy(below: Table, above: Table, links: readonly FittedLink[]): boolean {
  const key = foreignKeyOver(below, above, links)
  if (key === undefined) return false
  return key.fromColumns.every((from, position) =>
    links.some((link) => link.source.name === from && link.own.name === key.toColumns[position]),
  )
}

function foreignKeyOver(
  source: Table,
  target: Table,
  links: readonly FittedLink[],
): ForeignKey | undefined {
  const linked = new Set(links.map((link) => link.source.name))
  return source.outbound.find(
    (key) =>
      key.enforced &&
      key.to.schema === target.schema &&
      key.to.name === target.name &&
      key.fromColumns.length === linked.size &&
      key.fromColumns.every((column) => linked.has(column)),
  )
}

type Pairs = Extract<Guard, { kind: 'common parent' }>['pairs']

/** True if a row of the table refers to a parent that is there, or to none. */
function alwaysHas(table: Table, parent: Table, pairs: Pairs): boolean {
  return table.outbound.some(
    (key) =>
      key.enforced &&
      sameTable(key.to, parent) &&
      key.fromColumns.length === pairs.length &&
      pairs.every(
        (pair) => key.toColumns[key.fromColumns.indexOf(pair.own.name)] === pair.parent.name,
      ),
  )
}

function parentPairs(key: ForeignKey, parent: Table, links: readonly FittedLink[]): Pairs {
  return key.fromColumns.flatMap((from, position) => {
    const column = columnOf(parent, key.toColumns[position] ?? '')
    const link = links.find((candidate) => candidate.source.name === from)
    return column === undefined || link === undefined ? [] : [{ parent: column, own: link.own }]
  })
}
