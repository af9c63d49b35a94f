/** The long-running worker: starts its parts in order, and closes them in the reverse order. */
import { hostname } from 'node:os'
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { ConfigError, EXIT, LeaseError, PolicyError, RetentionError, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Problem } from '../base/problem.ts'
import { sleep } from '../base/sleep.ts'
import type { Power } from '../catalog/inspect-role.ts'
import type { Db } from '../db/connect.ts'
import { checkMigrated } from '../db/migrate.ts'
import { untilOpenMs } from '../enforce/pace.ts'
import { enforceNow } from '../enforce/requests.ts'
import type { RunResult } from '../enforce/run.ts'
import { approvals } from '../enforce/standing.ts'
import type { EvidenceKey } from '../journal/evidence.ts'
import type { Checkpointer } from '../journal/checkpointer.ts'
import { findLostGuards, LOST_GUARD_REMEDY } from '../journal/guards.ts'
import { printTreeHead } from '../journal/merkle.ts'
import { treeHead } from '../journal/nodes.ts'
import type { Signer } from '../journal/signature.ts'
import { requireSoundJournal } from '../journal/sound.ts'
import { makePlan } from '../plan/make.ts'
import { rowsPlanned } from '../plan/plan.ts'
import { prepare } from '../plan/prepare.ts'
import type { PolicySet } from '../policy/policy.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import { healthApp, type Readiness } from './health.ts'
import { openHttp } from './http.ts'
import { deliver, DELIVERY, pulse, PULSE } from './pulse.ts'
import { untilReachable } from './reach.ts'
import { byCron, openScheduler, type SetAlarm } from './schedule.ts'

export type DaemonOptions = {
  readonly db: Db
  /** Asks the database for one answer; throws what is in the way of it. */
  readonly ask: () => Promise<void>
  /** Throws unless the journal continues what is remembered outside the database; left out, nothing is. */
  readonly guard?: () => Promise<void>
  readonly set: PolicySet
  readonly signer: Signer
  /** Null: no rule may pseudonymise. */
  readonly pseudonyms: PseudonymKey | null
  readonly clock: Clock
  readonly log: Log
  /** Most connections that act at once. */
  readonly connections: number
  readonly listen: { readonly host: string; readonly port: number }
  /** Whether to run as a role that may do more than the rules need. */
  readonly powerfulRole: 'refuse' | 'accept'
  /** What wakes it up; cron, if nothing else is given. */
  readonly setAlarm?: SetAlarm
  /** What wakes it up for the journal alone; cron, if nothing else is given. */
  readonly setPulse?: SetAlarm
  /** What wakes it up for sinks that failed; cron, if nothing else is given. */
  readonly setDelivery?: SetAlarm
  /** Commits to each row that is acted on; left out, their number is journalled. */
  readonly evidenceKey?: EvidenceKey | null
  /** Signs checkpoints; left out, none is signed. */
  readonly checkpointer?: Checkpointer | undefined
  /** Aborted: finish the batch in hand and stop. */
  readonly signal: AbortSignal
}

type State = {
  /** False before it was verified, and once a run found it unsound: then until a restart. */
  journal: boolean
  /** The last look found a rule, a reference or an exemption for every table in scope. */
  covered: boolean
}

/** Runs until the signal aborts; resolves when everything is closed. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { db, set, log, signal } = options
  const state: State = { journal: false, covered: true }
  await using http = await openHttp(
    healthApp(() => readiness(db, state)),
    options.listen,
  )
  log.info({ port: http.port }, 'listening')
  const waiting = { ...options, sleep: async (ms: number) => sleep(ms, signal) }
  if (!(await untilReachable({ ...waiting, random: Math.random }))) return
  await checkMigrated(db)
  await options.guard?.()
  await requireSoundJournal(db, options.signer)
  state.journal = true
  for (const lost of await findLostGuards(db)) {
    log.warn({ ...lost, remedy: LOST_GUARD_REMEDY }, 'guard of the journal lost')
  }
  await logPlan(options, state)
  await using scheduler = openScheduler(
    set.rules,
    async (ids) => {
      const result = await runScheduled(options, state, ids)
      for (const { id, ms } of resuming(options, result)) scheduler.later([id], ms)
    },
    options.setAlarm,
  )
  await using alive = openPulse(options, state)
  alive.wake()
  for (const { rules, at } of scheduler.next) log.info({ rules, at }, 'next scheduled run')
  if (scheduler.next.length === 0)
    log.warn({}, 'no rule has a schedule: nothing will run by itself')
  log.info({ port: http.port, policies: set.digest }, 'ready')
  await aborted(signal)
  log.info({}, 'stopping: the batch in hand is finished first')
}

interface Pulse extends AsyncDisposable {
  readonly wake: () => void
}

/** Signs what was written, once an hour and when woken, and brings it to sinks that lack it; one look at a time. */
function openPulse(options: DaemonOptions, state: State): Pulse {
  let beating = Promise.resolve()
  const look = async (before: Promise<void>, work: typeof pulse) => {
    await before
    if (!state.journal || options.signal.aborted) return
    const unsound = await work(options)
    if (unsound !== null) logFailure(options.log, state, unsound)
  }
  const wake = () => {
    beating = look(beating, pulse)
  }
  const alarms = [
    (options.setPulse ?? byCron)(PULSE, wake),
    (options.setDelivery ?? byCron)(DELIVERY, () => {
      beating = look(beating, deliver)
    }),
  ]
  return {
    wake,
    [Symbol.asyncDispose]: async () => {
      for (const alarm of alarms) await alarm.stop()
      await beating
    },
  }
}

