import type { Entry, TableRows } from './entry.ts'

/** Rows acted on, per action and table. Mutable: a run has many batches and few tables. */
export type Totals = Map<string, TableRows>

type BatchRows = Pick<Extract<Entry, { type: 'batch' }>, 'target' | 'action' | 'rows' | 'children'>

/** Adds a batch with its children. */
export function addTotals(totals: Totals, { target, action, rows, children }: BatchRows): void {
  for (const part of [{ target, action, rows }, ...children]) {
    // Actions have no space, so the two words cannot run into each other.
    const key = `${part.action} ${part.target}`
    const rows = part.rows + (totals.get(key)?.rows ?? 0)
    totals.set(key, { target: part.target, action: part.action, rows })
  }
}

/** The totals in the order of table and action, as the end of a run states them. */
export function rowsOf(totals: Totals): readonly TableRows[] {
  return [...totals.values()].toSorted(
    (one, other) => compare(one.target, other.target) || compare(one.action, other.action),
  )
}

/** True if both say the same; a table with no rows may be listed or left out. */
export function sameTotals(one: readonly TableRows[], other: readonly TableRows[]): boolean {
  const [left, right] = [spelled(one), spelled(other)]
  return left.length === right.length && left.every((line, index) => line === right[index])
}

function spelled(totals: readonly TableRows[]): readonly string[] {
  return totals
    .filter(({ rows }) => rows > 0)
    .map(({ target, action, rows }) => `${action} ${rows} ${target}`)
    .toSorted()
}

/** By code unit: the order must not depend on the locale of a machine. */
function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
