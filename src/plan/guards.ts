/** The guardrails of a rule, as an approval names them: one that became stricter needs no new approval. */
import { z } from 'zod'
import { printTable } from '../base/names.ts'
import { comparePeriods } from '../policy/period.ts'
import type { Limits, Period, Rule } from '../policy/policy.ts'

export type Guards = Limits & {
  readonly floors: readonly {
    readonly table: string
    readonly keepAtLeast: number | null
    readonly minimumAge: Period | null
  }[]
}

export const period = z.strictObject({
  count: z.int().min(1),
  unit: z.enum(['day', 'week', 'month', 'year']),
})

/** How guards stand in the body of an approval. */
export const guards = z.strictObject({
  maxRows: z.number(),
  maxPercent: z.number(),
  trip: z.enum(['either', 'both']),
  floors: z
    .array(
      z.strictObject({
        table: z.string(),
        keepAtLeast: z.number().nullable(),
        minimumAge: period.nullable(),
      }),
    )
    .readonly(),
})

export function guardsOf({ limits, floors }: Pick<Rule, 'limits' | 'floors'>): Guards {
  const { maxRows, maxPercent, trip } = limits
  return {
    maxRows,
    maxPercent,
    trip,
    floors: floors.map(({ table, keepAtLeast, minimumAge }) => ({
      table: printTable(table),
      keepAtLeast,
      minimumAge,
    })),
  }
}

/** True if everything that `then` would have refused is refused now too. */
export function isAsStrict(now: Guards, then: Guards): boolean {
  return (
    now.maxRows <= then.maxRows &&
    now.maxPercent <= then.maxPercent &&
    (now.trip === 'either' || then.trip === 'both') &&
    then.floors.every((floor) => holdsUp(now, floor))
  )
}

/** Several floors of one table all hold, so that any of them may be the stricter one. */
function holdsUp({ floors }: Guards, { table, keepAtLeast, minimumAge }: Guards['floors'][number]) {
  const own = floors.filter((floor) => floor.table === table)
  const keeps = own.some((floor) => (floor.keepAtLeast ?? -1) >= (keepAtLeast ?? -1))
  return (keeps || keepAtLeast === null) && (minimumAge === null || own.some(isAsOld(minimumAge)))
}

function isAsOld(age: Period): (floor: Guards['floors'][number]) => boolean {
  return ({ minimumAge }) => minimumAge !== null && (comparePeriods(minimumAge, age) ?? -1) >= 0
}
