/** The catalog as the policies ask for it, and of no other database than the one they are for. */
import type { QueryExecutorProvider } from 'kysely'
import { PolicyError } from '../base/errors.ts'
import type { Problem } from '../base/problem.ts'
import type { Db } from '../db/connect.ts'
import type { PolicySet } from '../policy/policy.ts'
import type { Catalog, DatabaseFacts } from './catalog.ts'
import { archivesNamed, tablesNamed } from './fit.ts'
import { inspectCatalog, inspectDatabase } from './inspect.ts'

/** Reads what is known of the tables that the rules name, on the database that they are for. */
export async function inspectFor(db: Db, set: PolicySet): Promise<Catalog> {
  await proveDatabase(db, set)
  return inspectCatalog(db, tablesNamed(set), archivesNamed(set))
}

/** Throws if a policy is for another database than this one. Nothing is read from any table. */
export async function proveDatabase(db: QueryExecutorProvider, set: PolicySet): Promise<void> {
  if (set.policies.every(({ database }) => database === null)) return
  const problems = strayPolicies(set, await inspectDatabase(db))
  if (problems.length > 0) throw new PolicyError(problems)
}

/** Finds the policies that are for another database. Two environments may have changed places. */
export function strayPolicies(
  { policies }: Pick<PolicySet, 'policies'>,
  here: Pick<DatabaseFacts, 'name' | 'systemIdentifier'>,
): readonly Problem[] {
  const remedy =
    'nothing was read; see which of the two is wrong, RETENTIOND_DATABASE_URL or the policies'
  return policies.flatMap(({ database }): readonly Problem[] => {
    if (database === null) return []
    const { name, systemIdentifier, source } = database
    if (name !== here.name) {
      const message = `this policy is for database ${name}, and this is ${here.name}`
      return [source.problem(['name'], { code: 'database_is_another', message, remedy })]
    }
    if (systemIdentifier === null || systemIdentifier === here.systemIdentifier) return []
    const message = `this policy is for database ${name} of the cluster ${systemIdentifier}, and this cluster is ${here.systemIdentifier}`
    const path = ['system_identifier']
    return [source.problem(path, { code: 'database_is_another', message, remedy })]
  })
}
