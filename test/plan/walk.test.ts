import { expect, test } from 'vitest'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import type { Storage } from '../../src/catalog/inspect-storage.ts'
import { chooseWalk } from '../../src/plan/walk.ts'
import type { WalkKind } from '../../src/policy/walk.ts'
import { plannedRule } from './plans.ts'

type Case = {
  readonly due?: number
  readonly stored?: Partial<Storage>
  readonly told?: WalkKind
  readonly batchRows?: number
}

const STORED: Storage = {
  unlogged: false,
  bytes: 8_192_000,
  pages: 1000,
  otherMethod: false,
  unreachable: null,
  correlations: {},
  indexes: [['id'], ['seen_at']],
}

/** The walk through a table of 100,000 rows on 1,000 pages, of which `due` per cent are due. */
function walkOf({ due = 50, stored = {}, told, batchRows = 5000 }: Case) {
  const fitted = {
    rule: { walk: told ?? null, batchRows },
    table: { schema: 'site', name: 'visit' },
    start: { kind: 'column', moment: { column: 'seen_at', frame: { kind: 'instant' } } },
  }
  const counts = { ...plannedRule().counts, due: due * 1000, running: (100 - due) * 1000 }
  return chooseWalk(fitted as unknown as FittedRule, { ...STORED, ...stored }, { counts })
}

const CASES: readonly (readonly [string, Case, WalkKind])[] = [
  ['half of it is due', {}, 'heap'],
  ['little is due and an index finds it', { due: 2 }, 'index'],
  ['little is due and no index finds it', { due: 2, stored: { indexes: [['id']] } }, 'heap'],
  [
    'the heap is in the order of age',
    { due: 30, stored: { correlations: { seen_at: 0.99 } } },
    'index',
  ],
  [
    'most of it is due in that order',
    { due: 80, stored: { correlations: { seen_at: 0.99 } } },
    'heap',
  ],
  ['it is small', { stored: { pages: 100 } }, 'key'],
  ['a page holds more than a batch', { batchRows: 50 }, 'key'],
  ['the policy says so', { told: 'index' }, 'index'],
  ['it is no heap', { told: 'heap', stored: { otherMethod: true } }, 'key'],
  [
    'the role may not read where rows lie',
    { told: 'heap', stored: { unreachable: { schema: 'site', name: 'visit' } } },
    'key',
  ],
]

test.for(CASES)('a table is walked as fits it: %s', ([, given, kind]) => {
  const walk = walkOf(given)

  expect(walk.kind).toBe(kind)
  expect(walk.why).not.toBe('')
})
