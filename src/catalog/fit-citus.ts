/**
 * Tables of Citus are refused: what one batch guarantees rests on locks of rows and on places in a
 * heap, and across shards there is neither. docs/scale.md says which guarantee each kind would lose.
 */
import { printTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { TableRef } from '../db/governed.ts'
import type { Rule } from '../policy/policy.ts'
import type { Catalog } from './catalog.ts'
import type { Placement } from './inspect-citus.ts'

type Reaching = { readonly rule: Rule; readonly reaches: readonly TableRef[] }

const REMEDY = 'leave the table out, or undistribute it; docs/scale.md says what is refused and why'

/** Finds the tables of Citus that the rules would read, lock or change. */
export function findPlaced(rules: readonly Reaching[], catalog: Catalog): readonly Problem[] {
  if (catalog.placements.size === 0) return []
  return rules.flatMap(({ rule, reaches }, at) => [
    ...(at === 0 ? ownPlaced(rule, catalog) : []),
    ...reaches.flatMap((table) => placedParts(table, catalog).map((part) => problemOf(rule, part))),
  ])
}

type Part = { readonly name: string; readonly placement: Placement }

/** The table, or the first of its partitions that Citus has although it does not have the whole. */
function placedParts(table: TableRef, { tables, placements }: Catalog): readonly Part[] {
  const { leaves = [] } = tables.get(printTable(table)) ?? {}
  return [table, ...leaves]
    .map((part) => printTable(part))
    .flatMap((name) => {
      const placement = placements.get(name)
      return placement === undefined ? [] : [{ name, placement }]
    })
    .slice(0, 1)
}

function problemOf({ source }: Rule, { name, placement }: Part): Problem {
  const { code, message } = refusalOf(name, placement)
  return source.problem(['table'], { code, message, remedy: REMEDY })
}

function refusalOf(
  name: string,
  { kind, distributionColumn, colocation }: Placement,
): Pick<Problem, 'code' | 'message'> {
  switch (kind) {
    case 'distributed':
      return {
        code: 'citus_distributed',
        message: `${name} is distributed by Citus, by ${distributionColumn ?? '?'} (colocation group ${colocation}): its rows cannot be locked before they are decided about, since Citus locks no rows across shards`,
      }
    case 'single shard':
      return {
        code: 'citus_distributed',
        message: `${name} is one shard of Citus (colocation group ${colocation}), on a machine of its own: no statement can ask it together with the holds, which are on the coordinator`,
      }
    case 'reference':
      return {
        code: 'citus_reference',
        message: `${name} is a reference table of Citus: each machine has a copy, and a row lies elsewhere in each, so that a range of places names other rows on each`,
      }
    case 'managed':
      return {
        code: 'citus_managed',
        message: `${name} is a local table that Citus manages: its rows are in a shard, and the table that statements name has none`,
      }
    default:
      return kind satisfies never
  }
}

/** The journal, the lease and the holds commit with each batch, on one machine. */
function ownPlaced({ source }: Rule, { placements }: Catalog): readonly Problem[] {
  const own = [...placements.keys()].filter((name) => name.startsWith('retentiond.'))
  if (own.length === 0) return []
  return [
    source.problem(['table'], {
      code: 'citus_own_tables',
      message: `Citus has taken over tables of the program: ${own.join(', ')}`,
      remedy:
        'undistribute them: the journal, the lease and the holds are local tables of the coordinator',
    }),
  ]
}
