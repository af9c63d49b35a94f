import type { TableName } from '../base/names.ts'
import { sameTable } from '../base/names.ts'
import type { PolicyHeader } from './document.ts'
import type { Fault, PathPart } from './fault.ts'
import type { Coverage } from './coverage.ts'
import type { Action, Mask, RuleSource } from './policy.ts'

/** The coverage of a policy, with nothing optional left in it. */
export function coverageOf(
  { coverage, timezone }: Pick<PolicyHeader, 'coverage' | 'timezone'>,
  source: RuleSource,
): Coverage | null {
  if (coverage === undefined) return null
  const exempt = (coverage.exempt ?? []).map(({ table, column, why, review }) => {
    return { table, column: column ?? null, why, review }
  })
  return { schemas: coverage.schemas, exempt, zone: timezone, source }
}

/**
 * Adds the exempt columns of the table to what an anonymisation keeps, so that plans list them and
 * the digest of the rule holds them like any column that is kept for a reason.
 */
export function withExempt(
  action: Action,
  { table, path }: { readonly table: TableName; readonly path: readonly PathPart[] },
  { coverage }: Pick<PolicyHeader, 'coverage'>,
  faults: Fault[],
): Action {
  if (action.kind !== 'anonymise') return action
  const kept = (coverage?.exempt ?? []).flatMap((exemption): readonly Mask[] => {
    const { column, why } = exemption
    if (column === undefined || !sameTable(exemption.table, table)) return []
    if (!action.masks.some((mask) => mask.column === column)) {
      return [{ column, strategy: { kind: 'keep', why } }]
    }
    const message = `${column} is exempt in \`coverage\` too`
    const remedy = 'remove it here or there: a column is kept for one reason'
    faults.push({
      code: 'exemption_repeated',
      message,
      remedy,
      path: [...path, column],
    })
    return []
  })
  return { ...action, masks: [...action.masks, ...kept] }
}
