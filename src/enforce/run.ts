/** One run: the lease, then rule after rule in the order of the plan, with its start and end in the journal. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { EXIT, LeaseError, RefusedError, tell, type ExitStatus } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { fingerprint } from '../catalog/fingerprint.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import { releaseLease, takeLease } from '../db/lease.ts'
import { saysAway } from '../db/sqlstate.ts'
import { inTransaction } from '../db/transaction.ts'
import type { EntryDraft, PolicyReference, RunOutcome, Trigger } from '../journal/entry.ts'
import { newestPolicyEntry, unfinishedRun } from '../journal/read.ts'
import type { EvidenceKey } from '../journal/evidence.ts'
import { announceEvidenceKey } from '../journal/evidence-keys.ts'
import type { Checkpointer } from '../journal/checkpointer.ts'
import type { Signer } from '../journal/signature.ts'
import { newestEntryMs, requireSoundHead } from '../journal/sound.ts'
import { appendEntry, type Appended } from '../journal/store.ts'
import { readBoundary } from '../plan/boundary.ts'
import { stateOf } from '../plan/approval.ts'
import { readInstant, tablesReached } from '../plan/make.ts'
import type { PolicySet } from '../policy/policy.ts'
import { willAct, type Plan, type PlannedRule, type Refusal } from '../plan/plan.ts'
import { afterRun, type AfterRun } from './after.ts'
import { batchRowsOf } from './batch-rows.ts'
import { LimitReachedError, type BatchStep } from './batch.ts'
import { CatalogMovedError } from './shape.ts'
import { ClockJumpError, readTrustedClock, type ClockReading } from './clock.ts'
import { DEFAULT_TERMS, giveApproval, putInEffect } from './approve.ts'
import { endRun } from './ended.ts'
import { readGiven } from './standing.ts'
import { unmarkGone } from './statements.ts'
import { outlasting } from './outlast.ts'
import { overdueAfter, overdueBefore, type RuleOverdue } from './overdue.ts'
import type { RowEvidence } from './evidence.ts'
import { publishing } from './publish.ts'
import { CutShortError, cutShort } from './cut.ts'
import { enforceRule, type Progress, type RuleOutcome, type RuleTools } from './rule.ts'

export type RunRequest = {
  readonly db: Db
  readonly clock: Clock
  readonly log: Log
  readonly signer: Signer
  readonly set: PolicySet
  readonly catalog: Catalog
  /** In the order of the plan. */
  readonly rules: readonly FittedRule[]
  readonly plan: Plan
  readonly trigger: Trigger
  /** Digest of the plan file that a person named: its rules count as approved. Null: of none. */
  readonly approval: string | null
  readonly acceptClock: boolean
  /** Most connections that act at once. */
  readonly connections: number
  /** Who holds the lease, for others to read: host and process. */
  readonly holder: string
  /** Aborted: the batch in hand is the last. */
  readonly signal: AbortSignal
  /** Aborted: the batch in hand is rolled back. */
  readonly cut?: AbortSignal | undefined
  /** Commits to each row that is acted on; null: their number is journalled. */
  readonly evidenceKey?: EvidenceKey | null
  /** Signs heads while the run is at work; left out, none is signed. */
  readonly checkpointer?: Checkpointer | undefined
  readonly onProgress?: (progress: Progress) => void
  readonly onStep?: (step: BatchStep) => void | Promise<void>
}

export type RunResult = {
  readonly run: string
  readonly outcome: RunOutcome
  readonly rules: readonly RuleOutcome[]
  /** Rules of mode enforce that the plan would not carry out. */
  readonly refused: readonly ({ readonly rule: string } & Refusal)[]
  /** What was overdue at the plan's cutoff before the run and after it, of rules that say `within`. */
  readonly overdue: readonly RuleOverdue[]
  /** What was done to the tables that it touched, and what may still be recovered. */
  readonly after: AfterRun
  readonly exit: ExitStatus
  /** What ended the run early, if something did. */
  readonly error: unknown
}

/** Carries a plan out. Refuses before the first row if clock, server or journal are not sound. */
export async function enforcePlan(request: RunRequest): Promise<RunResult> {
  const { db, catalog, plan } = request
  if (!plan.enforceable) {
    throw new RefusedError('a plan as of another day cannot be carried out', {
      remedy: 'make a plan without --as-of',
    })
  }
  if (catalog.database.inRecovery) {
    throw new RefusedError('this server is a standby: it cannot be written to', {
      remedy: 'connect to the primary',
    })
  }
  requireEvidenceKey(request)
  const { origin } = await requireSoundHead(db, request.signer)
  const started = await readTrustedClock(db, request.clock, {
    newestEntryMs: await newestEntryMs(db),
    accept: request.acceptClock,
  })
  const lease = await takeLease(db, request.holder)
  const acted = new Map<string, Progress>()
  const onProgress = (progress: Progress): void => {
    acted.set(progress.rule, progress)
    request.onProgress?.(progress)
  }
  const result = await whileLeased({ ...request, onProgress }, { started, lease, origin })
  return { ...result, after: await afterRun(request, acted) }
}

