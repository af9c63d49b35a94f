import { createTask, type ScheduledTask } from 'node-cron'
import type { Rule } from '../policy/policy.ts'

/** Wakes up when rules are scheduled, and asks for runs one at a time. */
export interface Scheduler extends AsyncDisposable {
  /** When each schedule comes next, for the log. */
  readonly next: readonly { readonly rules: readonly string[]; readonly at: string | null }[]
}

/**
 * Calls `run` with the ids of the rules whose time has come. Rules that come up while a run is at
 * work are kept and run together after it; never two runs at once. Disposing waits for the run in
 * hand.
 */
export function openScheduler(
  rules: readonly Rule[],
  run: (ids: ReadonlySet<string>) => Promise<void>,
): Scheduler {
  const queue = new RunQueue(run)
  const groups = Map.groupBy(
    rules.filter((rule) => rule.schedule !== null),
    (rule) => JSON.stringify([rule.schedule?.cron, rule.schedule?.zone]),
  )
  const tasks = [...groups.values()].map(
    (group): { task: ScheduledTask; ids: readonly string[] } => {
      const ids = group.map((rule) => rule.id)
      const schedule = group[0]?.schedule
      const task = createTask(schedule?.cron ?? '', () => queue.ask(ids), {
        timezone: schedule?.zone ?? 'UTC',
      })
      return { task, ids }
    },
  )
  for (const { task } of tasks) void task.start()
  return {
    next: tasks.map(({ task, ids }) => ({
      rules: ids,
      at: task.getNextRun()?.toISOString() ?? null,
    })),
    [Symbol.asyncDispose]: async () => {
      for (const { task } of tasks) await task.destroy()
      await queue.idle()
    },
  }
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
    this.#working ??= this.#work().finally(() => {
      this.#working = null
    })
  }

  async idle(): Promise<void> {
    this.#waiting.clear()
    await this.#working
  }

  async #work(): Promise<void> {
    while (this.#waiting.size > 0) {
      const ids = new Set(this.#waiting)
      this.#waiting.clear()
      await this.#run(ids)
    }
  }
}
