import { Command, Option } from 'commander'
import { ConfigError, UsageError } from '../../base/errors.ts'
import { printTable } from '../../base/names.ts'
import { didYouMean } from '../../base/nearest.ts'
import { columnOf, rowKey, type Table } from '../../catalog/catalog.ts'
import { inspectCatalog } from '../../catalog/inspect.ts'
import { grantFor, isMet, type Need } from '../../catalog/needs.ts'
import type { Db } from '../../db/connect.ts'
import type { KeyColumn } from '../../db/governed.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { saysRowRefused } from '../../db/sqlstate.ts'
import { inSnapshot } from '../../db/transaction.ts'
import { approvalsToRead } from '../../enforce/standing.ts'
import { renderExplanation, type Language } from '../../plan/explain-text.ts'
import { renderExplanationJson } from '../../plan/explain-json.ts'
import { explainRecord, type Explanation } from '../../plan/explain.ts'
import { makePlan, readInstant, type Stand } from '../../plan/make.ts'
import { prepare } from '../../plan/prepare.ts'
import { readTable } from '../../policy/name.ts'
import { loadConfigured, openGoverned, pseudonymKey, type CliContext } from '../context.ts'

type Options = {
  readonly lang: Language
  readonly output: 'text' | 'json'
  readonly limits?: boolean
}

/** `explain`: why one record is kept, or when it may go. */
export function explainCommand(context: CliContext): Command {
  return new Command('explain')
    .description('say why one record is kept, or when it may go: every rule that reaches it')
    .argument('<table>', 'schema.table')
    .argument('<key...>', 'the key of the row, a value for each of its columns')
    .addOption(
      new Option('--lang <language>', 'language of the sentences')
        .choices(['en', 'fr'])
        .default('en'),
    )
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .option('--limits', 'also count all records of the rules, to say what a limit refuses')
    .action(async (name: string, values: readonly string[], options: Options) => {
      const explanation = await explainNow(context, { name, values, options })
      context.out(
        options.output === 'json'
          ? renderExplanationJson(explanation)
          : renderExplanation(explanation, options.lang),
      )
    })
}

type Asked = {
  readonly name: string
  readonly values: readonly string[]
  readonly options: Options
}

async function explainNow(
  context: CliContext,
  { name, values, options }: Asked,
): Promise<Explanation> {
  const set = await loadConfigured(context)
  await using connection = await openGoverned(context, set)
  const { db } = connection
  await checkMigrated(db)
  const { rules, catalog } = await prepare(db, set, await pseudonymKey(context))
  const table = await findTable(db, name)
  const key = keyOf(table, values)
  requireKey(table, key, catalog.database.role)
  const approved = await approvalsToRead(db)
  const policyDigest = set.digest
  const counted =
    options.limits === true
      ? { plan: await makePlan(db, { policyDigest, catalog, rules, stand: NOW, approved }) }
      : {}
  const approvals = { approved, catalog }
  return await inSnapshot(db, async (trx) => {
    const at = await readInstant(trx)
    return explainRecord(trx, { rules, table, key, values, at, approvals, ...counted })
  }).catch((error: unknown) => {
    if (!saysRowRefused(error)) throw error
    throw new UsageError(`the key of ${name} is not of the type of its columns`, {
      cause: error,
      remedy: `give ${key.map((column) => `${column.name} (${column.type.name})`).join(', ')}`,
    })
  })
}

/** No rule needs the key of a table whose rows only refer to others. */
function requireKey(table: Table, key: readonly KeyColumn[], role: string): void {
  const columns = key.map((column) => column.name)
  const need: Need = { table, right: 'select', columns, why: 'to find the row' }
  if (isMet(need)) return
  throw new ConfigError(`role ${role} may not read the key of ${printTable(table)}`, {
    remedy: grantFor(need, role),
  })
}

const NOW: Stand = { kind: 'now' }

async function findTable(db: Db, printed: string): Promise<Table> {
  const name = readTable(printed).value ?? { schema: '', name: printed }
  const catalog = await inspectCatalog(db, [name])
  const table = catalog.tables.get(printTable(name))
  if (table !== undefined) return table
  const near = didYouMean(printed, catalog.known)
  throw new ConfigError(`there is no table ${printed} in database ${catalog.database.name}`, {
    remedy: near ?? 'write it as schema.table',
  })
}

function keyOf(table: Table, values: readonly string[]): readonly KeyColumn[] {
  const key = rowKey(table)
  const columns = (key?.columns ?? []).flatMap((name) => {
    const column = columnOf(table, name)
    return column === undefined ? [] : [{ name, type: column.type }]
  })
  if (columns.length === values.length && columns.length > 0) return columns
  throw new UsageError(
    `a row of ${table.schema}.${table.name} is named by ${columns.length} values, not ${values.length}`,
    { remedy: `give ${columns.map((column) => column.name).join(', ')}, in this order` },
  )
}