/** A run without what follows it, for which it needs the lease no more. */
type Ran = Omit<RunResult, 'after'>

async function whileLeased(request: RunRequest, held: Held): Promise<Ran> {
  try {
    await closeInterrupted(request)
    await request.checkpointer?.requireAnchored()
    if (request.evidenceKey) await announceEvidenceKey(request, request.evidenceKey)
    const { result, unsound } = await publishing(request, async (signal) =>
      runRules({ ...request, signal }, held),
    )
    return unsound === null ? result : { ...result, exit: unsound.exit, error: unsound }
  } finally {
    // If this fails too, the lease runs out by itself.
    await releaseLease(request.db, held.lease).catch(() => {
      request.log.warn({}, 'lease could not be given back')
    })
  }
}

/** A rule that promises to prove each row does not act without the key for it. */
function requireEvidenceKey({ plan, rules, evidenceKey }: RunRequest): void {
  if (evidenceKey) return
  const acting = new Set(plan.rules.filter(willAct).map(({ rule }) => rule))
  const wanting = rules.find(({ rule }) => rule.evidence === 'rows' && acting.has(rule.id))
  if (wanting === undefined) return
  throw new RefusedError(
    `rule ${wanting.rule.id} keeps evidence of rows, and there is no evidence key`,
    { remedy: 'set RETENTIOND_EVIDENCE_KEY_FILE, or write evidence: count' },
  )
}

function rowEvidence(
  { evidenceKey }: RunRequest,
  { rule }: FittedRule,
  origin: string,
): RowEvidence | null {
  return evidenceKey && rule.evidence !== 'count' ? { key: evidenceKey, origin } : null
}

/** Every run has an end: one that a crash cut short gets its own now, with what it committed. */
async function closeInterrupted(request: RunRequest): Promise<void> {
  const unfinished = await unfinishedRun(request.db)
  if (unfinished === null) return
  await endRun(request, unfinished, 'interrupted')
  request.log.warn({ run: unfinished.run }, 'an interrupted run was closed in the journal')
}

type Held = {
  readonly started: ClockReading
  readonly lease: RuleTools['lease']
  readonly origin: string
}

async function runRules(request: RunRequest, held: Held): Promise<Ran> {
  const { plan, log } = request
  const run = randomUUID()
  const start = await append(request, {
    type: 'run',
    phase: 'start',
    run,
    trigger: request.trigger,
    plan: request.approval ?? plan.digest,
    policySet: plan.policyDigest,
    cutoff: plan.createdAt,
    clockAccepted: request.acceptClock,
  })
  log.info({ run, plan: plan.digest, trigger: request.trigger }, 'run started')
  for (const each of overdueBefore(plan)) log.warn({ run, ...each }, 'overdue before the run')
  const rules: RuleOutcome[] = []
  let failure: { readonly error: unknown } | undefined
  try {
    for (const planned of plan.rules) {
      if (!willAct(planned) || request.signal.aborted) continue
      rules.push(await runRule(request, held, planned, run))
    }
    await outlasting(request, async () => unmarkWhatIsGone(request, start))
  } catch (error) {
    failure = { error }
  }
  const outcome = outcomeOf(request, rules, failure)
  const end = async (): Promise<void> => endRun(request, { run, seq: start.seq }, outcome)
  // A database that was waited for in vain is not waited for again.
  await (saysAway(failure?.error) ? end() : outlasting(request, end))
  log.info({ run, outcome }, 'run ended')
  return {
    run,
    outcome,
    rules,
    refused: refusedRules(plan),
    overdue: failure === undefined ? await overdueAfter(request) : [],
    exit: exitOf(outcome),
    error: failure?.error ?? null,
  }
}

/**
 * A marker is a key in clear: it goes when the application deletes the row, be anything due or not. The
 * rows that this run marked were just there; they are looked for by the next one.
 */
async function unmarkWhatIsGone(
  { db, rules, signal }: RunRequest,
  { seq }: Pick<Appended, 'seq'>,
): Promise<void> {
  const anonymising = rules.filter(
    ({ rule }) => rule.mode === 'enforce' && rule.action.kind === 'anonymise',
  )
  for (const fitted of anonymising) {
    if (signal.aborted) return
    // In a transaction of ours: the text of a key depends on the session.
    await inTransaction(db, async (trx) => unmarkGone(fitted, seq).execute(trx))
  }
}

