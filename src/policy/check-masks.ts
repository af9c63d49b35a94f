import { canonical, type Json } from '../base/canonical.ts'
import { sameTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { isSibling, type Condition, type Mask, type Rule } from './policy.ts'

/**
 * Two rules that write different things into one column of the same rows would undo each other, run
 * after run: each finds the row no longer as it left it. Phases of one rule do not, since only the
 * latest acts. Rows with two filters may be apart, which only the data can tell.
 */
export function masksContradicting(rules: readonly Rule[]): readonly Problem[] {
  return rules.flatMap((rule, at) =>
    masksOf(rule).flatMap((mask): readonly Problem[] => {
      const other = rules
        .slice(0, at)
        .find((each) => meets(each, rule) && masksOf(each).some((one) => contradicts(one, mask)))
      if (other === undefined) return []
      const place = other.source.problem(['then', 'anonymise', mask.column], PLACE).at
      const message = `rule ${other.id} at ${place} writes something else into ${mask.column} of the same rows`
      const remedy = 'write the same strategy in both, or { keep: "why" } in one'
      const path = ['then', 'anonymise', mask.column]
      return [rule.source.problem(path, { code: 'masks_contradict', message, remedy })]
    }),
  )
}

const PLACE = { code: '', message: '' }

function masksOf({ action }: Rule): readonly Mask[] {
  if (action.kind !== 'anonymise') return []
  return action.masks.filter(({ strategy }) => strategy.kind !== 'keep')
}

function contradicts(one: Mask, other: Mask): boolean {
  return one.column === other.column && spelt(one.strategy) !== spelt(other.strategy)
}

/** True of rules that surely speak of one row: no filter, or the same. */
function meets(one: Rule, other: Rule): boolean {
  if (!sameTable(one.table, other.table) || isSibling(one, other)) return false
  const filters: readonly (Condition | null)[] = [one.where, other.where]
  return filters.includes(null) || spelt(one.where) === spelt(other.where)
}

function spelt(value: unknown): string {
  return canonical(value as Json)
}
