import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { openBed } from '../support/bed.ts'
import { asked, deep } from '../support/deep.ts'
import { dayOfSeconds } from './calendar.ts'
import { worldsAt } from './draw.ts'
import { tryWorld, type Met } from './trial.ts'

/**
 * `ORACLE_SEED=7 ORACLE_PATH=12:0:3` replays what a failure prints; `ORACLE_CASES=20000` looks
 * longer than `npm run test:deep` does.
 */
const SEED = Number(asked('ORACLE_SEED', '20261125'))
const PATH = asked('ORACLE_PATH', '')
const CASES = Number(asked('ORACLE_CASES', String(deep(300, 5000))))

/** Looking for a smaller world that fails too ends after this time. */
const SHRINKING_MS = 60_000

test('plan, explanation and run agree with the oracle on every row of every world', async () => {
  await using bed = await openBed()
  const met: Met = { verdicts: new Map(), cases: 0, rows: 0, acted: 0, floored: 0 }
  const today = dayOfSeconds(Date.now() / 1000)
  let failedAt = Number.POSITIVE_INFINITY

  await fc.assert(
    fc.asyncProperty(worldsAt(today, 40), async (world) => {
      if (Date.now() - failedAt > SHRINKING_MS) return
      await tryWorld(bed, world, met).catch((error: unknown) => {
        failedAt = Math.min(failedAt, Date.now())
        throw error
      })
    }),
    {
      seed: SEED,
      numRuns: CASES,
      ...(PATH === '' ? {} : { path: PATH }),
      includeErrorInReport: true,
    },
  )

  console.log(
    `oracle: seed ${SEED}, ${met.cases} worlds, ${met.rows} rows, ${met.acted} acted on, ${met.floored} rules below a floor`,
    met.verdicts,
  )
  expect(met.verdicts.size).toBe(12)
}, 14_400_000)
