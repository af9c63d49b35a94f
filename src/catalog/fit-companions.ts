/** The other rules that decide about the rows of a rule: who keeps them longer, and who acts instead. */
import { printTable, sameTable } from '../base/names.ts'
import type { Rule } from '../policy/policy.ts'
import type { Table } from './catalog.ts'
import type { FittedRule, FittedStart, GovernedRule } from './fitted.ts'

export type Companions = Pick<FittedRule, 'rivals' | 'superseding' | 'closed'>

type Started = GovernedRule & { readonly start: FittedStart }

/**
 * Finds, among all rules, those on the same table. A row that two rules speak of is kept until both
 * have ended (decision: longest retention wins); then a later phase of the same rule acts instead
 * of an earlier one, and a purge instead of anything that leaves the row.
 */
export function companionsOf(fitted: Started, all: readonly Started[]): Companions {
  const others = all.filter(
    (other) => other.rule.id !== fitted.rule.id && sameTable(other.table, fitted.table),
  )
  const rivals = others.filter(({ rule }) => !isSibling(rule, fitted.rule))
  const superseding = others.filter(({ rule }) => actsInstead(rule, fitted.rule))
  return { rivals, superseding, closed: sourcesToClose(fitted, [...rivals, ...superseding]) }
}

/** Two phases of one rule as it was written. */
function isSibling(one: Rule, other: Rule): boolean {
  return one.phase !== null && other.phase !== null && one.phase.rule === other.phase.rule
}

function actsInstead(other: Rule, rule: Rule): boolean {
  if (isSibling(other, rule)) return (other.phase?.number ?? 0) > (rule.phase?.number ?? 0)
  return other.mode === 'enforce' && other.action.kind === 'purge' && rule.action.kind !== 'purge'
}

/** Where the starts of the others are read, unless this rule locks the very same rows by itself. */
function sourcesToClose(fitted: Started, others: readonly Started[]): readonly Table[] {
  const tables = others.flatMap(({ start }) =>
    start.kind === 'column' || isSameReading(start, fitted.start) ? [] : [start.source],
  )
  return [...new Map(tables.map((table) => [printTable(table), table])).values()]
}

function isSameReading(one: FittedStart, other: FittedStart): boolean {
  if (one.kind === 'column' || other.kind === 'column') return false
  const spelt = (start: typeof one): string =>
    start.links
      .map((link) => JSON.stringify([link.source.name, link.own.name]))
      .toSorted()
      .join()
  return sameTable(one.source, other.source) && spelt(one) === spelt(other)
}
