import { writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { DateTime } from 'luxon'
import { EXIT } from '../../base/errors.ts'
import { approvalsToRead } from '../../enforce/standing.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { renderPlanFile } from '../../plan/file.ts'
import { makePlan, type Stand } from '../../plan/make.ts'
import { willAct, type Plan } from '../../plan/plan.ts'
import { prepare } from '../../plan/prepare.ts'
import { renderPlan } from '../../plan/render.ts'
import { withTrials } from '../../plan/trials.ts'
import {
  fileError,
  loadConfigured,
  openGoverned,
  pseudonymKey,
  warnOfMissingEvidence,
  warnOfPowers,
  type CliContext,
} from '../context.ts'

type Options = {
  readonly asOf?: string
  readonly output: 'text' | 'json'
  readonly o?: string
  readonly detailedExitcode?: boolean
}

/** `plan`: what a run would do, printed; with `-o` also as the file that `enforce --plan` takes. */
export function planCommand(context: CliContext): Command {
  return new Command('plan')
    .description('say what a run would do, without doing it')
    .option(
      '--as-of <date>',
      'stand at another day (YYYY-MM-DD); such a plan is never enforceable',
      day,
    )
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .option('-o <file>', 'also write the plan to a file, for enforce --plan')
    .option('--detailed-exitcode', 'exit 2 if rows are due, 3 if a rule was refused')
    .action(async (options: Options) => {
      const plan = await planNow(context, options.asOf)
      if (options.o !== undefined) await writePlan(options.o, plan)
      context.out(options.output === 'json' ? renderPlanFile(plan) : renderPlan(plan))
      if (options.detailedExitcode === true) context.exit(detailedExit(plan))
    })
}

async function planNow(context: CliContext, asOf: string | undefined): Promise<Plan> {
  const set = await loadConfigured(context)
  warnOfMissingEvidence(context, set)
  await using connection = await openGoverned(context, set)
  await checkMigrated(connection.db)
  const prepared = await prepare(connection.db, set, await pseudonymKey(context))
  const { catalog, rules, findings, powers } = prepared
  warnOfPowers(context, powers)
  const stand: Stand = asOf === undefined ? { kind: 'now' } : { kind: 'day', day: asOf }
  const plan = await makePlan(connection.db, {
    policyDigest: set.digest,
    catalog,
    rules,
    stand,
    approved: await approvalsToRead(connection.db),
    findings,
  })
  return await withTrials(connection.db, prepared, plan)
}

async function writePlan(file: string, plan: Plan): Promise<void> {
  await writeFile(file, renderPlanFile(plan)).catch((error: unknown) => {
    throw fileError(file, 'write', error)
  })
}

/** Refusal beats what is due. */
function detailedExit(plan: Plan) {
  if (plan.rules.some((rule) => rule.refusal !== null)) return EXIT.refused
  return plan.rules.some((rule) => willAct(rule)) ? EXIT.due : EXIT.done
}

function day(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text) && DateTime.fromISO(text).isValid) return text
  throw new InvalidArgumentError('write a date as YYYY-MM-DD')
}
