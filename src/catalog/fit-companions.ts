/** The other rules that decide about the rows of a rule: who keeps them longer, and who acts instead. */
import { printTable, sameTable } from '../base/names.ts'
import { isSibling, type Rule } from '../policy/policy.ts'
import type { Table } from './catalog.ts'
import { levelsOf, sourcesOf } from './chain.ts'
import type { FittedRule, FittedSource, FittedStart, GovernedRule } from './fitted.ts'

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

function actsInstead(other: Rule, rule: Rule): boolean {
  if (isSibling(other, rule)) return (other.phase?.number ?? 0) > (rule.phase?.number ?? 0)
  return other.mode === 'enforce' && other.action.kind === 'purge' && rule.action.kind !== 'purge'
}

/** Where the starts of the others are read, unless this rule locks the very same rows by itself. */
function sourcesToClose(fitted: Started, others: readonly Started[]): readonly Table[] {
  const locked = new Set(sourcesOf(fitted.start).map((source) => spelt(source)))
  const tables = others.flatMap(({ start }) =>
    sourcesOf(start)
      .filter((source) => !locked.has(spelt(source)))
      .flatMap((source) => levelsOf(source).map(({ table }) => table)),
  )
  return [...new Map(tables.map((table) => [printTable(table), table])).values()]
}

/** Names the rows that a source leads to. */
function spelt(source: FittedSource): string {
  const levels = levelsOf(source).map(({ table, links }) => [
    printTable(table),
    links.map((link) => JSON.stringify([link.source.name, link.own.name])).toSorted(),
  ])
  return JSON.stringify(levels)
}
