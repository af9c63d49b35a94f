import { expect, test } from 'vitest'
import type { Plan } from '../../src/plan/plan.ts'
import { openBed } from '../support/bed.ts'
import { openApplication, policyOf, type RuleId, type Seen } from './application.ts'
import type { Change } from './change.ts'
import { CHANGES } from './changes.ts'
import { Stage, type Director } from './stage.ts'

/**
 * Each seed is a run with some 250 changes. `SEEDS=9,10` replays these two; `SEEDS=1-500` looks
 * deeper than a test suite has time for.
 */
const SEEDS = seedsOf(process.env['SEEDS'] ?? '1-9')

const CLASSES: readonly RuleId[] = [
  'customer',
  'ticket',
  'contract',
  'visit',
  'account',
  'party',
  'parcel',
  'member',
]

test.for(SEEDS)(
  'an application at random work loses nothing that is kept (seed %i)',
  async (seed) => {
    await using bed = await openBed()
    const chance = chanceOf(seed)
    await openApplication(bed, 50)
    await bed.govern(policyOf(CLASSES, 3 + Math.floor(chance() * 5)))
    const plan = await bed.plan()
    await using stage = new Stage(bed, CLASSES, directorOf(chance, plan))

    const first = await bed.enforce({ plan: withRoom(plan), onStep: stage.onStep })
    await stage.finish()
    const second = await bed.enforce()

    expect(stage.outcomes.length).toBeGreaterThan(150)
    expect(stage.violations).toEqual([])
    expect(stage.outcomes.filter(({ sqlstate }) => sqlstate === '40P01')).toEqual([])
    expect(['done', 'partial']).toContain(first.outcome)
    expect(second.outcome).toBe('done')
    expect(dueOf(await stage.see())).toEqual([])
  },
)

/** What comes up during the run must not end it: this is about locks, not about limits. */
function withRoom(plan: Plan): Plan {
  const rules = plan.rules.map((rule) => ({
    ...rule,
    counts: { ...rule.counts, due: rule.counts.due * 10 },
  }))
  return { ...plan, rules }
}

/** At each step one thing or nothing, mostly to a record that the run comes to next. */
function directorOf(chance: () => number, plan: Plan): Director {
  const order = plan.rules.map(({ rule }) => rule)
  return async (step, stage) => {
    if (chance() < (step === 'begun' ? 0.5 : 0.2)) await stage.commitOpen()
    if (chance() < 0.4) return
    const current = order.find((rule) => dueOf(stage.latest).some((row) => row.class === rule))
    const about = chance() < 0.75 ? CLASSES.find((each) => each === current) : undefined
    const rule = about ?? pick(CLASSES, chance)
    const change = pick(CHANGES[rule], chance)
    const near = dueOf(stage.latest).filter((row) => row.class === rule)
    const target = near[Math.floor(chance() * Math.min(near.length, 8))]
    const id = target?.id ?? 1 + Math.floor(chance() * 50)
    await stage.play(change, id, chance() < 0.25 && mayStayOpen(change))
  }
}

/** A batch waits for writers of these sources, and so for a transaction that only its next step ends. */
function mayStayOpen({ table }: Change): boolean {
  return table !== 'bank.movement' && table !== 'post.scan'
}

function dueOf(seen: ReadonlyMap<string, Seen>): readonly Seen[] {
  return [...seen.values()]
    .filter(({ part, may }) => part === 'record' && may)
    .toSorted((one, other) => one.id - other.id)
}

function seedsOf(text: string): readonly number[] {
  return text.split(',').flatMap((part) => {
    const [from = 1, to = from] = part.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, at) => from + at)
  })
}

function pick<T>(values: readonly T[], chance: () => number): T {
  return values[Math.floor(chance() * values.length)] as T
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function chanceOf(seed: number): () => number {
  let state = Math.imul(seed, 0x9e37_79b9)
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
