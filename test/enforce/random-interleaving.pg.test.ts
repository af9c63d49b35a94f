import { expect, test } from 'vitest'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import { readInstant } from '../../src/plan/make.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { openBed, type Bed } from '../support/bed.ts'
import { asked, deep, numbersOf } from '../support/deep.ts'
import { CLASSES, openApplication, policyOf, type RuleId } from './application.ts'
import type { Change } from './change.ts'
import { CHANGES } from './changes.ts'
import { Keeper } from './keeper.ts'
import type { Seen } from './owners-view.ts'
import { Stage, TABLES, type Director } from './stage.ts'

/**
 * Each seed is a run with some 400 changes between steps of its batches. `SEEDS=9,10` replays these
 * two; `SEEDS=1-500` looks deeper than even `npm run test:deep` has time for.
 */
const DEFAULT = `1-${deep(4, 60)}`
const SEEDS = asked('SEEDS', DEFAULT)

/** Changes and holds that came while a run was at work, over all seeds. */
const played = new Map<string, number>()

test.for(numbersOf(SEEDS))(
  'an application at random work loses nothing that is kept (seed %i)',
  async (seed) => {
    await using bed = await openBed()
    const chance = chanceOf(seed)
    await openApplication(bed, 50)
    const { rules } = await bed.govern(policyOf(CLASSES, 3 + Math.floor(chance() * 5)))
    const plan = await bed.plan()
    await using keeper = new Keeper(bed, rules)
    await using stage = new Stage(bed, CLASSES, directorOf(chance, plan, keeper), keeper)

    const first = await bed.enforce({ plan: withRoom(plan), onStep: stage.onStep })
    await stage.finish()
    const unexplained = await withoutReason(bed, rules, await stage.see())
    const second = await bed.enforce()

    expect(stage.outcomes.length).toBeGreaterThan(150)
    expect(stage.violations).toEqual([])
    expect(stage.outcomes.filter(({ sqlstate }) => sqlstate === '40P01')).toEqual([])
    expect(keeper.failures).toEqual([])
    expect(['done', 'partial']).toContain(first.outcome)
    expect(unexplained).toEqual([])
    expect(second.outcome).toBe('done')
    expect(dueOf(await stage.see())).toEqual([])
    count('hold placed', keeper.placed + keeper.late)
    count('hold lifted', keeper.lifted)
  },
)

test('an application at random work does everything that it can do, and often', () => {
  const kinds = [
    'hold placed',
    'hold lifted',
    'older contract re-opened',
    'open contract inserted',
    'page inserted',
    'telephone changed',
    'customer deleted',
    'moved to the other partition',
  ]
  const all = [...played.values()].reduce((sum, each) => sum + each, 0)
  console.log(`interleavings: seeds ${SEEDS}, ${all} changes`)

  if (SEEDS !== DEFAULT) return
  expect(all).toBeGreaterThan(deep(1000, 20_000))
  expect(kinds.filter((kind) => (played.get(kind) ?? 0) === 0)).toEqual([])
})

/** What comes up during the run must not end it: this is about locks, not about limits. */
function withRoom(plan: Plan): Plan {
  const rules = plan.rules.map((rule) => ({
    ...rule,
    mostRows: rule.mostRows * 10,
    counts: { ...rule.counts, due: rule.counts.due * 10 },
  }))
  return { ...plan, rules }
}

/** At each step one thing or nothing, mostly to a record that the run comes to next. */
function directorOf(chance: () => number, plan: Plan, keeper: Keeper): Director {
  const order = plan.rules.map(({ rule }) => rule)
  return async (step, stage) => {
    if (chance() < (step === 'begun' ? 0.5 : 0.2)) await stage.commitOpen()
    if (chance() < 0.4) return
    const current = order.find((rule) => dueOf(stage.latest).some((row) => row.class === rule))
    const about = chance() < 0.75 ? CLASSES.find((each) => each === current) : undefined
    const rule = about ?? pick(CLASSES, chance)
    const near = dueOf(stage.latest).filter((row) => row.class === rule)
    const target = near[Math.floor(chance() * Math.min(near.length, 8))]
    const id = target?.id ?? 1 + Math.floor(chance() * 50)
    if (chance() < 0.15) {
      await orderHold(chance, keeper, { rule, id })
      return
    }
    const change = pick(CHANGES[rule], chance)
    count(change.name, 1)
    await stage.play(change, id, chance() < 0.25 && mayStayOpen(change))
  }
}

type Place = { readonly rule: RuleId; readonly id: number }

/** On the record, or on a row that goes along with it; some holds are lifted again. */
async function orderHold(chance: () => number, keeper: Keeper, { rule, id }: Place): Promise<void> {
  if (keeper.open.length > 3 || chance() < 0.25) {
    await keeper.lift()
    return
  }
  const record = [TABLES[rule], id] as const
  const [table, number] = chance() < 0.3 ? (NEAR[rule]?.(id) ?? record) : record
  // A row that moves to another partition gets another key, which nobody holds.
  if (rule !== 'event') await keeper.place(table, number)
}

/** A row that goes along with a record, or that it refers to. */
const NEAR: Readonly<Partial<Record<RuleId, (id: number) => readonly [string, number]>>> = {
  customer: (id) => ['crm.exchange', id * 1000 + 1],
  ticket: (id) => ['crm.message', id * 1000 + 1],
  contract: (id) => ['crm.customer', Math.floor(id / 1000)],
  visit: (id) => ['site.page', id * 1000 + 1],
}

/** Records that are left, and of which an explanation does not tell why. */
async function withoutReason(
  bed: Bed,
  rules: readonly FittedRule[],
  seen: ReadonlyMap<string, Seen>,
): Promise<readonly string[]> {
  const records = [...seen.values()].filter(({ part }) => part === 'record')
  const some = CLASSES.flatMap((each) =>
    records.filter((row) => row.class === each && row.id !== 0).slice(0, 4),
  )
  const found: string[] = []
  for (const { class: rule, id, may } of some) {
    const fitted = rules.find((each) => each.rule.id === rule)
    const key = rule === 'event' ? 'array[id::text, region]' : 'array[id::text]'
    const [row] = await bed.rows<{ key: readonly string[] }>(
      `select ${key} as key from ${TABLES[rule]} where id = ${id}`,
    )
    if (fitted === undefined || row === undefined) throw new Error(`${rule} ${id} is not there`)
    const { db } = bed.connection
    const explanation = await explainRecord(db, {
      rules: [fitted],
      table: fitted.table,
      key: fitted.key,
      values: row.key,
      at: await readInstant(db),
    })
    const [told] = explanation.rules
    const because =
      (told?.verdict === 'held' && told.holds.length === 0) ||
      (told?.verdict === 'blocked' && told.blockedBy.length === 0 && !told.tied) ||
      (told?.verdict === 'deciding' && told.decidesFor.length + told.stillHolds.length === 0)
    if ((told?.verdict === 'due') !== may || because) found.push(`${rule} ${id}: ${told?.verdict}`)
  }
  return found
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

function count(kind: string, times: number): void {
  played.set(kind, (played.get(kind) ?? 0) + times)
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
