import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { orderRules } from '../../src/policy/order.ts'
import type { Rule } from '../../src/policy/policy.ts'
import { parsed, policyYaml, ruleWith } from './documents.ts'

const base = ruleWith('')
const ids = ['a', 'b', 'c', 'd', 'e']

/** A rule on table t.<id> that may read another table, have children, and wait for others. */
const rulesOf = fc.tuple(
  ...ids.map((id) =>
    fc.record({
      id: fc.constant(id),
      purges: fc.boolean(),
      reads: fc.option(fc.constantFrom(...ids, `child-of-${ids.at(-1)}`), { nil: undefined }),
      via: fc.option(fc.constantFrom(...ids), { nil: undefined, freq: 3 }),
      awaits: fc.subarray(
        ids.filter((other) => other !== id),
        { maxLength: 1 },
      ),
    }),
  ),
)

type Spec = {
  readonly id: string
  readonly purges: boolean
  readonly reads: string | undefined
  readonly via: string | undefined
  readonly awaits: readonly string[]
}

test('readers act before what they read from is purged, and children before their parent', () => {
  fc.assert(
    fc.property(rulesOf, (specs) => {
      const before = specs.flatMap((later) => blockersOf(later, specs).map((id) => [id, later.id]))
      const { value = [], problems = [] } = orderRules(specs.map(ruleOf))

      const places = new Map(value.map(({ id }, index) => [id, index]))
      const kept = before.every(([earlier = '', later = '']) => {
        return (places.get(earlier) ?? -1) < (places.get(later) ?? -1)
      })
      expect({
        cyclic: hasCycle(before),
        places: places.size,
        kept: places.size === 0 || kept,
      }).toEqual({
        cyclic: problems.length > 0,
        places: problems.length > 0 ? 0 : ids.length,
        kept: true,
      })
    }),
    { numRuns: 1000 },
  )
})

test('rules that do not depend on each other act in the order of their ids', () => {
  const rule = (id: string): string =>
    `  - { id: ${id}, table: t.${id}, start: at, keep: 1 year, then: purge }\n`
  const { rules } = parsed(policyYaml(['c', 'a', 'b'].map(rule).join('')))

  expect(orderRules(rules.toReversed()).value?.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
})

function ruleOf({ id, purges, reads, via, awaits }: Spec): Rule {
  const table = (name: string) => ({ schema: 't', name })
  const source = {
    table: table(reads ?? 'unread'),
    column: 'at',
    zone: null,
    unit: null,
    format: null,
    hops: [],
    via: via === undefined ? null : table(via),
    by: [],
    open: null,
    place: ['start'],
  }
  const event = {
    kind: 'event',
    sources: [source],
    own: [],
    nulls: 'open',
    none: 'report',
  } as const
  return {
    ...base,
    id,
    table: table(id),
    start: reads === undefined && via === undefined ? base.start : event,
    action: purges ? { kind: 'purge' } : { kind: 'anonymise', masks: [] },
    references: [
      { table: table(`child-of-${id}`), as: 'with_parent' },
      ...awaits.map((other) => ({ table: table(other), as: 'own_rule' as const })),
    ],
  }
}

/** Which rules must act before `later`, worked out from the specification alone. */
function blockersOf(later: Spec, specs: readonly Spec[]): readonly string[] {
  const gone = [...(later.purges ? [later.id] : []), `child-of-${later.id}`]
  return specs
    .filter(({ id }) => id !== later.id)
    .filter(
      ({ id, reads, via }) =>
        gone.includes(reads ?? '') ||
        gone.includes(via ?? '') ||
        (later.purges && later.awaits.includes(id)),
    )
    .map(({ id }) => id)
}

function hasCycle(before: readonly (readonly string[])[]): boolean {
  const reach = (from: string, to: string, seen: ReadonlySet<string>): boolean =>
    before.some(([one = '', other = '']) => {
      if (one !== from || seen.has(other)) return false
      return other === to || reach(other, to, new Set([...seen, other]))
    })
  return ids.some((id) => reach(id, id, new Set()))
}