/** Says at the start what the runs to come will meet, so that a wrong policy shows before it acts. */
async function logPlan(options: DaemonOptions, state: State): Promise<void> {
  const { db, set, pseudonyms, log } = options
  const { catalog, rules, findings, powers } = await prepare(db, set, pseudonyms)
  logFindings(log, state, findings)
  judgePowers(options, powers)
  const plan = await makePlan(db, {
    policyDigest: set.digest,
    catalog,
    rules,
    stand: { kind: 'now' },
    approved: await approvals(db),
    findings,
  })
  for (const rule of plan.rules) {
    log.info(
      {
        rule: rule.rule,
        table: rule.table,
        action: rule.action,
        mode: rule.mode,
        rows: rowsPlanned(rule),
        counts: rule.counts,
        children: rule.children,
        refusal: rule.refusal,
      },
      'planned',
    )
  }
  log.info({ plan: plan.digest, cutoff: plan.createdAt }, 'plan')
}

/** A guard that the role can pass by is none, so that nothing runs unless the operator said so. */
function judgePowers({ log, powerfulRole }: DaemonOptions, powers: readonly Power[]): void {
  for (const power of powers) log.warn(power, 'powerful role')
  const [first, ...more] = powers
  if (first === undefined || powerfulRole === 'accept') return
  throw new ConfigError(`${first.message}${more.length === 0 ? '' : `; and ${more.length} more`}`, {
    remedy: `${first.remedy} Or accept it: RETENTIOND_POWERFUL_ROLE=accept`,
  })
}

/** What has a rule must not wait for what has none, so a finding is said and the run goes on. */
function logFindings(log: Log, state: State, findings: readonly Problem[]): void {
  state.covered = findings.length === 0
  for (const { code, at, path, message, remedy } of findings) {
    log.warn({ code, at, path, message, remedy }, 'coverage finding')
  }
}

async function readiness(db: Db, state: State): Promise<Readiness> {
  const database = await sql`select 1`.execute(db).then(
    () => true,
    () => false,
  )
  return { database, policies: true, journal: state.journal, covered: state.covered }
}

/** One scheduled run. What goes wrong is logged; only an unsound journal stops the ones to come. */
async function runScheduled(
  options: DaemonOptions,
  state: State,
  ids: ReadonlySet<string>,
): Promise<RunResult | null> {
  const { db, set, signer, pseudonyms, clock, log, signal } = options
  if (signal.aborted) return null
  if (!state.journal) {
    log.error({ rules: [...ids] }, 'not run: the journal is not sound; enforcement stays off')
    return null
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
      },
      await approvals(db),
    )
    for (const refusal of result.refused) log.warn(refusal, 'rule refused')
    // The one thing to keep where nobody of the database can write: the log is shipped away.
    log.info({ journal: printTreeHead(await treeHead(db)) }, 'journal head')
    if (result.error !== null) logFailure(log, state, result.error)
    return result
  } catch (error) {
    logFailure(log, state, error)
    return null
  }
}

/** Rules whose window closed on them go on when it opens again, whatever their schedule. */
function resuming(
  { set, clock, log }: DaemonOptions,
  result: RunResult | null,
): readonly { readonly id: string; readonly ms: number }[] {
  const ended = (result?.rules ?? []).filter((rule) => rule.ended === 'window' && rule.left > 0)
  return ended.flatMap(({ rule: id }) => {
    const window = set.rules.find((rule) => rule.id === id)?.pace.window ?? null
    if (window === null) return []
    const ms = untilOpenMs(window, clock.now())
    log.info({ rule: id, minutes: Math.round(ms / 60_000) }, 'goes on when its window opens')
    return [{ id, ms }]
  })
}

function logFailure(log: Log, state: State, error: unknown): void {
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
  log.error({ err: tell(error) }, 'run failed')
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
