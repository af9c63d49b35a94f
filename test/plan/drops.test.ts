import { expect, test } from 'vitest'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import type { Dropping } from '../../src/catalog/inspect-dropping.ts'
import { chooseDrops } from '../../src/plan/drops.ts'

const LEAF = { schema: 'site', name: 'visit_2020', oid: 1, obstacle: null }
const FOUND: Dropping = { callable: true, told: null, leaves: [LEAF] }

/** What a plan says of a rule that may drop partitions, but for what is given. */
function dropsOf(given: Readonly<Record<string, unknown>>, found: Dropping | null = FOUND) {
  const fitted = {
    rule: { partitions: 'drop', action: { kind: 'purge' } },
    table: { schema: 'site', name: 'visit', kind: 'partitioned table', inbound: [] },
    start: { kind: 'column' },
    rivals: [],
    superseding: [],
    triggers: [],
    declared: [],
    readers: [],
    holding: [],
    closed: [],
    held: [],
    ...given,
  }
  return chooseDrops(fitted as unknown as FittedRule, found)
}

test('a partition that may be dropped is looked at, and those that may not are named by their reason', () => {
  const leaves = (['default', 'open', 'owner', null, null] as const).map((obstacle) => ({
    ...LEAF,
    obstacle,
  }))

  expect(dropsOf({})).toEqual({
    partitions: 1,
    why: 'each of which every row is due when it is locked',
  })
  expect(dropsOf({}, { ...FOUND, leaves })).toEqual({
    partitions: 2,
    why: 'each of which every row is due when it is locked; 3 are swept: default partition, not bounded by a day that is over, of another owner',
  })
  expect(dropsOf({ rule: { partitions: 'sweep' } })).toBeNull()
})

const note = { schema: 'site', name: 'note' }

test.for<[string, Readonly<Record<string, unknown>>, Partial<Dropping>]>([
  ['would anonymise', { rule: { partitions: 'drop', action: { kind: 'anonymise' } } }, {}],
  ['no partitions', { table: { kind: 'table', inbound: [] } }, {}],
  ['starts in other rows', { start: { kind: 'event' } }, {}],
  ['starts in other rows', { rivals: [{ start: { kind: 'event' } }] }, {}],
  [
    'site.note refers',
    { table: { kind: 'partitioned table', inbound: [{ from: note, toColumns: [] }] } },
    {},
  ],
  ['site.note refers', { declared: [{ table: note }] }, {}],
  ['another rule reads', { readers: [{}] }, {}],
  ['may hold others', { holding: [{}] }, {}],
  ['other tables may hold', { closed: [note] }, {}],
  ['trigger audit would not fire', { triggers: [{ trigger: { name: 'audit' } }] }, {}],
  ['replication slot feed', {}, { told: 'replication slot feed' }],
  ['the role may not', {}, { callable: false }],
])('no partition is dropped where more than the row decides, or is told of it: %s', (row) => {
  const [reason, given, found] = row
  const drops = dropsOf(given, { ...FOUND, ...found })

  expect(drops?.partitions).toBe(0)
  expect(drops?.why).toContain(reason)
})
