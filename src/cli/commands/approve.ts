import { Command, InvalidArgumentError, Option } from 'commander'
import { checkMigrated } from '../../db/migrate.ts'
import {
  approvePlan,
  DEFAULT_TERMS,
  LIMITS,
  revokeApproval,
  type Terms,
} from '../../enforce/approve.ts'
import { listApprovals, type ListedApproval } from '../../enforce/standing.ts'
import type { Plan } from '../../plan/plan.ts'
import { prepare } from '../../plan/prepare.ts'
import { readPeriod } from '../../policy/period.ts'
import type { Period } from '../../policy/policy.ts'
import {
  loadConfigured,
  openConnection,
  openGoverned,
  pseudonymKey,
  type CliContext,
  openSigner,
  guard,
} from '../context.ts'
import { columns, json } from '../output.ts'
import { readPlan } from '../plan-file.ts'

type Options = {
  readonly rule?: readonly string[]
  readonly expires?: Period
  readonly maxRows?: number
  readonly liftLimits?: boolean
}

/** `approve`: lets rules act from their next run on, as the plan shows them; lists and revokes that. */
export function approveCommand(context: CliContext): Command {
  return new Command('approve')
    .description('let the rules of a plan act from their next run on, without acting now')
    .argument('<file>', 'a plan made with: plan -o <file>')
    .option('--rule <id...>', 'only these rules, also if they are approved already')
    .option('--expires <period>', 'how long it holds: 90 days; a year by default', period)
    .option(
      '--max-rows <n>',
      'most rows of a table for one run; by default twice the planned ones, and a thousand',
      rows,
    )
    .option('--lift-limits', 'also rules that the plan refuses by a limit, for the rows planned')
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context))
    .action(async (file: string, options: Options) => {
      const set = await loadConfigured(context)
      const signer = await openSigner(context)
      const plan = await readPlan(file)
      await using connection = await openGoverned(context, set)
      const { db } = connection
      await checkMigrated(db)
      await guard(context, { db, sinks: 'left alone' })
      const request = {
        ...(await prepare(db, set, await pseudonymKey(context))),
        db,
        set,
        signer,
        clock: context.clock,
      }
      const taken = await approvePlan(request, plan, termsOf(options))
      context.out(
        taken.length === 0
          ? 'nothing to approve: every rule that the plan would carry out was approved before\n'
          : `approved ${taken.join(', ')}\n`,
      )
      context.err(remarksOn(plan, taken, options.rule ?? null))
    })
}

/** What a person who approved a plan with refused rules in it would wonder about later. */
function remarksOn(plan: Plan, taken: readonly string[], only: readonly string[] | null): string {
  const refused = plan.rules.filter(({ mode, refusal }) => mode === 'enforce' && refusal !== null)
  const lifted = refused.filter(({ rule }) => taken.includes(rule))
  const left = refused.filter(({ rule, phase }) => {
    const isNamed = only === null || only.includes(rule) || only.includes(phase?.rule ?? rule)
    return isNamed && !taken.includes(rule)
  })
  const idsOf = (rules: typeof refused): string => rules.map(({ rule }) => rule).join(', ')
  return [
    ...left.map(({ rule, refusal }) => `not approved: ${rule}: ${refusal?.message ?? ''}\n`),
    ...(left.some(({ refusal }) => refusal !== null && LIMITS.has(refusal.code))
      ? ['  --lift-limits also approves what a limit refuses, for the rows planned\n']
      : []),
    ...(lifted.length === 0
      ? []
      : [
          `note: this plan still refuses ${idsOf(lifted)}: make a new one for enforce --plan; scheduled runs need none\n`,
        ]),
  ].join('')
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('the newest approval of each rule, and how it stands')
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async ({ output }: { readonly output: 'text' | 'json' }) => {
      await using connection = await openConnection(context)
      await checkMigrated(connection.db)
      const listed = await listApprovals(connection.db)
      context.out(output === 'json' ? json(1, { approvals: listed.map(asJson) }) : asText(listed))
    })
}

function revokeCommand(context: CliContext): Command {
  return new Command('revoke')
    .description('take an approval back: the rule acts no more until it is approved again')
    .argument('<rule>', 'id of the rule, or the approval as list prints it')
    .action(async (named: string) => {
      const signer = await openSigner(context)
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      await guard(context, { db, sinks: 'left alone' })
      const revoked = await revokeApproval({ db, signer, clock: context.clock }, named)
      for (const { rule, approval } of revoked) {
        context.out(`revoked ${approval.slice(0, 12)} of ${rule}\n`)
      }
    })
}

function termsOf({ rule, expires, maxRows, liftLimits }: Options): Terms {
  return {
    only: rule ?? null,
    expires: expires ?? DEFAULT_TERMS.expires,
    maxRows: maxRows ?? null,
    liftLimits: liftLimits ?? false,
  }
}

function asText(listed: readonly ListedApproval[]): string {
  if (listed.length === 0) return 'nothing was approved yet\n'
  const lines = listed.map(({ rule, approval, state, body }) => [
    rule,
    approval.slice(0, 12),
    state,
    body?.givenAt.slice(0, 10) ?? '',
    body?.expiresAt.slice(0, 10) ?? '',
    body?.tables.map(({ table, rows: most }) => `${table} ${most}`).join(', ') ?? '',
  ])
  const header = ['RULE', 'APPROVAL', 'STATE', 'GIVEN', 'UNTIL', 'MOST ROWS OF A RUN']
  return `${columns([header, ...lines])}\n`
}

function asJson({ rule, approval, state, body }: ListedApproval) {
  return {
    rule,
    approval,
    state,
    given_at: body?.givenAt ?? null,
    expires_at: body?.expiresAt ?? null,
    rule_digest: body?.ruleDigest ?? null,
    plan: body?.plan ?? null,
    lifts: body?.lifts ?? null,
    tables: body?.tables ?? [],
  }
}

function period(text: string): Period {
  const read = readPeriod(text)
  if (read.value !== undefined) return read.value
  throw new InvalidArgumentError(read.faults[0]?.message ?? 'write for example 90 days')
}

function rows(text: string): number {
  const count = Number(text)
  if (/^\d{1,15}$/.test(text) && count > 0) return count
  throw new InvalidArgumentError('write a number of rows')
}
