/** The long-running worker: starts its parts in order, and closes them in the reverse order. */
import { sql } from 'kysely'
import type { Log } from '../base/log.ts'
import type { Db } from '../db/connect.ts'
import { checkMigrated } from '../db/migrate.ts'
import { approvals } from '../enforce/standing.ts'
import { findLostGuards, LOST_GUARD_REMEDY } from '../journal/guards.ts'
import { requireSoundJournal } from '../journal/sound.ts'
import { makePlan } from '../plan/make.ts'
import { rowsPlanned } from '../plan/plan.ts'
import { prepare } from '../plan/prepare.ts'
import type { PolicySet } from '../policy/policy.ts'
import { healthApp, type Readiness } from './health.ts'
import { openHttp } from './http.ts'
import { deliver, DELIVERY, pulse, PULSE } from './pulse.ts'
import { untilReachable } from './reach.ts'
import { byCron, openScheduler, type Scheduler, type SetAlarm } from './schedule.ts'
import {
  judgePowers,
  logFailure,
  logFindings,
  openState,
  reaching,
  runScheduled,
  type ScheduledTools,
  type State,
} from './scheduled.ts'

export type DaemonOptions = ScheduledTools & {
  /** Throws unless the journal continues what is remembered outside the database; left out, nothing is. */
  readonly guard?: () => Promise<void>
  readonly set: PolicySet
  /** Reads the policies again; throws if they are wrong, or for another database. */
  readonly reload?: () => Promise<PolicySet>
  /** Calls back whenever somebody asks for the policies to be read again. */
  readonly onReload?: (reload: () => void) => void
  readonly listen: { readonly host: string; readonly port: number }
  /** What wakes it up; cron, if nothing else is given. */
  readonly setAlarm?: SetAlarm
  /** What wakes it up for the journal alone; cron, if nothing else is given. */
  readonly setPulse?: SetAlarm
  /** What wakes it up for sinks that failed; cron, if nothing else is given. */
  readonly setDelivery?: SetAlarm
}

/** Runs until the signal aborts; resolves when everything is closed. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { db, log, signal } = options
  const state = openState(options.set)
  await using http = await openHttp(
    healthApp(() => readiness(db, state)),
    options.listen,
  )
  log.info({ port: http.port }, 'listening')
  if (!(await untilReachable(reaching(options)))) return
  await checkMigrated(db)
  await options.guard?.()
  await requireSoundJournal(db, options.signer)
  state.journal = true
  for (const lost of await findLostGuards(db)) {
    log.warn({ ...lost, remedy: LOST_GUARD_REMEDY }, 'guard of the journal lost')
  }
  await logPlan(options, state)
  await using scheduler = openScheduler(
    state.set.rules,
    async (ids) => {
      for (const { id, ms } of await runScheduled(options, state, ids)) scheduler.later([id], ms)
    },
    options.setAlarm,
  )
  await using alive = openPulse(options, state)
  alive.wake()
  logNext(log, scheduler)
  await using reloading = openReloading(options, async () => reload(options, state, scheduler))
  options.onReload?.(reloading.ask)
  log.info({ port: http.port, policies: state.set.digest }, 'ready')
  await aborted(signal)
  log.info({}, 'stopping: the batch in hand is finished first')
}

function logNext(log: Log, scheduler: Scheduler): void {
  for (const { rules, at } of scheduler.next) log.info({ rules, at }, 'next scheduled run')
  if (scheduler.next.length === 0)
    log.warn({}, 'no rule has a schedule: nothing will run by itself')
}

interface Reloading extends AsyncDisposable {
  readonly ask: () => void
}

/** Reads the policies again whenever it is asked to, once at a time. */
function openReloading({ signal }: DaemonOptions, again: () => Promise<void>): Reloading {
  let reading = Promise.resolve()
  return {
    ask: () => {
      reading = reading.then(async () => (signal.aborted ? undefined : again()))
    },
    [Symbol.asyncDispose]: async () => reading,
  }
}

/**
 * Takes policies into use that fit the database; others are said, and those in use stay. A run at work
 * keeps the policies that it began with.
 */
async function reload(options: DaemonOptions, state: State, scheduler: Scheduler): Promise<void> {
  const { log } = options
  try {
    const set = await options.reload?.()
    if (set === undefined) return
    await logPlan(options, state, set)
    const before = state.set.digest
    state.set = set
    await scheduler.reschedule(set.rules)
    log.info({ policies: set.digest, before }, 'policies read again: used from the next run on')
    logNext(log, scheduler)
  } catch (error) {
    logFailure(log, state, error, 'policies not taken into use: those before stay')
  }
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
async function logPlan(options: DaemonOptions, state: State, set = state.set): Promise<void> {
  const { db, pseudonyms, log } = options
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

async function readiness(db: Db, state: State): Promise<Readiness> {
  const database = await sql`select 1`.execute(db).then(
    () => true,
    () => false,
  )
  return { database, policies: true, journal: state.journal, covered: state.covered }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
