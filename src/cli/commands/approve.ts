import { Command } from 'commander'
import { checkMigrated } from '../../db/migrate.ts'
import { approvePlan } from '../../enforce/approve.ts'
import { readKeyFile } from '../../journal/key-file.ts'
import { prepare } from '../../plan/prepare.ts'
import { required } from '../config.ts'
import { loadConfigured, openConnection, pseudonymKey, type CliContext } from '../context.ts'
import { readPlan } from '../plan-file.ts'

/** `approve`: lets new or changed rules act from their next run on, as the plan shows them. */
export function approveCommand(context: CliContext): Command {
  return new Command('approve')
    .description('let the rules of a plan act from their next run on, without acting now')
    .argument('<file>', 'a plan made with: plan -o <file>')
    .action(async (file: string) => {
      const set = await loadConfigured(context)
      const signer = await readKeyFile(required(context.config().entryKeyFile))
      const plan = await readPlan(file)
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      const request = {
        ...(await prepare(db, set, await pseudonymKey(context))),
        db,
        set,
        signer,
        clock: context.clock,
      }
      const taken = await approvePlan(request, plan)
      context.out(
        taken.length === 0
          ? 'every rule that the plan would carry out was approved before\n'
          : `approved ${taken.join(', ')}\n`,
      )
    })
}
