import { sameTable } from '../base/names.ts'
import { isSibling, takesAway } from '../policy/policy.ts'
import type { Table } from './catalog.ts'
import { levelsOf, sourcesOf } from './chain.ts'
import {
  isTangled,
  type FittedRule,
  type FittedSource,
  type Reader,
  type StartedRule,
} from './fitted.ts'

/** A rule that destroys rows, its own and those that go along. */
type Destroyer = StartedRule & Pick<FittedRule, 'children' | 'together'>

/** How `reader` comes to rows of `table` for its period starts and links, if it does. */
export function readersOf(
  table: Table,
  reader: StartedRule,
  destroyer: Destroyer,
): readonly Reader[] {
  const isOwn = isSibling(reader.rule, destroyer.rule)
  const onSameTable = sameTable(reader.table, destroyer.table)
  // Another phase reads of a record what this one does, which reads it for every row of the table.
  const isSame = reader.rule.id === destroyer.rule.id
  if (isOwn && !isSame && onSameTable) return []
  // A record that goes with what decides about it is gone under every rule.
  const exceptRoot = isOwn || (onSameTable && takesAway(destroyer.rule))
  const own = isOwn && sameTable(table, destroyer.table)
  return sourcesOf(reader.start)
    .flatMap((source) => [
      ...(own && isOwnGroup(source) ? [] : levelReaders(source, table)),
      ...parentReaders(source, table),
    ])
    .filter((reading) => !(exceptRoot && onSameTable) || !leadsToRoot(reading, destroyer))
    .map((reading) => ({ reader, exceptRoot, ...reading }))
}

/** A row that decides about the very record that it goes along with, by the same keys, decides about no other. */
function leadsToRoot({ on, hops, pairs }: Reading, destroyer: Destroyer): boolean {
  if (isTangled(destroyer)) return false
  const tables = [on, ...hops.map(({ table }) => table)]
  return tables.every((table, at) => {
    const links = hops[at]?.links.map(({ source, own }) => ({ read: source.name, own: own.name }))
    const above = tables[at + 1] ?? destroyer.table
    const child = destroyer.children.find((each) => sameTable(each.table, table))
    const key = child?.foreignKeys.find(({ to }) => sameTable(to, above))
    if (key === undefined || key.logical) return false
    return key.fromColumns.every((from, part) =>
      (links ?? pairs).some(({ read, own }) => read === from && own === key.toColumns[part]),
    )
  })
}

/**
 * The related rows of one record all have the same start, so those that are due go in any order:
 * what is left starts earlier and stays due.
 */
function isOwnGroup({ hops, links }: FittedSource): boolean {
  return hops.length === 0 && links.every(({ source, own }) => source.name === own.name)
}

type Reading = Pick<Reader, 'on' | 'hops' | 'pairs'>

function levelReaders(source: FittedSource, table: Table): readonly Reading[] {
  const pairs = source.links.map((link) => ({ own: link.own.name, read: link.source.name }))
  return levelsOf(source).flatMap((level, at): readonly Reading[] =>
    sameTable(level.table, table) ? [{ on: table, hops: source.hops.slice(at), pairs }] : [],
  )
}

function parentReaders({ guard }: FittedSource, table: Table): readonly Reading[] {
  if (guard.kind !== 'common parent' || !sameTable(guard.table, table)) return []
  const pairs = guard.pairs.map((pair) => ({ own: pair.own.name, read: pair.parent.name }))
  return [{ on: table, hops: [], pairs }]
}
