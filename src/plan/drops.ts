/** Whether a run may drop whole partitions under a rule: asked for by the policy, and only where it is sure. */
import { printTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Droppable, Dropping } from '../catalog/inspect-dropping.ts'
import { groundsFor } from './orders.ts'
import type { PlannedDrops } from './plan.ts'

/** Says how many partitions a run looks at, and why not at the others; null: the policy asks for none. */
export function chooseDrops(fitted: FittedRule, found: Dropping | null): PlannedDrops | null {
  if (fitted.rule.partitions === 'sweep') return null
  const why = obstacleToDrops(fitted, found)
  if (why !== null || found === null) return { partitions: 0, why: why ?? 'nothing is known of it' }
  const { leaves } = found
  const open = leaves.filter(({ obstacle }) => obstacle === null)
  const kept = leaves.length - open.length
  const others = kept === 0 ? '' : `; ${kept} are swept: ${reasonsOf(leaves)}`
  return {
    partitions: open.length,
    why: `each of which every row is due when it is locked${others}`,
  }
}

/**
 * What keeps a rule from dropping any partition, or null. A partition that goes takes its rows by no
 * statement that could ask other rows, so that nothing but the row itself may decide.
 */
export function obstacleToDrops(fitted: FittedRule, found: Dropping | null): string | null {
  const { rule, table, start, rivals, superseding, triggers } = fitted
  const others = [...rivals, ...superseding]
  if (rule.action.kind !== 'purge') return `the rule does not purge: it would ${rule.action.kind}`
  if (found === null || table.kind !== 'partitioned table') return 'the table has no partitions'
  if (start.kind !== 'column' || others.some((other) => other.start.kind !== 'column')) {
    return 'the period starts in other rows, which a partition cannot be asked for'
  }
  const referring = table.inbound[0]?.from ?? fitted.declared[0]?.table
  if (referring !== undefined) return `${printTable(referring)} refers to its rows`
  if (fitted.readers.length > 0) return 'another rule reads when its periods start from these rows'
  if (fitted.holding.length > 0) return 'its rows may hold others'
  if (fitted.closed.length > 0 || groundsFor(fitted).some(({ ground }) => ground.order === null)) {
    return 'other tables may hold its rows'
  }
  if (triggers.length > 0) return `trigger ${triggers[0]?.trigger.name} would not fire`
  if (found.told !== null) return `${found.told} passes on deletes, and not that a table is dropped`
  if (!found.callable) return 'the role may not: run what retentiond grants prints'
  return null
}

const OBSTACLES = {
  default: 'default partition',
  open: 'not bounded by a day that is over',
  owner: 'of another owner',
} as const

function reasonsOf(leaves: readonly Droppable[]): string {
  const kinds = (['default', 'open', 'owner'] as const).filter((kind) =>
    leaves.some(({ obstacle }) => obstacle === kind),
  )
  return kinds.map((kind) => OBSTACLES[kind]).join(', ')
}
