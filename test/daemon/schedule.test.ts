import { expect, test } from 'vitest'
import { openScheduler, type SetAlarm } from '../../src/daemon/schedule.ts'
import { parsed, policyYaml } from '../policy/documents.ts'

const rule = (id: string, schedule: string) =>
  `  - { id: ${id}, table: t.${id}, start: at, keep: 1 year, then: purge${schedule} }\n`

/** Two rules of one schedule, one of another, and one that only runs on demand. */
const { rules } = parsed(
  policyYaml(
    [
      rule('a', ", schedule: '0 3 * * *'"),
      rule('b', ", schedule: '0 3 * * *'"),
      rule('c', ", schedule: '0 4 * * *', schedule_timezone: Europe/Paris"),
      rule('d', ''),
    ].join(''),
  ),
)

/** Alarms that the test rings by hand. */
function bells() {
  const wakes = new Map<string, () => void>()
  const setAlarm: SetAlarm = ({ cron, zone }, wake) => {
    const name = `${cron} ${zone}`
    wakes.set(name, wake)
    return {
      next: `next of ${name}`,
      stop: async () => {
        wakes.delete(name)
      },
    }
  }
  return { setAlarm, wakes, ring: (name: string) => wakes.get(name)?.() }
}

/** Runs that last until the test ends them, in the order in which they began. */
function longRuns() {
  const begun: { readonly ids: readonly string[]; readonly end: () => void }[] = []
  const run = async (ids: ReadonlySet<string>) =>
    new Promise<void>((resolve) => {
      begun.push({ ids: [...ids].toSorted(), end: resolve })
    })
  return { run, begun, ids: () => begun.map(({ ids }) => ids) }
}

/** Lets everything that was promised happen. */
const settled = async () => new Promise((resolve) => setImmediate(resolve))

test('rules of one schedule wake up together, and one without a schedule never does', async () => {
  const { setAlarm } = bells()
  await using scheduler = openScheduler(rules, async () => {}, setAlarm)

  expect(scheduler.next).toEqual([
    { rules: ['a', 'b'], at: 'next of 0 3 * * * UTC' },
    { rules: ['c'], at: 'next of 0 4 * * * Europe/Paris' },
  ])
})

test('rules that come up during a run wait for it, and then run together, once', async () => {
  const { setAlarm, ring } = bells()
  const { run, begun, ids } = longRuns()
  await using scheduler = openScheduler(rules, run, setAlarm)
  expect(scheduler.next).toHaveLength(2)

  ring('0 3 * * * UTC')
  ring('0 4 * * * Europe/Paris')
  ring('0 3 * * * UTC')
  ring('0 3 * * * UTC')
  await settled()
  const during = ids()
  begun[0]?.end()
  await settled()
  const after = ids()
  begun[1]?.end()
  await settled()

  expect(during).toEqual([['a', 'b']])
  expect(after).toEqual([
    ['a', 'b'],
    ['a', 'b', 'c'],
  ])
  expect(ids()).toEqual(after)
})

test('a rule that comes up after a run has ended is run again', async () => {
  const { setAlarm, ring } = bells()
  const { run, begun, ids } = longRuns()
  await using scheduler = openScheduler(rules, run, setAlarm)
  expect(scheduler.next).toHaveLength(2)

  ring('0 4 * * * Europe/Paris')
  begun[0]?.end()
  await settled()
  ring('0 4 * * * Europe/Paris')
  begun[1]?.end()

  expect(ids()).toEqual([['c'], ['c']])
})

test('a rule that comes up in the very moment in which a run ends is not lost', async () => {
  for (const turns of [0, 1, 2, 3, 4, 5]) {
    const { setAlarm, ring } = bells()
    const ran: (readonly string[])[] = []
    const ringLater = async () => {
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
      ring('0 4 * * * Europe/Paris')
    }
    const run = async (ids: ReadonlySet<string>) => {
      ran.push([...ids])
      if (ran.length === 1) void ringLater()
    }
    await using scheduler = openScheduler(rules, run, setAlarm)

    ring('0 3 * * * UTC')
    await settled()

    expect({ turns, ran, alarms: scheduler.next.length }).toEqual({
      turns,
      ran: [['a', 'b'], ['c']],
      alarms: 2,
    })
  }
})

test('closing waits for the run in hand, and what waited behind it never begins', async () => {
  const { setAlarm, ring, wakes } = bells()
  const { run, begun, ids } = longRuns()
  const scheduler = openScheduler(rules, run, setAlarm)
  ring('0 3 * * * UTC')
  ring('0 4 * * * Europe/Paris')
  const state = { closed: false }

  const close = async () => {
    await scheduler[Symbol.asyncDispose]()
    state.closed = true
  }
  const closing = close()
  await settled()
  const duringRun = { ...state, alarms: wakes.size }
  begun[0]?.end()
  await closing

  expect(duringRun).toEqual({ closed: false, alarms: 0 })
  expect(ids()).toEqual([['a', 'b']])
})

test('cron says when a schedule comes next, in its own zone', async () => {
  await using scheduler = openScheduler(rules, async () => {})

  expect(scheduler.next.map(({ at }) => at)).toEqual([
    expect.stringMatching(/T03:00:00\.000Z$/),
    expect.stringMatching(/T0[23]:00:00\.000Z$/),
  ])
})
