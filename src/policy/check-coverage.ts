import { printTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { Coverage, Exemption } from './coverage.ts'
import { tablesAlong, type Policy, type Rule } from './policy.ts'

/**
 * Finds exemptions of nothing: what was exempt twice, is out of scope, or has a rule after all. With
 * `incomplete` there are rules that could not be read: one of them may anonymise the table.
 */
export function checkCoverage(
  policies: readonly Policy[],
  rules: readonly Rule[],
  incomplete: boolean,
): readonly Problem[] {
  const claims = claimsOf(rules)
  return policies.flatMap(({ id, coverage }) => {
    if (coverage === null) return []
    const seen = new Set<string>()
    return coverage.exempt.flatMap((exemption, position) => {
      const problem = emptyExemption(exemption, coverage, claims)
      const name = JSON.stringify([exemption.table, exemption.column])
      const again = seen.has(name)
      seen.add(name)
      const told = again
        ? { code: 'duplicate_exemption', message: `${nameOf(exemption)} is exempt twice` }
        : (problem ?? (incomplete ? undefined : unanswered(exemption, id, rules)))
      return told === undefined ? [] : [coverage.source.problem(['exempt', position], told)]
    })
  })
}

type Told = { readonly code: string; readonly message: string; readonly remedy?: string }

function emptyExemption(
  { table, column }: Exemption,
  coverage: Coverage,
  claims: ReadonlyMap<string, string>,
): Told | undefined {
  if (!coverage.schemas.includes(table.schema)) {
    const message = `${printTable(table)} is in no schema of this coverage: nobody asks for it`
    return {
      code: 'exemption_unused',
      message,
      remedy: `add ${table.schema} to schemas, or remove it`,
    }
  }
  const claim = claims.get(printTable(table))
  if (column !== null || claim === undefined) return undefined
  const message = `${printTable(table)} ${claim}: there is nothing to exempt`
  return { code: 'exemption_unused', message, remedy: 'remove the exemption' }
}

/** A column is asked for only where a rule of the same policy anonymises its table. */
function unanswered(
  { table, column }: Exemption,
  policy: string,
  rules: readonly Rule[],
): Told | undefined {
  if (column === null) return undefined
  const name = printTable(table)
  const anonymised = rules.some((rule) => {
    return (
      rule.policy === policy && rule.action.kind === 'anonymise' && printTable(rule.table) === name
    )
  })
  if (anonymised) return undefined
  const message = `no rule of this policy anonymises ${name}: nobody asks for its columns`
  return { code: 'exemption_unused', message, remedy: 'exempt the whole table, or remove this' }
}

/** What the rules say of each table whose rows they destroy or wait for. */
function claimsOf(rules: readonly Rule[]): ReadonlyMap<string, string> {
  const claims = new Map<string, string>()
  for (const rule of rules) {
    for (const table of tablesAlong(rule)) {
      claims.set(printTable(table), `goes along under rule ${rule.id}`)
    }
  }
  for (const rule of rules) claims.set(printTable(rule.table), `is governed by rule ${rule.id}`)
  return claims
}

function nameOf({ table, column }: Exemption): string {
  return column === null ? printTable(table) : `${printTable(table)}.${column}`
}
