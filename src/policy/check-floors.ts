/** Floors among the rules of a set: on which rules each one bears, and which rules come below one. */
import { printTable, sameTable, type TableName } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { ruleDigest } from './digest.ts'
import { comparePeriods, printPeriod } from './period.ts'
import { tablesAlong, type Floor, type Rule } from './policy.ts'

/** Gives each rule the floors of the tables that it acts on, whichever file they stand in. */
export function withFloors(rules: readonly Rule[], floors: readonly Floor[]): readonly Rule[] {
  return rules.map((rule) => {
    const own = floors.filter(({ table }) => actsOn(rule, table))
    if (own.length === 0) return rule
    const bounded = { ...rule, floors: own }
    return { ...bounded, digest: ruleDigest(bounded) }
  })
}

/** Finds rules that would act on rows too young for a table: a slip of the pen, P10D for P10Y. */
export function belowFloor(rules: readonly Rule[]): readonly Problem[] {
  return rules.flatMap((rule) =>
    rule.floors.flatMap(({ table, minimumAge, source }): readonly Problem[] => {
      if (minimumAge === null || (comparePeriods(rule.keep, minimumAge) ?? -1) >= 0) return []
      const { at } = source.problem(['minimum_age'], { code: '', message: '' })
      const least = printPeriod(minimumAge)
      const message = `${printPeriod(rule.keep)} may be shorter than ${least}, the minimum age of rows of ${printTable(table)} (${at})`
      const remedy = `write ${least} or more; if the floor is wrong, change it first`
      return [rule.source.problem(['keep'], { code: 'keep_below_floor', message, remedy })]
    }),
  )
}

/** Finds floors that hold nothing up. */
export function idleFloors(rules: readonly Rule[], floors: readonly Floor[]): readonly Problem[] {
  return floors.flatMap(({ table, keepAtLeast, minimumAge, source }): readonly Problem[] => {
    if (keepAtLeast === null && minimumAge === null) {
      const message = `nothing is said of ${printTable(table)}`
      const remedy = 'write keep_at_least: or minimum_age:'
      return [source.problem([], { code: 'floor_empty', message, remedy })]
    }
    if (rules.some((rule) => actsOn(rule, table))) return []
    const message = `no rule acts on ${printTable(table)}: nothing there is ever destroyed`
    const remedy = 'remove it, or name the table that a rule governs'
    return [source.problem(['table'], { code: 'floor_idle', message, remedy })]
  })
}

function actsOn(rule: Rule, table: TableName): boolean {
  return [rule.table, ...tablesAlong(rule)].some((acted) => sameTable(acted, table))
}
