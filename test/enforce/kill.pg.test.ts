import { afterAll, beforeAll, expect, test } from 'vitest'
import { runInside } from '../cli/program.ts'
import { asked, deep } from '../support/deep.ts'
import { chosen, openCrashStage, type CrashStage } from './crash-stage.ts'

const ROUNDS = deep(20, 200)
/** Another seed for other moments. */
const SEED = asked('KILL_SEED', 'kill')

/** A kill comes with one of the messages of a run, or a little later. */
const LATER_MS = 8

let stage: CrashStage
/** How many messages a run sends that nobody disturbs. */
let messages: number
/** Runs that had ended when the kill came: one may send fewer messages than another. */
let tooLate = 0

beforeAll(async () => {
  stage = await openCrashStage()
  messages = await undisturbed()
})

afterAll(async () => {
  await stage[Symbol.asyncDispose]()
})

async function undisturbed(): Promise<number> {
  stage.tap.at(Infinity, () => {})
  expect(await stage.enforce().ended).toBe(0)
  return stage.tap.messages
}

/** Runs to the end, after whatever happened before. */
async function finish(): Promise<void> {
  await stage.expireLease()
  const { status, out } = await runInside(['enforce'], stage.site.env)
  expect([status, out]).toEqual([0, expect.stringMatching(/^run \S+: done\n/)])
}

test.for(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
  'a run that is killed at a random moment has journalled what is gone, and the next one finishes: %i',
  async (round) => {
    await stage.topUp()
    const run = stage.enforce()
    stage.tap.at(chosen(messages, SEED, round), () => {
      setTimeout(() => run.kill('SIGKILL'), chosen(LATER_MS, SEED, 'later', round) - 1)
    })

    const ended = await run.ended
    await stage.quiet()
    const [gone, journalled] = [await stage.gone(), await stage.journalled()]
    await finish()

    tooLate += ended === 'SIGKILL' ? 0 : 1
    expect(['SIGKILL', 0]).toContain(ended)
    expect(gone).toEqual(journalled)
    expect(await stage.gone()).toEqual(await stage.journalled())
    expect(await stage.findings()).toEqual([])
    expect(await stage.site.sql('select count(*)::int as left from site.visit')).toEqual([
      { left: 500 },
    ])
    expect(await stage.site.sql("select from site.account where full_name = 'Name'")).toEqual([])
    expect(await stage.site.sql("select to_regclass('site.event_old') as partition")).toEqual([
      { partition: null },
    ])
    expect(await stage.runs()).not.toContain('open')
  },
)

test('nearly every kill comes while the run is at work', () => {
  expect(tooLate).toBeLessThanOrEqual(ROUNDS / 10)
})

test('a run that is told to stop finishes the batch in hand and ends as stopped', async () => {
  await stage.topUp()
  const before = await stage.gone()
  const run = stage.enforce()
  // In the middle of the second rule, which purges visits.
  await stage.beyond('visits', before)
  run.kill('SIGTERM')

  expect(await run.ended).toBe(0)

  expect(run.out()).toMatch(/^run \S+: stopped\n/)
  const gone = await stage.gone()
  expect(gone).toEqual(await stage.journalled())
  expect(gone.visits).toBeGreaterThan(before.visits)
  expect(gone.visits % 200).toBe(0)
  expect((await stage.runs()).at(-1)).toBe('stopped')
  expect(await stage.site.sql('select from retentiond.lease where holder is not null')).toEqual([])
  await finish()
  expect((await stage.gone()).visits).toBeGreaterThan(gone.visits)
})

test('a run that is told to stop twice ends at once, and its batch is rolled back', async () => {
  await stage.topUp()
  const run = stage.enforce()
  // No answer comes any more, so the batch in hand never ends.
  stage.tap.at(Math.floor(messages / 2), () => {
    stage.tap.mute()
    run.kill('SIGTERM')
  })

  await run.says('stopping after the batch in hand')
  run.kill('SIGTERM')

  expect(await run.ended).toBe(143)
  await stage.quiet()
  expect(await stage.gone()).toEqual(await stage.journalled())
  expect((await stage.runs()).at(-1)).toBe('open')
  await finish()
  expect((await stage.runs()).slice(-2)).toEqual(['interrupted', 'done'])
})

test('a run that is told to stop twice has its statement ended, rolls the batch back and says so', async () => {
  await stage.topUp()
  stage.tap.at(Infinity, () => {})
  const release = await stage.hold()
  const run = stage.enforce()
  const pid = await stage.held()

  run.kill('SIGTERM')
  await run.says('stopping after the batch in hand')
  run.kill('SIGTERM')

  expect(await run.ended).toBe(143)
  const atWork = await stage.site.sql(
    `select from pg_stat_activity where pid = ${pid} and state <> 'idle'`,
  )
  await release()
  expect(atWork).toEqual([])
  expect(await stage.gone()).toEqual(await stage.journalled())
  expect((await stage.runs()).at(-1)).toBe('interrupted')
  await finish()
})

test('Ctrl-C at a terminal finishes the batch in hand, and the run ends as stopped', async () => {
  await stage.topUp()
  const before = await stage.gone()
  stage.tap.at(Infinity, () => {})
  const release = await stage.hold()
  const run = stage.enforce('terminal')
  await stage.held()

  run.type('\u0003')
  await release()

  expect(await run.ended).toBe(0)
  expect(run.out()).toContain('stopping after the batch in hand')
  const gone = await stage.gone()
  expect(gone).toEqual(await stage.journalled())
  expect(gone).not.toEqual(before)
  expect((await stage.runs()).at(-1)).toBe('stopped')
  await finish()
})

test('a run that slept for longer than its lease finds it taken over, and commits nothing more', async () => {
  await stage.topUp()
  stage.tap.at(Infinity, () => {})
  const release = await stage.hold()
  const run = stage.enforce()
  await stage.held()

  run.kill('SIGSTOP')
  await release()
  // The server ends transactions that idle for a minute, and with them what keeps others out.
  const role = new URL(stage.site.env['RETENTIOND_DATABASE_URL'] ?? '').username
  await stage.site.sql(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '${role}'`,
  )
  await finish()
  const gone = await stage.gone()
  run.kill('SIGCONT')

  expect(await run.ended).toBe(75)
  expect(await stage.gone()).toEqual(gone)
  expect(gone).toEqual(await stage.journalled())
  expect((await stage.runs()).slice(-2)).toEqual(['interrupted', 'done'])
})