async function runRule(
  request: RunRequest,
  held: Held,
  planned: PlannedRule,
  run: string,
): Promise<RuleOutcome> {
  const fitted = request.rules.find(({ rule }) => rule.id === planned.rule)
  if (fitted === undefined || fitted.rule.digest !== planned.digest) {
    throw new RefusedError(`rule ${planned.rule} is no longer what the plan saw`, {
      remedy: 'make a new plan',
    })
  }
  const { policy, boundary } = await outlasting(request, async () => {
    await requireApproval(request, fitted, planned)
    const at = { kind: 'instant', at: request.plan.createdAt } as const
    return {
      policy: await policyInEffect(request, fitted),
      boundary: await readBoundary(request.db, fitted, at),
    }
  })
  const evidence = rowEvidence(request, fitted, held.origin)
  const outcome = await enforceRule(
    {
      ...held,
      db: request.db,
      clock: request.clock,
      signer: request.signer,
      log: request.log,
      signal: request.signal,
      cut: request.cut,
      onProgress: request.onProgress ?? (() => {}),
      onStep: async (step) => {
        if (request.cut?.aborted) throw cutShort()
        await request.onStep?.(step)
      },
    },
    {
      fitted,
      boundary,
      fingerprint: fingerprint(tablesReached([fitted], request.catalog)),
      policy,
      run,
      trigger: request.trigger,
      evidence,
      batch: batchRowsOf({ fitted, evidence }),
      rowsAllowed: planned.mostRows,
      walk: planned.walk.kind,
      drops: (planned.walk.drops?.partitions ?? 0) > 0,
      due: planned.counts.due,
      connections: request.connections,
    },
  )
  const error = outcome.error === null ? null : tell(outcome.error)
  request.log.info({ run, ...outcome, error }, 'rule ended')
  return outcome
}

/** A version that nobody approved does not act; a plan file that a person named is an approval. */
async function requireApproval(
  request: RunRequest,
  fitted: FittedRule,
  planned: PlannedRule,
): Promise<void> {
  const { db, catalog, approval } = request
  // Asked again: the plan may be older than a revocation.
  const standing = await readGiven(db, fitted.rule.id)
  const reached = fingerprint(tablesReached([fitted], catalog))
  if (stateOf(fitted, reached, standing, await readInstant(db)) === 'given') return
  if (approval === null) {
    throw new RefusedError(`rule ${fitted.rule.id} has no approval that holds`, {
      remedy: 'run: retentiond plan -o plan.json, read it, then: retentiond approve plan.json',
    })
  }
  await giveApproval(request, { fitted, planned, plan: approval }, DEFAULT_TERMS)
}

/** The journal entry of the rule's version, which its batches rest on. */
async function policyInEffect(request: RunRequest, fitted: FittedRule): Promise<PolicyReference> {
  const { rule } = fitted
  const newest = await newestPolicyEntry(request.db, rule.id)
  return newest?.sha256 === rule.digest ? newest : putInEffect(request, fitted)
}

async function append({ db, signer, clock }: RunRequest, draft: EntryDraft): Promise<Appended> {
  return inTransaction(db, async (trx) => appendEntry(trx, signer, draft, clock))
}

function outcomeOf(
  { signal, plan }: RunRequest,
  rules: readonly RuleOutcome[],
  failure: { readonly error: unknown } | undefined,
): RunOutcome {
  if (failure?.error instanceof CutShortError) return 'interrupted'
  if (failure !== undefined) return failedAs(failure.error)
  const failed = rules.find(({ error }) => error !== null)
  if (failed !== undefined) return failedAs(failed.error)
  if (refusedRules(plan).length > 0) return 'refused'
  if (signal.aborted) return 'stopped'
  return rules.some((rule) => rule.left > 0) ? 'partial' : 'done'
}

function refusedRules(plan: Plan): RunResult['refused'] {
  return plan.rules.flatMap(({ rule, mode, refusal }) =>
    mode === 'enforce' && refusal !== null ? [{ rule, ...refusal }] : [],
  )
}

function failedAs(error: unknown): RunOutcome {
  if (error instanceof LeaseError) return 'lease'
  if (error instanceof ClockJumpError) return 'clock'
  if (error instanceof CatalogMovedError) return 'catalog'
  if (error instanceof RefusedError || error instanceof LimitReachedError) return 'refused'
  return 'failed'
}

function exitOf(outcome: RunOutcome): ExitStatus {
  switch (outcome) {
    case 'done':
    case 'stopped':
      return EXIT.done
    case 'partial':
      return EXIT.partial
    case 'refused':
    case 'clock':
    case 'catalog':
      return EXIT.refused
    case 'lease':
      return EXIT.leaseHeld
    case 'failed':
    case 'interrupted':
      return EXIT.failed
    default:
      return outcome satisfies never
  }
}
