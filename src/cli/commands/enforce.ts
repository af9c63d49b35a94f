import { hostname } from 'node:os'
import { Command, Option } from 'commander'
import { tell, type ToldError } from '../../base/errors.ts'
import { enforceNow, enforceFile, type EnforceRequest } from '../../enforce/requests.ts'
import { approvals } from '../../enforce/standing.ts'
import type { RunResult } from '../../enforce/run.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { treeHead } from '../../journal/nodes.ts'
import { printTreeHead } from '../../journal/merkle.ts'
import type { RefusalCode } from '../../plan/plan.ts'
import { prepare } from '../../plan/prepare.ts'
import {
  checkpointer,
  evidenceKey,
  loadConfigured,
  openGoverned,
  cuttingShort,
  pseudonymKey,
  warnOfPowers,
  type CliContext,
  openSigner,
  guard,
} from '../context.ts'
import { nameFailure } from '../failure.ts'
import { readPlan } from '../plan-file.ts'
import { json } from '../output.ts'
import { progressOn } from '../progress.ts'
import { renderRun } from '../run-text.ts'

const FOR_WANT_OF_APPROVAL: ReadonlySet<RefusalCode> = new Set([
  'not_approved',
  'approval_expired',
  'over_approval',
])

type Options = {
  readonly plan?: string
  readonly acceptClock?: boolean
  readonly output: 'text' | 'json'
}

/** `enforce`: carries out a plan file, or what is due under rules that were approved before. */
export function enforceCommand(context: CliContext): Command {
  return new Command('enforce')
    .description('act on what is due: purge, anonymise, and journal it')
    .option('--plan <file>', 'carry out this plan, made with: plan -o <file>')
    .option(
      '--accept-clock',
      'accept that more than 30 days have passed since the last journal entry',
    )
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async (options: Options) => {
      const set = await loadConfigured(context)
      const signer = await openSigner(context)
      const approved = options.plan === undefined ? null : await readPlan(options.plan)
      const { connections } = context.config()
      await using connection = await openGoverned(context, set, { max: connections })
      const { db } = connection
      await checkMigrated(db)
      using progress = progressOn(context)
      await guard(context, { db, log: progress.log, sinks: 'asked' })
      const { powers, ...prepared } = await prepare(db, set, await pseudonymKey(context))
      warnOfPowers(context, powers)
      const latest: { note: string | null } = { note: null }
      const request: EnforceRequest = {
        ...prepared,
        db,
        set,
        signer,
        clock: context.clock,
        log: progress.log,
        trigger: 'manual',
        acceptClock: options.acceptClock ?? false,
        holder: `enforce on ${hostname()}, process ${process.pid}`,
        connections,
        signal: context.stopSignal(),
        cut: cuttingShort(context, connection),
        evidenceKey: await evidenceKey(context),
        checkpointer: await checkpointer(
          context,
          { db, signer, clock: context.clock, log: progress.log },
          (signed) => {
            latest.note = signed.note
          },
        ),
        onProgress: progress.show,
      }
      const result =
        approved === null
          ? await enforceNow(request, await approvals(db))
          : await enforceFile(request, approved)
      progress.end()
      const head = printTreeHead(await treeHead(db))
      context.out(
        options.output === 'json' ? renderJson(result, head, latest.note) : renderRun(result, head),
      )
      if (latest.note !== null && options.output === 'text') context.out(`\n${latest.note}`)
      if (result.refused.some(({ code }) => FOR_WANT_OF_APPROVAL.has(code))) {
        context.err(
          'to approve: retentiond plan -o plan.json, read it, then: retentiond approve plan.json\n',
        )
      }
      context.exit(result.exit)
      if (result.error !== null) throw result.error
    })
}

function withoutFrames(error: unknown): ToldError {
  const { at: _frames, ...told } = tell(nameFailure(error))
  return told
}

function renderJson(result: RunResult, head: string, checkpoint: string | null): string {
  return json(1, {
    run: result.run,
    outcome: result.outcome,
    rules: result.rules.map(({ error, childRows, refusedRows, ...rule }) => ({
      ...rule,
      child_rows: childRows,
      refused_rows: refusedRows,
      error: error?.message ?? null,
    })),
    refused: result.refused,
    overdue: result.overdue,
    tended: result.after.tended,
    residue: result.after.residue,
    error: result.error === null ? null : withoutFrames(result.error),
    journal: head,
    checkpoint,
  })
}
