import { expect, test } from 'vitest'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { openBed, type Bed } from '../support/bed.ts'
import { STEPS } from '../support/faults.ts'
import { CLASSES, openApplication, policyOf, type RuleId } from './application.ts'
import type { Change } from './change.ts'
import { CHANGES } from './changes.ts'
import { Stage, TABLES, type Director } from './stage.ts'

/** A change between two steps of one batch. */
type Scene = { readonly change: Change; readonly step: BatchStep }

/** Steps before which the batch holds no row yet. */
const EARLY: ReadonlySet<BatchStep> = new Set<BatchStep>(['begun', 'lease', 'shape'])

/** Every change of the rule at every step, each in a batch of its own. */
function scenesOf(rule: RuleId): readonly Scene[] {
  return CHANGES[rule].flatMap((change) => STEPS.map((step) => ({ change, step })))
}

function nameOf({ change, step }: Scene): string {
  return `${change.name} after ${step}`
}

type Played = {
  readonly stage: Stage
  readonly result: Awaited<ReturnType<Bed['enforce']>>
  /** Scenes whose record the batch held locked when the change came. */
  readonly held: readonly string[]
}

/** Runs the rule with batches of two records, and one scene in each. */
async function playScenes(bed: Bed, rule: RuleId, scenes: readonly Scene[]): Promise<Played> {
  // A customer has two contracts.
  await openApplication(bed, Math.ceil(scenes.length * (rule === 'contract' ? 1.3 : 2.5)))
  await bed.govern(policyOf([rule], 2))
  let position = 0
  let target = 0
  const held: string[] = []
  let played = false
  const direct: Director = async (step, stage) => {
    if (step === 'begun') {
      target = nextRecord(stage.latest, target)
      played = false
    }
    const scene = scenes[position]
    if (played || scene?.step !== step) return
    played = true
    position += 1
    if (await isHeld(bed, rule, target)) held.push(nameOf(scene))
    await stage.play(scene.change, target)
  }
  await using stage = new Stage(bed, [rule], direct)
  const result = await bed.enforce({ onStep: stage.onStep })
  await stage.finish()
  expect(position).toBe(scenes.length)
  return { stage, result, held }
}

/** The record that the next batch comes to: the first after the last one that is due. */
function nextRecord(seen: Stage['latest'], last: number): number {
  const due = [...seen.values()].filter(({ part, may }) => part === 'record' && may)
  const ids = due.map(({ id }) => id).toSorted((one, other) => one - other)
  return ids.find((id) => id > last) ?? ids[0] ?? 0
}

async function isHeld(bed: Bed, rule: RuleId, id: number): Promise<boolean> {
  const free = await bed.rows(
    `select from ${TABLES[rule]} where id = ${id} for key share skip locked`,
  )
  return free.length === 0
}

test.for(CLASSES)(
  'whatever the application does at whatever step, rule %s destroys nothing that is kept by then',
  async (rule) => {
    await using bed = await openBed()
    const scenes = scenesOf(rule)

    const { stage, result, held } = await playScenes(bed, rule, scenes)

    expect(stage.violations).toEqual([])
    expect(stage.outcomes.filter(({ sqlstate }) => sqlstate === '40P01')).toEqual([])
    // Which record a batch comes to first is known in advance only where it goes by the key.
    const late = scenes.filter(({ step }) => !EARLY.has(step)).map(nameOf)
    expect(process.env['TEST_WALK'] === undefined ? held : late).toEqual(late)
    expect(result.outcome).toBe('done')
    const left = [...(await stage.see()).values()].filter(
      ({ part, may }) => part === 'record' && may,
    )
    expect(left).toEqual([])
  },
)
