import type { Problem } from '../../src/base/problem.ts'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { archivesNamed, fitPolicies, fitWithoutRights, tablesNamed } from '../../src/catalog/fit.ts'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import { inspectCatalog } from '../../src/catalog/inspect.ts'
import { connect, type Connection } from '../../src/db/connect.ts'
import type { PolicySet } from '../../src/policy/policy.ts'
import { loadGrammar } from '../../src/policy/sql-grammar.ts'
import { parsed, policyYaml } from '../policy/documents.ts'
import { pseudonymKey } from '../support/builders.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

/** One schema, and many small policies that are fitted to it by a role without any right. */
export interface Fitting extends AsyncDisposable {
  readonly database: TestDatabase
  readonly role: string
  readonly connection: Connection
  /** Runs SQL as the owner of the tables, a superuser. */
  run(statement: string): Promise<void>
  /** The catalog as the rules of the policy see it. */
  catalogOf(rules: string): Promise<{ readonly set: PolicySet; readonly catalog: Catalog }>
  /** What does not fit, one text for each problem: place, code, message, remedy. */
  problems(rules: string, rights?: 'asked' | 'left out'): Promise<readonly string[]>
  /** The rules, if they fit but for the rights of the role. */
  fitted(rules: string): Promise<readonly FittedRule[]>
}

/** A plan asks what is held, and so needs the table, although nothing was migrated here. */
const NO_HOLDS = `
  create schema if not exists retentiond;
  create table if not exists retentiond.hold (
    scope text, rule text, subject text, table_oid oid, table_name text, key text[],
    key_columns text[], lifted_at timestamptz
  );
  grant usage on schema retentiond to public;
  grant select on retentiond.hold to public`

/** Opens a database with the given schema; disposing drops it. */
export async function openFitting(schema: string): Promise<Fitting> {
  const database = await openTestDatabase()
  await database.superuser.query(schema)
  await database.superuser.query(NO_HOLDS)
  const role = await database.createRole('fit')
  const connection = connect(database.urlOf(role), { max: 1 })

  async function catalogOf(rules: string) {
    await loadGrammar([rules])
    const set = parsed(policyYaml(rules))
    return {
      set,
      catalog: await inspectCatalog(connection.db, tablesNamed(set), archivesNamed(set)),
    }
  }

  return {
    database,
    role,
    connection,
    catalogOf,
    run: async (statement) => {
      await database.superuser.query(statement)
    },
    problems: async (rules, rights = 'left out') => {
      const { set, catalog } = await catalogOf(rules)
      const fit = rights === 'asked' ? fitPolicies : fitWithoutRights
      return (fit(set, catalog, pseudonymKey()).problems ?? []).map((problem) => told(problem))
    },
    fitted: async (rules) => {
      const { set, catalog } = await catalogOf(rules)
      const { value, problems } = fitWithoutRights(set, catalog, pseudonymKey())
      if (value === undefined) throw new Error(problems.map((problem) => told(problem)).join('\n'))
      return value
    },
    [Symbol.asyncDispose]: async () => {
      await connection[Symbol.asyncDispose]()
      await database.superuser.query(`drop owned by ${role} cascade`)
      await database[Symbol.asyncDispose]()
    },
  }
}

function told({ code, at, message, remedy }: Problem): string {
  return `${at} ${code}: ${message} > ${remedy ?? 'nothing'}`
}

/** The YAML of a rule that purges `table` a year after `started`, and of what `more` adds to it. */
export function purgeRule(table: string, more = ''): string {
  return `  - id: rule
    table: ${table}
    start: started
    keep: 1 year
    then: purge
${more}`
}
