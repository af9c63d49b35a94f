/** Runs that a schedule asks for. What goes wrong in one is logged, and decides when the next may be. */
import { hostname } from 'node:os'
import type { Clock } from '../base/clock.ts'
import { ConfigError, EXIT, LeaseError, PolicyError, RetentionError, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Problem } from '../base/problem.ts'
import { sleep } from '../base/sleep.ts'
import type { Power } from '../catalog/inspect-role.ts'
import type { Db } from '../db/connect.ts'
import { ranOutOf, saysAway } from '../db/sqlstate.ts'
import { untilOpenMs } from '../enforce/pace.ts'
import { enforceNow } from '../enforce/requests.ts'
import type { RunResult } from '../enforce/run.ts'
import { approvals } from '../enforce/standing.ts'
import type { Checkpointer } from '../journal/checkpointer.ts'
import type { EvidenceKey } from '../journal/evidence.ts'
import { printTreeHead } from '../journal/merkle.ts'
import { treeHead } from '../journal/nodes.ts'
import type { Signer } from '../journal/signature.ts'
import { prepare } from '../plan/prepare.ts'
import type { PolicySet } from '../policy/policy.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import { untilReachable, waitMs, type Reaching } from './reach.ts'

/** What scheduled runs work with, as long as the daemon lives. */
export type ScheduledTools = {
  readonly db: Db
  /** Asks the database for one answer; throws what is in the way of it. */
  readonly ask: () => Promise<void>
  readonly signer: Signer
  /** Null: no rule may pseudonymise. */
  readonly pseudonyms: PseudonymKey | null
  readonly clock: Clock
  readonly log: Log
  /** Most connections that act at once. */
  readonly connections: number
  /** Whether to run as a role that may do more than the rules need. */
  readonly powerfulRole: 'refuse' | 'accept'
  /** Commits to each row that is acted on; left out, their number is journalled. */
  readonly evidenceKey?: EvidenceKey | null
  /** Signs checkpoints; left out, none is signed. */
  readonly checkpointer?: Checkpointer | undefined
  /** Aborted: finish the batch in hand and stop. */
  readonly signal: AbortSignal
  /** Aborted: do not finish it. */
  readonly cut?: AbortSignal
}

export type State = {
  /** The policies in use. */
  set: PolicySet
  /** False before it was verified, and once a run found it unsound: then until a restart. */
  journal: boolean
  /** The last look found a rule, a reference or an exemption for every table in scope. */
  covered: boolean
  /** Nothing is run before, by the monotonic clock, since the server had run out of something. */
  restUntilMs: number
  /** Rules that are run when that is over. */
  readonly resting: Set<string>
}

export function openState(set: PolicySet): State {
  return {
    set,
    journal: false,
    covered: true,
    restUntilMs: Number.NEGATIVE_INFINITY,
    resting: new Set(),
  }
}

/** A rule that is to be run once more, so many milliseconds from now. */
export type Later = { readonly id: string; readonly ms: number }

/** A server without disk space is not helped by being asked again: somebody has to make room. */
const REST_MS = 15 * 60_000

/** Runs that the database went away from, one after the other; then the schedule asks again. */
const MOST_ATTEMPTS = 5

/**
 * One scheduled run, and again if the database went away from it, once that answers. Says which rules
 * to run beside their schedules.
 */
export async function runScheduled(
  tools: ScheduledTools,
  state: State,
  ids: ReadonlySet<string>,
): Promise<readonly Later[]> {
  const { clock, signal } = tools
  if (state.restUntilMs > clock.monotonicMs()) return rest(tools, state, ids)
  state.resting.clear()
  for (let attempt = 0; attempt < MOST_ATTEMPTS && !signal.aborted; attempt += 1) {
    const { result, error } = await runOnce(tools, state, ids)
    if (ranOutOf(error) !== null) {
      state.restUntilMs = clock.monotonicMs() + REST_MS
      return rest(tools, state, ids)
    }
    if (!saysAway(error)) return resuming(tools, state, result)
    await sleep(waitMs(attempt, Math.random()), signal)
    if (!(await untilReachable(reaching(tools)))) return []
  }
  return []
}

/** How the daemon waits for its database. */
export function reaching({ ask, log, signal }: ScheduledTools): Reaching {
  return { ask, log, signal, sleep: async (ms) => sleep(ms, signal), random: Math.random }
}

