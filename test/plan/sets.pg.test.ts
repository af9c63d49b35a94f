import { sql } from 'kysely'
import { expect } from 'vitest'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import { readBoundary } from '../../src/plan/boundary.ts'
import { judged } from '../../src/plan/census.ts'
import { stated, viewOf, type View } from '../../src/plan/due.ts'
import { NONE_IDLE } from '../../src/plan/orders.ts'
import { test, type Bed } from '../support/bed.ts'

const ANONYMISED =
  '{ anonymise: { note: nothing, kind: { keep: it counts visits }, account: { keep: it counts visits }, seen_at: { keep: it counts visits } } }'

/** Two rules that read what others of the same table take: one anonymises, one purges like all others. */
function policyOf(count: number): string {
  const latest = '{ latest: site.visit.seen_at, by: { account: account }, none: { use: seen_at } }'
  const rules = Array.from(
    { length: count },
    (_, at) => `
  - id: rule-${at}
    table: site.visit
    where: { kind: { gte: ${at} } }
    start: ${at < 2 ? latest : 'seen_at'}
    keep: ${at + 1} months
    mode: enforce
    then: ${at === 0 ? ANONYMISED : 'purge'}`,
  )
  return `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { limits: { max_rows: 100000, max_percent: 100 } }
rules:${rules.join('')}
`
}

/** The length of the statement that judges the rows of the last rule, after those before it. */
async function lengthOf(bed: Bed, rules: readonly FittedRule[]): Promise<number> {
  const { db } = bed.connection
  const earlier = new Map<string, Pick<View, 'fitted' | 'boundary' | 'idle'>>()
  let length = 0
  for (const fitted of rules) {
    const boundary = await readBoundary(db, fitted, { kind: 'day', day: '2026-01-01' })
    const view = { ...viewOf(fitted, boundary), earlier: new Map(earlier) }
    const statement = stated(
      view,
      (within) => sql`select verdict from ${judged(within, 'whole table')} as judged`,
    )
    length = statement.compile(db).sql.length
    earlier.set(fitted.rule.id, { fitted, boundary, idle: NONE_IDLE })
  }
  return length
}

test('what a plan asks about rules that read each other grows with the square of their number at most', async ({
  bed,
}) => {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, account int, kind int, seen_at date, note text);
    insert into site.visit select n, n % 3, n % 4, '2025-09-01'::date - n, 'a note' from generate_series(1, 12) as n`)
  const few = await bed.govern(policyOf(3))
  const many = await bed.govern(policyOf(6))
  expect(await lengthOf(bed, many.rules)).toBeLessThan(4.5 * (await lengthOf(bed, few.rules)))

  const plan = await bed.plan()
  const result = await bed.enforce({ plan })
  expect(result.rules).toMatchObject([{ rule: 'rule-0', rows: 3 }])
  expect(plan.rules.map(({ counts }) => counts.due)).toEqual([3, 0, 0, 0, 0, 0])
})
