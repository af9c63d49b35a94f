/** What rules say of rows that refer to theirs: no row may be promised to two of them. */
import { printTable, sameTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { isSibling, tiesOf, type Condition, type Rule, type Scalar, type Tie } from './policy.ts'

/**
 * With `incomplete` there are rules that could not be read: one may be the one that seems missing.
 * `exempt` are tables that some policy exempts as a whole.
 */
export function checkReferences(
  rules: readonly Rule[],
  exempt: ReadonlySet<string>,
  incomplete: boolean,
): readonly Problem[] {
  return [
    ...kindsMixed(rules),
    ...childrenClaimed(rules),
    ...(incomplete ? [] : childrenWithoutRule(rules, exempt)),
  ]
}

/** A row that goes along by one link and stays by another would do both. */
function kindsMixed(rules: readonly Rule[]): readonly Problem[] {
  return rules.flatMap((rule) =>
    tiesOf(rule).flatMap((tie, at, all): readonly Problem[] => {
      const first = all.slice(0, at).find((each) => sameTable(each.table, tie.table))
      if (first === undefined || first.as === tie.as) return []
      const message = `${printTable(tie.table)} is ${first.as} at ${placeOf(rule, first.place)}, and ${tie.as} here`
      const remedy = 'a rule says one thing of all rows of a table: write the same in both'
      return [rule.source.problem(tie.place, { code: 'reference_kinds_differ', message, remedy })]
    }),
  )
}

type Claim = { readonly rule: Rule; readonly tie: Tie }

function childrenClaimed(rules: readonly Rule[]): readonly Problem[] {
  const governed = new Map(rules.map((rule) => [printTable(rule.table), rule]))
  const claims = new Map<string, readonly Claim[]>()
  return rules.flatMap((rule) =>
    tiesOf(rule).flatMap((tie): readonly Problem[] => {
      if (tie.as !== 'with_parent') return []
      const table = printTable(tie.table)
      const own = governed.get(table)
      // Rows of the rule's own table go along only if they are due themselves.
      if (sameTable(tie.table, rule.table)) return withItself(rule, tie, rules)
      if (own !== undefined) return [claimedByRule(rule, tie, own)]
      const before = claims.get(table) ?? []
      claims.set(table, [...before, { rule, tie }])
      const other = before.find(
        (claim) => !isSibling(claim.rule, rule) && !areDisjoint(claim.tie, tie),
      )
      return other === undefined ? [] : [claimedTwice(rule, tie, other)]
    }),
  )
}

function withItself(rule: Rule, tie: Tie, rules: readonly Rule[]): readonly Problem[] {
  // In the phases before the one that purges they stay.
  const purges = rules.some((each) => isSibling(each, rule) && each.action.kind === 'purge')
  if (purges) return []
  const message = `${printTable(tie.table)} is anonymised: its rows stay, and cannot go along with each other`
  const remedy = 'write own_rule: nothing waits for a row that stays'
  return [rule.source.problem(tie.place, { code: 'child_stays', message, remedy })]
}

function claimedByRule(rule: Rule, { table, place }: Tie, own: Rule): Problem {
  const at = own.source.problem(['table'], { code: '', message: '' }).at
  const message = `rows of ${printTable(table)} have a rule of their own, ${own.id} at ${at}`
  const remedy = 'write own_rule, or remove that rule'
  return rule.source.problem(place, { code: 'child_has_rule', message, remedy })
}

function claimedTwice(rule: Rule, { table, place }: Tie, other: Claim): Problem {
  const name = printTable(table)
  const message = `rows of ${name} already go with those of rule ${other.rule.id} at ${placeOf(other.rule, other.tie.place)}`
  const remedy = `give ${name} a rule of its own, and write own_rule in both`
  return rule.source.problem(place, { code: 'child_claimed_twice', message, remedy })
}

/**
 * What is equal to nothing but itself, whatever the type of the column: `01` may be `1`, `t` may be
 * `true`, and a collation may take `A` for `a`, so that words are compared in small letters.
 */
const WORD = /^(?!(?:t|f|y|n|true|false|yes|no|on|off|infinity|today|now|epoch)$)[a-z][a-z0-9_]*$/

/** True if no row can be in both links: their filters ask one column for different values. */
function areDisjoint(one: Tie, other: Tie): boolean {
  const others = valuesAsked(other.where)
  return [...valuesAsked(one.where)].some(([column, values]) => {
    const asked = others.get(column)
    if (asked === undefined || ![...values, ...asked].every((value) => WORD.test(value)))
      return false
    return ![...values].some((value) => asked.has(value))
  })
}

/** The values that a filter asks of each column, of those that it compares with plain values. */
function valuesAsked(where: Condition | null): ReadonlyMap<string, ReadonlySet<string>> {
  if (where === null) return new Map()
  const spell = (value: Scalar): string => String(value).toLowerCase()
  switch (where.kind) {
    case 'equals':
      return new Map([[where.column, new Set([spell(where.value)])]])
    case 'one_of':
      return new Map([[where.column, new Set(where.values.map(spell))]])
    case 'all':
      return new Map(where.conditions.flatMap((part) => [...valuesAsked(part)]))
    case 'any':
    case 'not':
    case 'is_null':
    case 'compares':
    case 'sql':
    case 'soft_deleted':
      return new Map()
    default:
      return where satisfies never
  }
}

/** An anonymised row stays: nothing waits for rows that somebody says need no rule. */
function childrenWithoutRule(
  rules: readonly Rule[],
  exempt: ReadonlySet<string>,
): readonly Problem[] {
  const governed = new Set(rules.map((rule) => printTable(rule.table)))
  return rules.flatMap((rule) =>
    tiesOf(rule).flatMap(({ table, as, place }) => {
      const name = printTable(table)
      const stays = rule.action.kind === 'anonymise'
      if (as !== 'own_rule' || governed.has(name) || (stays && exempt.has(name))) return []
      const message = `no rule governs ${name}: its rows would stay for ever`
      const remedy = stays
        ? 'write a rule for it, or with_parent, detach or block, or exempt it under coverage'
        : 'write a rule for it, or with_parent, detach or block'
      return [rule.source.problem(place, { code: 'child_without_rule', message, remedy })]
    }),
  )
}

function placeOf(rule: Rule, path: Tie['place']): string {
  return rule.source.problem(path, { code: '', message: '' }).at
}