/** Leaves a server alone that had run out of something; each rule is asked for once when that is over. */
function rest(
  { clock, log }: ScheduledTools,
  state: State,
  ids: ReadonlySet<string>,
): readonly Later[] {
  const ms = state.restUntilMs - clock.monotonicMs()
  const minutes = Math.ceil(ms / 60_000)
  log.warn({ rules: [...ids], minutes }, 'not run for a while: the server had run out of something')
  const asked = [...ids].filter((id) => !state.resting.has(id))
  for (const id of asked) state.resting.add(id)
  return asked.map((id) => ({ id, ms }))
}

/** A guard that the role can pass by is none, so that nothing runs unless the operator said so. */
export function judgePowers({ log, powerfulRole }: ScheduledTools, powers: readonly Power[]): void {
  for (const power of powers) log.warn(power, 'powerful role')
  const [first, ...more] = powers
  if (first === undefined || powerfulRole === 'accept') return
  throw new ConfigError(`${first.message}${more.length === 0 ? '' : `; and ${more.length} more`}`, {
    remedy: `${first.remedy} Or accept it: RETENTIOND_POWERFUL_ROLE=accept`,
  })
}

/** What has a rule must not wait for what has none, so a finding is said and the run goes on. */
export function logFindings(log: Log, state: State, findings: readonly Problem[]): void {
  state.covered = findings.length === 0
  for (const { code, at, path, message, remedy } of findings) {
    log.warn({ code, at, path, message, remedy }, 'coverage finding')
  }
}

/** What became of a run, and what went wrong, if anything did. */
type Ran = { readonly result: RunResult | null; readonly error: unknown }

const NOT_RUN: Ran = { result: null, error: null }

/** What goes wrong is logged; only an unsound journal stops the ones to come. */
async function runOnce(
  options: ScheduledTools,
  state: State,
  ids: ReadonlySet<string>,
): Promise<Ran> {
  const { db, signer, pseudonyms, clock, log, signal } = options
  // Policies that are read again meanwhile are not for this run.
  const { set } = state
  if (!set.rules.some(({ id }) => ids.has(id))) return NOT_RUN
  if (!state.journal) {
    log.error({ rules: [...ids] }, 'not run: the journal is not sound; enforcement stays off')
    return NOT_RUN
  }
  try {
    const { catalog, rules, findings, powers } = await prepare(db, set, pseudonyms)
    logFindings(log, state, findings)
    judgePowers(options, powers)
    const result = await enforceNow(
      {
        db,
        set,
        catalog,
        rules: rules.filter(({ rule }) => ids.has(rule.id)),
        signer,
        clock,
        log,
        trigger: 'schedule',
        acceptClock: false,
        holder: `daemon on ${hostname()}, process ${process.pid}`,
        evidenceKey: options.evidenceKey ?? null,
        checkpointer: options.checkpointer,
        connections: options.connections,
        signal,
        cut: options.cut,
      },
      await approvals(db),
    )
    for (const refusal of result.refused) log.warn(refusal, 'rule refused')
    // The one thing to keep where nobody of the database can write: the log is shipped away.
    log.info({ journal: printTreeHead(await treeHead(db)) }, 'journal head')
    if (result.error !== null) logFailure(log, state, result.error)
    return { result, error: result.error }
  } catch (error) {
    logFailure(log, state, error)
    return { result: null, error }
  }
}

/** Rules whose window closed on them go on when it opens again, whatever their schedule. */
function resuming(
  { clock, log }: ScheduledTools,
  { set }: State,
  result: RunResult | null,
): readonly Later[] {
  const ended = (result?.rules ?? []).filter((rule) => rule.ended === 'window' && rule.left > 0)
  return ended.flatMap(({ rule: id }) => {
    const window = set.rules.find((rule) => rule.id === id)?.pace.window ?? null
    if (window === null) return []
    const ms = untilOpenMs(window, clock.now())
    log.info({ rule: id, minutes: Math.round(ms / 60_000) }, 'goes on when its window opens')
    return [{ id, ms }]
  })
}

/** Says what went wrong, and what that means for the runs to come. */
export function logFailure(log: Log, state: State, error: unknown, what = 'run failed'): void {
  if (error instanceof LeaseError) {
    log.info({ err: tell(error) }, 'another instance is enforcing')
    return
  }
  if (error instanceof RetentionError && error.exit === EXIT.journalUnsound) state.journal = false
  if (error instanceof PolicyError) {
    for (const { code, at, path, message, remedy } of error.problems) {
      log.error({ code, at, path, message, remedy }, 'policy problem')
    }
  }
  log.error({ err: tell(error) }, what)
}
