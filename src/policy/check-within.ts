/** Rules of which one must have acted while another one still keeps the same record. */
import { canonical } from '../base/canonical.ts'
import { sameTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { conditionJson, startJson } from './digest.ts'
import { compareSums, printPeriod } from './period.ts'
import { isSibling, type Rule } from './policy.ts'

/**
 * Finds maxima below the minimum of another rule for the same records from the same start: the
 * record would be overdue from the day it is due. Of other starts and filters only data could tell.
 */
export function contradictions(rules: readonly Rule[]): readonly Problem[] {
  return rules.flatMap((rule) => {
    const { within, keep } = rule
    if (within === null) return []
    const keeper = rules.find(
      (other) =>
        !isSibling(other, rule) &&
        sameTable(other.table, rule.table) &&
        meet(other, rule) &&
        (compareSums([keep, within], [other.keep]) ?? 0) < 0,
    )
    if (keeper === undefined) return []
    const message = `records must be done with ${printPeriod(keep)} and ${printPeriod(within)} after the start, and rule ${keeper.id} keeps them for ${printPeriod(keeper.keep)}`
    const remedy = 'the longest period wins: correct one of them, or lengthen within'
    return [rule.source.problem(['within'], { code: 'within_contradicts', message, remedy })]
  })
}

/** True of rules of which one surely speaks of the records of the other, from the same day on. */
function meet(one: Rule, other: Rule): boolean {
  const filters = [one, other].flatMap(({ where }) =>
    where === null ? [] : [canonical(conditionJson(where))],
  )
  const starts = [one, other].map(({ start, zone }) => canonical([startJson(start), zone]))
  return starts[0] === starts[1] && (filters.length < 2 || filters[0] === filters[1])
}
