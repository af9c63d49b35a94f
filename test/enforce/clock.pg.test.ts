import { expect, test } from 'vitest'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { openBed } from '../support/bed.ts'
import { STEPS } from '../support/faults.ts'
import { openApplication, policyOf } from './application.ts'

const HOUR_MS = 3_600_000

/** A process whose own clock goes on by `leapMs` against the database's, once it is told to. */
function leapingClock(leapMs: number): Clock & { leap(): void } {
  let ahead = 0
  return {
    now: () => systemClock.now(),
    monotonicMs: () => systemClock.monotonicMs() + ahead,
    leap: () => {
      ahead = leapMs
    },
  }
}

const LEAPS: readonly { readonly step: BatchStep; readonly leapMs: number }[] = STEPS.flatMap(
  (step) => [HOUR_MS, -HOUR_MS].map((leapMs) => ({ step, leapMs })),
)

test('a clock that leaps during a run ends it before the next batch, forward or back', async () => {
  await using bed = await openBed()
  await openApplication(bed, LEAPS.length * 4 + 2)
  await bed.govern(policyOf(['visit'], 2))

  const ends: unknown[] = []
  for (const { step, leapMs } of LEAPS) {
    const clock = leapingClock(leapMs)
    let batch = 0
    const { outcome, exit, rules } = await bed.enforce({
      clock,
      onStep: (at) => {
        if (at === 'begun') batch += 1
        if (batch === 2 && at === step) clock.leap()
      },
    })
    ends.push({ step, outcome, exit, batch, rules })
  }

  // A leap that comes before the batch reads the clock ends this batch already.
  const last = (step: BatchStep): number => (step === 'begun' ? 2 : 3)
  expect(ends).toEqual(
    LEAPS.map(({ step }) => ({ step, outcome: 'clock', exit: 3, batch: last(step), rules: [] })),
  )
})
