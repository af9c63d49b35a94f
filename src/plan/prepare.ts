import { PolicyError } from '../base/errors.ts'
import type { Parsed, Problem } from '../base/problem.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { coverageFindings } from '../catalog/coverage.ts'
import { fitPolicies } from '../catalog/fit.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { inspectPowers, type Power } from '../catalog/inspect-role.ts'
import { inspectScope } from '../catalog/inspect-scope.ts'
import { checkLiterals } from '../catalog/literals.ts'
import { checkPatterns } from '../catalog/patterns.ts'
import { inspectFor } from '../catalog/pinned.ts'
import type { Db } from '../db/connect.ts'
import { orderRules } from '../policy/order.ts'
import type { PolicySet } from '../policy/policy.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import { checkWhereSql } from './where-sql.ts'

export type Prepared = {
  readonly catalog: Catalog
  /** In the order of a run: readers first, then what they read. */
  readonly rules: readonly FittedRule[]
  /** What the policies should cover and do not. It stops nothing. */
  readonly findings: readonly Problem[]
  /** What our role may do and should not: the daemon refuses to start with it. */
  readonly powers: readonly Power[]
}

/** Reads the catalog and fits the policies to it; throws every problem at once. */
export async function prepare(
  db: Db,
  set: PolicySet,
  pseudonyms: PseudonymKey | null = null,
): Promise<Prepared> {
  const catalog = await inspectFor(db, set)
  const fitted = valueOf(fitPolicies(set, catalog, pseudonyms))
  const problems = [
    ...(await checkLiterals(db, fitted)),
    ...(await checkPatterns(db, fitted)),
    ...(await checkWhereSql(db, fitted)),
  ]
  if (problems.length > 0) throw new PolicyError(problems)
  const findings = coverageFindings(set, await inspectScope(db, set))
  const powers = await inspectPowers(
    db,
    fitted.flatMap(({ reaches }) => reaches),
  )
  return { catalog, rules: sorted(fitted, set), findings, powers }
}

/** The value, or the problems as an error. */
export function valueOf<T>(parsed: Parsed<T>): T {
  if (parsed.problems !== undefined) throw new PolicyError(parsed.problems)
  return parsed.value
}

function sorted(fitted: readonly FittedRule[], set: PolicySet): readonly FittedRule[] {
  const order = valueOf(orderRules(set.rules)).map((rule) => rule.id)
  return fitted.toSorted((one, other) => order.indexOf(one.rule.id) - order.indexOf(other.rule.id))
}
