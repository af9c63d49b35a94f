/** `kill -9` of a session, for which the server ends all others and recovers: faults.md C2. */
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { runInside } from '../cli/program.ts'
import { openCrashingServer, type CrashingServer } from '../support/crashing-server.ts'
import { asked, deep } from '../support/deep.ts'
import { chosen, openCrashStage, type CrashStage } from './crash-stage.ts'

const ROUNDS = deep(5, 50)
/** Another seed for other moments. */
const SEED = asked('KILL_SEED', 'kill')

let server: CrashingServer
let stage: CrashStage
/** How many messages a run sends that nobody disturbs. */
let messages: number
/** Runs that went on by themselves; one that had not begun yet does not wait for its database. */
let outlasted = 0

beforeAll(async () => {
  server = await openCrashingServer(inject('major'))
  stage = await openCrashStage(server)
  stage.tap.at(Infinity, () => {})
  expect(await stage.enforce().ended).toBe(0)
  messages = stage.tap.messages
})

afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** Tries until the server has recovered. */
async function recovered<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    const done = await work().then(
      (result) => ({ result }),
      () => null,
    )
    if (done !== null) return done.result
  }
}

test.for(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
  'a run of which a session is killed at a random moment goes on, and has journalled what is gone: %i',
  async (round) => {
    await stage.topUp()
    const run = stage.enforce()
    const killed = Promise.withResolvers<void>()
    stage.tap.at(chosen(messages, SEED, 'session', round), () => {
      stage.killSession().then(killed.resolve, killed.reject)
    })

    await killed.promise
    const ended = await run.ended
    outlasted += ended === 0 ? 1 : 0
    const [gone, journalled] = await recovered(async () =>
      Promise.all([stage.gone(), stage.journalled()]),
    )
    await stage.expireLease()
    const { status, out } = await runInside(['enforce'], stage.site.env)

    expect([0, 1]).toContain(ended)
    expect(gone).toEqual(journalled)
    expect([status, out]).toEqual([0, expect.stringMatching(/^run \S+: done\n/)])
    expect(await stage.gone()).toEqual(await stage.journalled())
    expect(await stage.findings()).toEqual([])
    expect(await stage.runs()).not.toContain('open')
  },
)

test('runs that had begun when their session was killed went on by themselves', () => {
  expect(outlasted).toBeGreaterThan(0)
})
