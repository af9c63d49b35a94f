import { printTable, sameTable } from '../base/names.ts'
import type { TableName } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { archiveProblems } from './archives.ts'
import { checkCoverage } from './check-coverage.ts'
import { masksContradicting } from './check-masks.ts'
import { checkReferences } from './check-references.ts'
import { columnsDeciding, columnsOfLinks } from './deciding.ts'
import { orderRules } from './order.ts'
import { contradictions } from './check-within.ts'
import { isSibling, sourcesOf, writtenId } from './policy.ts'
import type { Policy, Rule, RuleSource } from './policy.ts'

/** A policy with its place. */
type PlacedPolicy = { readonly value: Policy; readonly source: RuleSource }

/**
 * Finds what is wrong with a set of policies, without looking at a database. With `incomplete` there
 * are rules that could not be read: what seems to lack a rule may have one of those.
 */
export function checkSet(
  policies: readonly PlacedPolicy[],
  rules: readonly Rule[],
  incomplete: boolean,
): readonly Problem[] {
  const problems = [
    ...repeatedPolicies(policies),
    ...repeatedRules(rules),
    ...sourcesConfused(rules),
    ...blockedTwice(rules),
    ...archiveProblems(rules),
    ...checkReferences(rules, exemptIn(policies), incomplete),
    ...decidingColumnsMasked(rules),
    ...masksContradicting(rules),
    ...contradictions(rules),
    ...checkCoverage(
      policies.map(({ value }) => value),
      rules,
      incomplete,
    ),
  ]
  // The order speaks of rules by id and of tables by rule: it means nothing while these repeat.
  return problems.length > 0 ? problems : (orderRules(rules).problems ?? [])
}

function repeatedPolicies(policies: readonly PlacedPolicy[]): readonly Problem[] {
  const first = new Map<string, PlacedPolicy>()
  return policies.flatMap((policy) => {
    const other = first.get(policy.value.id)
    if (other === undefined) {
      first.set(policy.value.id, policy)
      return []
    }
    const at = placeOf(other.source, ['policy'])
    const message = `the policy ${policy.value.id} is already at ${at}`
    return [policy.source.problem(['policy'], { code: 'duplicate_policy', message })]
  })
}

function repeatedRules(rules: readonly Rule[]): readonly Problem[] {
  // Phases of one rule stand at one place, which is no repetition.
  const written = rules.filter(
    ({ phase, archived }) => archived === null && (phase === null || phase.number === 1),
  )
  return pairs(written, writtenId).map(([first, again]) => {
    const message = `the rule ${writtenId(again)} is already at ${placeOf(first.source, ['id'])}`
    const remedy = 'the journal knows rules by id: choose another'
    return again.source.problem(['id'], { code: 'duplicate_rule', message, remedy })
  })
}

/** A row stands in one archive at most. */
function blockedTwice(rules: readonly Rule[]): readonly Problem[] {
  const blocking = rules.filter(({ action }) => action.kind === 'block')
  return pairs(blocking, ({ table }) => printTable(table)).map(([first, again]) => {
    const at = placeOf(first.source, ['then'])
    const message = `rule ${writtenId(first)} blocks rows of ${printTable(again.table)} already, at ${at}`
    const remedy = 'block them by one rule'
    return again.source.problem(['then'], { code: 'blocked_twice', message, remedy })
  })
}

/** A `via` that is the source or the governed table locks nothing that the rule doesn't lock anyway. */
function sourcesConfused(rules: readonly Rule[]): readonly Problem[] {
  return rules.flatMap((rule) =>
    sourcesOf(rule).flatMap(({ via, table, place }): readonly Problem[] => {
      if (via === null) return []
      const same = sameTable(via, table) ? 'the source' : 'the governed table'
      if (!sameTable(via, table) && !sameTable(via, rule.table)) return []
      const message = `via names ${same} itself, not a common parent`
      const remedy = 'remove it, or name the table that both refer to'
      const problem = { code: 'via_is_not_parent', message, remedy }
      return [rule.source.problem([...place, 'via'], problem)]
    }),
  )
}

/** Tables that some policy exempts as a whole. */
function exemptIn(policies: readonly PlacedPolicy[]): ReadonlySet<string> {
  const exempt = policies.flatMap(({ value }) => value.coverage?.exempt ?? [])
  return new Set(
    exempt.filter(({ column }) => column === null).map(({ table }) => printTable(table)),
  )
}

type Decision = { readonly rule: Rule; readonly role: string }

/** A masked start, link or filter would change what the rules decide about other records. */
function decidingColumnsMasked(rules: readonly Rule[]): readonly Problem[] {
  const deciding = new Map<string, Decision>()
  for (const rule of rules) {
    for (const [table, columns, role] of [...columnsDeciding(rule), ...columnsOfLinks(rule)]) {
      for (const column of columns) {
        const name = columnName(table, column)
        if (!deciding.has(name)) deciding.set(name, { rule, role })
      }
    }
  }
  return rules.flatMap((rule) => {
    if (rule.action.kind !== 'anonymise') return []
    return rule.action.masks.flatMap(({ column, strategy }): readonly Problem[] => {
      const decision = deciding.get(columnName(rule.table, column))
      if (decision === undefined || strategy.kind === 'keep') return []
      const reader = isSibling(decision.rule, rule) ? 'this rule' : `rule ${decision.rule.id}`
      const message = `${column} is ${decision.role} of ${reader}: masking it would change what other rules decide`
      const remedy = 'write { keep: "why" } for it'
      const path = ['then', 'anonymise', column]
      return [rule.source.problem(path, { code: 'mask_decides', message, remedy })]
    })
  })
}

function columnName(table: TableName, column: string): string {
  return JSON.stringify([table.schema, table.name, column])
}

function placeOf(source: RuleSource, path: readonly (string | number)[]): string {
  return source.problem(path, { code: '', message: '' }).at
}

/** Pairs each rule with the first before it of the same name. */
function pairs(
  rules: readonly Rule[],
  named: (rule: Rule) => string,
): readonly (readonly [Rule, Rule])[] {
  const first = new Map<string, Rule>()
  return rules.flatMap((rule): readonly (readonly [Rule, Rule])[] => {
    const other = first.get(named(rule))
    if (other !== undefined) return [[other, rule]]
    first.set(named(rule), rule)
    return []
  })
}
