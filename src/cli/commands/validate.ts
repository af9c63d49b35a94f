import { Command } from 'commander'
import { PolicyError } from '../../base/errors.ts'
import { prepare } from '../../plan/prepare.ts'
import { trialProblems } from '../../plan/trials.ts'
import { printPeriod } from '../../policy/period.ts'
import type { PolicySet } from '../../policy/policy.ts'
import {
  loadConfigured,
  openGoverned,
  pseudonymKey,
  warnOfPowers,
  type CliContext,
} from '../context.ts'
import { columns } from '../output.ts'

/** `validate`: the policies alone, or with `--database` against the tables they speak of. */
export function validateCommand(context: CliContext): Command {
  return new Command('validate')
    .description('check the policies, and with --database also against the tables they name')
    .argument('[folder]', 'folder of policies (default: RETENTIOND_POLICIES, else ./policies)')
    .option('--database', 'also fit the rules to the database, and find tables that have none')
    .action(async (folder: string | undefined, options: { readonly database?: boolean }) => {
      const set = await loadConfigured(context, folder)
      if (options.database === true) {
        await using connection = await openGoverned(context, set)
        const prepared = await prepare(connection.db, set, await pseudonymKey(context))
        warnOfPowers(context, prepared.powers)
        const problems = [...prepared.findings, ...(await trialProblems(connection.db, prepared))]
        if (problems.length > 0) throw new PolicyError(problems)
      }
      context.out(renderSet(set, options.database === true))
    })
}

function renderSet(set: PolicySet, fitted: boolean): string {
  const rows = set.rules.map((rule) => [
    rule.id,
    `${rule.table.schema}.${rule.table.name}`,
    rule.action.kind,
    printPeriod(rule.keep),
    rule.mode,
    rule.digest.slice(0, 12),
  ])
  const table = columns([['RULE', 'TABLE', 'ACTION', 'KEEP', 'MODE', 'DIGEST'], ...rows])
  const files = new Set(set.policies.map((policy) => policy.file)).size
  return [
    table,
    `${set.rules.length} ${set.rules.length === 1 ? 'rule' : 'rules'} in ${files} ${files === 1 ? 'file' : 'files'}${fitted ? ', fitted to the database' : ''}`,
    `policies ${set.digest}`,
    '',
  ].join('\n')
}
