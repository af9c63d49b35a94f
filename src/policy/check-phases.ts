/** Phases of a rule: the later one does more, and has its time after the earlier one. */
import type { Fault, PathPart } from './fault.ts'
import { comparePeriods, compareSums, printPeriod } from './period.ts'
import type { Action, Period } from './policy.ts'

type Phase = {
  readonly keep: Period
  readonly action: Action
  readonly place: readonly PathPart[]
}

/** Finds phases out of order, or that leave out for late records what an earlier one does. */
export function checkPhases(phases: readonly Phase[], within: Period | null): readonly Fault[] {
  const [first, ...others] = phases
  if (first === undefined) return []
  if (others.length === 0) {
    const message = 'a rule with one phase is a rule without phases'
    const remedy = `write keep: ${printPeriod(first.keep)}, and the action after then:`
    return [{ code: 'phase_alone', message, remedy, path: ['then'] }]
  }
  return others.flatMap((phase, index) => {
    const before = phases[index] ?? first
    return [
      ...outOfOrder(before, phase),
      ...overlapping(before, phase, within),
      ...less(before, phase),
    ]
  })
}

function outOfOrder(before: Phase, { keep, place }: Phase): readonly Fault[] {
  const compared = comparePeriods(keep, before.keep)
  if (compared !== undefined && compared > 0) return []
  const [own, earlier] = [printPeriod(keep), printPeriod(before.keep)]
  const message =
    compared === undefined
      ? `whether ${own} end after ${earlier} depends on the day they start on`
      : `${own} do not end after the ${earlier} of the phase before`
  const remedy = 'write the phases in the order of their time, which all count from the same start'
  return [{ code: 'phases_out_of_order', message, remedy, path: [...place, 'after'] }]
}

/** By the time of the next phase the one before must have been done. */
function overlapping(
  before: Phase,
  { keep, place }: Phase,
  within: Period | null,
): readonly Fault[] {
  if (within === null || comparePeriods(keep, before.keep) === undefined) return []
  const compared = compareSums([before.keep, within], [keep])
  if (compared !== undefined && compared <= 0) return []
  const message = `the phase before has until ${printPeriod(before.keep)} and ${printPeriod(within)} after the start, and this one begins before that`
  const remedy = 'shorten within, or let this phase begin later'
  return [{ code: 'phases_overlap', message, remedy, path: [...place, 'after'] }]
}

/** Of the phases whose time has come the latest acts alone: what it does not do is never done. */
function less({ action: before }: Phase, { action, place }: Phase): readonly Fault[] {
  if (before.kind === 'purge') {
    const message = 'the phase before purges the record: nothing is left for this one'
    return [{ code: 'phase_after_purge', message, remedy: 'remove it', path: place }]
  }
  if (action.kind === 'block') {
    const message =
      'rows that the phase before is late with would be blocked as they are, and never masked'
    return [{ code: 'block_not_first', message, remedy: 'let the first phase block', path: place }]
  }
  if (action.kind !== 'anonymise' || before.kind !== 'anonymise') return []
  const masked = new Set(
    action.masks.filter(({ strategy }) => strategy.kind !== 'keep').map(({ column }) => column),
  )
  return before.masks
    .filter(({ column, strategy }) => strategy.kind !== 'keep' && !masked.has(column))
    .map(({ column }) => ({
      code: 'phase_masks_less',
      message: `${column} is masked by the phase before and not by this one, which alone acts on what is late`,
      remedy: `give ${column} a strategy here too`,
      path: [...place, 'anonymise'],
    }))
}
