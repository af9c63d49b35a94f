import { printTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { Coverage } from '../policy/coverage.ts'
import type { PolicySet } from '../policy/policy.ts'
import { tablesNamed } from './fit.ts'

/** What the coverage of the policies is held against. */
export type Scope = {
  /** The names of the tables of each schema that exists. */
  readonly schemas: ReadonlyMap<string, readonly string[]>
  /** The day it is on the database's clock, YYYY-MM-DD, by zone. */
  readonly days: ReadonlyMap<string, string>
}

/**
 * Finds tables that nobody thought of, and exemptions whose time is over or whose table has gone.
 * A finding stops no run: what has a rule must not wait for what has none.
 */
export function coverageFindings(set: PolicySet, scope: Scope): readonly Problem[] {
  const spoken = new Set(tablesSpokenOf(set))
  return set.policies.flatMap(({ coverage }) => {
    if (coverage === null) return []
    return [...uncovered(coverage, scope, spoken), ...outdated(coverage, scope)]
  })
}

function tablesSpokenOf(set: PolicySet): readonly string[] {
  const exempt = set.policies.flatMap(({ coverage }) =>
    (coverage?.exempt ?? []).filter(({ column }) => column === null).map(({ table }) => table),
  )
  return [...tablesNamed(set), ...exempt].map((table) => printTable(table))
}

function uncovered(
  { schemas, source }: Coverage,
  scope: Scope,
  spoken: ReadonlySet<string>,
): readonly Problem[] {
  return schemas.flatMap((schema, position) => {
    const path = ['schemas', position]
    const tables = scope.schemas.get(schema)
    if (tables === undefined) {
      const message = `there is no schema ${schema} in this database`
      return [source.problem(path, { code: 'schema_missing', message, remedy: 'remove it' })]
    }
    return tables
      .map((name) => printTable({ schema, name }))
      .filter((table) => !spoken.has(table))
      .map((table) =>
        source.problem(path, {
          code: 'table_uncovered',
          message: `${table} has no rule, no reference and no exemption`,
          remedy: `write a rule for it, or under exempt: { table: ${table}, why: …, review: YYYY-MM-DD }`,
        }),
      )
  })
}

function outdated({ exempt, zone, source }: Coverage, scope: Scope): readonly Problem[] {
  const today = scope.days.get(zone) ?? ''
  return exempt.flatMap(({ table, column, review }, position): readonly Problem[] => {
    const name = printTable(table)
    // Of a column, the rule that keeps it says so itself.
    if (column === null && scope.schemas.get(table.schema)?.includes(table.name) === false) {
      const message = `there is no table ${name} to exempt`
      const remedy = 'remove the exemption'
      return [source.problem(['exempt', position], { code: 'exemption_unused', message, remedy })]
    }
    // Days of one form compare as text does.
    if (today <= review) return []
    const message = `the exemption of ${column === null ? name : `${name}.${column}`} was to be looked at by ${review}`
    const remedy = 'see whether its reason still holds, then write a new day of review or a rule'
    const path = ['exempt', position, 'review']
    return [source.problem(path, { code: 'exemption_overdue', message, remedy })]
  })
}
