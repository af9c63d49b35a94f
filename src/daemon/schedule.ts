import { createTask } from 'node-cron'
import type { Rule, Schedule } from '../policy/policy.ts'

/** Wakes up when rules are scheduled, and asks for runs one at a time. */
export interface Scheduler extends AsyncDisposable {
  /** When each schedule comes next, for the log. */
  readonly next: readonly { readonly rules: readonly string[]; readonly at: string | null }[]
  /** Asks for one more run of these rules after so many milliseconds, beside their schedules. */
  later(ids: readonly string[], ms: number): void
  /** From now on these rules, by their schedules; a run at work goes on. */
  reschedule(rules: readonly Rule[]): Promise<void>
}

/** One schedule that calls `wake` when its time has come, until it is stopped. */
export type Alarm = { readonly next: string | null; readonly stop: () => Promise<void> }

export type SetAlarm = (schedule: Schedule, wake: () => void) => Alarm

/**
 * Calls `run` with the ids of the rules whose time has come. Rules that come up while a run is at
 * work are kept and run together after it; never two runs at once. Disposing waits for the run in
 * hand.
 */
export function openScheduler(
  rules: readonly Rule[],
  run: (ids: ReadonlySet<string>) => Promise<void>,
  setAlarm: SetAlarm = byCron,
): Scheduler {
  const queue = new RunQueue(run)
  const set = (scheduled: readonly Rule[]) =>
    groups(scheduled).map(({ schedule, ids }) => ({
      ids,
      alarm: setAlarm(schedule, () => queue.ask(ids)),
    }))
  let alarms = set(rules)
  const timers = new Set<NodeJS.Timeout>()
  return {
    get next() {
      return alarms.map(({ ids, alarm }) => ({ rules: ids, at: alarm.next }))
    },
    reschedule: async (scheduled) => {
      const before = alarms
      alarms = set(scheduled)
      for (const { alarm } of before) await alarm.stop()
    },
    later: (ids, ms) => {
      const timer = setTimeout(() => {
        timers.delete(timer)
        queue.ask(ids)
      }, ms)
      timers.add(timer)
    },
    [Symbol.asyncDispose]: async () => {
      for (const timer of timers) clearTimeout(timer)
      for (const { alarm } of alarms) await alarm.stop()
      await queue.idle()
    },
  }
}

/** Wakes up by cron, in the time zone of the schedule. */
export function byCron({ cron, zone }: Schedule, wake: () => void): Alarm {
  const task = createTask(cron, wake, { timezone: zone })
  void task.start()
  return {
    next: task.getNextRun()?.toISOString() ?? null,
    stop: async () => task.destroy(),
  }
}

type Group = { readonly schedule: Schedule; readonly ids: readonly string[] }

/** Rules of one schedule wake up together, and so run in one run. */
function groups(rules: readonly Rule[]): readonly Group[] {
  const bySchedule = new Map<string, { schedule: Schedule; ids: string[] }>()
  for (const { id, schedule } of rules) {
    if (schedule === null) continue
    const name = JSON.stringify([schedule.cron, schedule.zone])
    const group = bySchedule.get(name)
    if (group === undefined) bySchedule.set(name, { schedule, ids: [id] })
    else group.ids.push(id)
  }
  return [...bySchedule.values()]
}

class RunQueue {
  readonly #run: (ids: ReadonlySet<string>) => Promise<void>
  readonly #waiting = new Set<string>()
  #working: Promise<void> | null = null

  constructor(run: (ids: ReadonlySet<string>) => Promise<void>) {
    this.#run = run
  }

  ask(ids: readonly string[]): void {
    for (const id of ids) this.#waiting.add(id)
    this.#working ??= this.#work()
  }

  async idle(): Promise<void> {
    this.#waiting.clear()
    await this.#working
  }

  async #work(): Promise<void> {
    try {
      while (this.#waiting.size > 0) {
        const ids = new Set(this.#waiting)
        this.#waiting.clear()
        await this.#run(ids)
      }
    } finally {
      // With nothing between it and the look at what waits: who asks in between would wait for ever.
      this.#working = null
    }
  }
}
