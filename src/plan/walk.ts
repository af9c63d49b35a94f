/** How a run goes through a table to find what is due: a choice of speed, which decides nothing else. */
import { printTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Storage } from '../catalog/inspect-storage.ts'
import { SMALL_BATCH } from '../policy/policy.ts'
import type { WalkKind } from '../policy/walk.ts'
import type { Census } from './census.ts'
import type { PlannedWalk } from './plan.ts'

/** The way alone: whether whole partitions go before is another question (drops.ts). */
export type ChosenWalk = Omit<PlannedWalk, 'drops'>

/** A table of less than 1 MiB is read in a moment, whatever the way. */
const WORTH_A_WALK = 128

/**
 * Per cent of the rows. With fewer due, finding them by the index and visiting their pages is less
 * work than reading every page; with more, index order visits most pages again and again.
 */
const WORTH_A_SWEEP = 5

/** From here on the order of the index is nearly that of the heap, and visits each page once too. */
const CORRELATED = 0.9

/** Correlated, the index leaves out the pages on which nothing is due: worth it up to half of them. */
const WORTH_LEAVING_OUT = 50

/** Chooses from what the server knows of the table and the census counted; the policy has the last word. */
export function chooseWalk(
  fitted: FittedRule,
  stored: Storage | undefined,
  { counts }: Pick<Census, 'counts'>,
): ChosenWalk {
  const { walk, batchRows } = fitted.rule
  const obstacle = obstacleTo(fitted, stored)
  if (obstacle !== null) return { kind: 'key', why: obstacle }
  if (walk !== null) return { kind: walk, why: 'the policy says so' }
  const { pages, correlations } = stored as Storage
  if (pages < WORTH_A_WALK)
    return { kind: 'key', why: `the table has ${pages} ${pages === 1 ? 'page' : 'pages'} only` }
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  if (total / pages > (batchRows ?? SMALL_BATCH)) {
    return { kind: 'key', why: 'a page holds more rows than a batch' }
  }
  const percent = total === 0 ? 0 : (100 * counts.due) / total
  const share = `${percent.toFixed(percent < 10 ? 1 : 0)} % of the rows are due`
  const column = indexedStart(fitted, stored as Storage)
  if (column === null) return heap(`${share}, and no index leads to them`)
  if (percent < WORTH_A_SWEEP) return index(`${share}: found by the index on ${column}`)
  if (percent < WORTH_LEAVING_OUT && Math.abs(correlations[column] ?? 0) >= CORRELATED) {
    return index(`${share}, and the heap is in the order of ${column}`)
  }
  return heap(`${share}: each of ${pages} pages is visited once`)
}

/** What keeps a table from being walked by anything but its key, or null. */
function obstacleTo(
  { rule, start, table }: FittedRule,
  stored: Storage | undefined,
): string | null {
  if (stored === undefined) return 'nothing is known of how the table is stored'
  if (stored.otherMethod) return 'the table is not stored as a heap'
  if (stored.unreachable !== null) {
    if (rule.mode === 'report') return 'the rule only reports, and needs no rights for another one'
    return `the role lacks rights on ${printTable(stored.unreachable)} that other walks need: see retentiond grants`
  }
  if (rule.walk === 'index' && startColumn(start) === null) {
    return `no index tells when the period of a row of ${printTable(table)} starts`
  }
  return null
}

function heap(why: string): ChosenWalk {
  return { kind: 'heap' satisfies WalkKind, why }
}

function index(why: string): ChosenWalk {
  return { kind: 'index' satisfies WalkKind, why }
}

/** The column by whose index due rows are found, or null. */
function indexedStart({ start }: FittedRule, { indexes }: Storage): string | null {
  const column = startColumn(start)
  return column !== null && indexes.some(([first]) => first === column) ? column : null
}

/** Days in text have no order that an index keeps. */
function startColumn(start: FittedRule['start']): string | null {
  return start.kind === 'column' && start.moment.frame.kind !== 'text' ? start.moment.column : null
}
