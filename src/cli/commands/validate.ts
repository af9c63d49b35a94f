import { Command, Option } from 'commander'
import { PolicyError } from '../../base/errors.ts'
import { printTable } from '../../base/names.ts'
import { inSnapshot } from '../../db/transaction.ts'
import { findConflicts, type Conflict } from '../../plan/conflicts.ts'
import { renderConflicts } from '../../plan/conflicts-text.ts'
import { readInstant } from '../../plan/make.ts'
import { prepare } from '../../plan/prepare.ts'
import { isMigrated, trialProblems } from '../../plan/trials.ts'
import { printPeriod } from '../../policy/period.ts'
import type { PolicySet } from '../../policy/policy.ts'
import {
  loadConfigured,
  openGoverned,
  pseudonymKey,
  warnOfLostGuards,
  warnOfMissingEvidence,
  warnOfPowers,
  type CliContext,
} from '../context.ts'
import { columns, json } from '../output.ts'

/** `validate`: the policies alone, or with `--database` against the tables they speak of. */
export function validateCommand(context: CliContext): Command {
  return new Command('validate')
    .description('check the policies, and with --database also against the tables they name')
    .argument('[folder]', 'folder of policies (default: RETENTIOND_POLICIES, else ./policies)')
    .option('--database', 'also fit the rules to the database, and find tables that have none')
    .option('--no-conflicts', 'with --database: do not count the rows on which rules meet')
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async (folder: string | undefined, options: Options) => {
      const set = await loadConfigured(context, folder)
      warnOfMissingEvidence(context, set)
      const checked = options.database === true ? await checkDatabase(context, set, options) : null
      context.out(
        options.output === 'json' ? json(1, asJson(set, checked)) : renderSet(set, checked),
      )
    })
}

type Options = {
  readonly database?: boolean
  readonly conflicts: boolean
  readonly output: 'text' | 'json'
}

/** `conflicts` is null if they were not counted. */
type Checked = { readonly database: string; readonly conflicts: readonly Conflict[] | null }

async function checkDatabase(
  context: CliContext,
  set: PolicySet,
  { conflicts }: Options,
): Promise<Checked> {
  await using connection = await openGoverned(context, set)
  const { db } = connection
  const prepared = await prepare(db, set, await pseudonymKey(context))
  warnOfPowers(context, prepared.powers)
  const problems = [...prepared.findings, ...(await trialProblems(db, prepared))]
  if (problems.length > 0) throw new PolicyError(problems)
  const database = prepared.catalog.database.name
  const migrated = await isMigrated(db)
  if (migrated) await warnOfLostGuards(context, db)
  if (!conflicts) return { database, conflicts: null }
  if (!migrated) {
    context.err('note: conflicts are counted once the journal is there: retentiond migrate\n')
    return { database, conflicts: null }
  }
  const found = await inSnapshot(db, async (trx) =>
    findConflicts(trx, prepared.rules, { kind: 'instant', at: await readInstant(trx) }),
  )
  return { database, conflicts: found }
}

function asJson(set: PolicySet, checked: Checked | null) {
  return {
    policy_digest: set.digest,
    database: checked?.database ?? null,
    rules: set.rules.map((rule) => ({
      rule: rule.id,
      table: printTable(rule.table),
      action: rule.action.kind,
      keep: printPeriod(rule.keep),
      mode: rule.mode,
      digest: rule.digest,
    })),
    conflicts: checked?.conflicts ?? null,
  }
}

function renderSet(set: PolicySet, checked: Checked | null): string {
  const rows = set.rules.map((rule) => [
    rule.id,
    printTable(rule.table),
    rule.action.kind,
    printPeriod(rule.keep),
    rule.mode,
    rule.digest.slice(0, 12),
  ])
  const table = columns([['RULE', 'TABLE', 'ACTION', 'KEEP', 'MODE', 'DIGEST'], ...rows])
  const files = new Set(set.policies.map((policy) => policy.file)).size
  return [
    table,
    `${set.rules.length} ${set.rules.length === 1 ? 'rule' : 'rules'} in ${files} ${files === 1 ? 'file' : 'files'}${checked === null ? '' : `, fitted to the database ${checked.database}`}`,
    `policies ${set.digest}`,
    ...(checked?.conflicts ? ['', renderConflicts(checked.conflicts)] : ['']),
  ].join('\n')
}
