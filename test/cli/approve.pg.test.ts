import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openSite } from './site.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (id bigint primary key, seen_at timestamptz);
  insert into site.visit select n, now() - n * interval '40 days' from generate_series(0, 19) as n;`

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 3, max_percent: 100 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

test('an approval says which rules a limit kept out of it, and what a plan with a lifted limit is still good for', async () => {
  await using site = await openSite(SCHEMA)
  await site.govern(POLICY)
  await site.prepare()
  const plan = join(site.folder, 'plan.json')
  await site.run(['plan', '-o', plan])

  const refused = await site.run(['approve', plan])
  const lifted = await site.run(['approve', plan, '--lift-limits'])
  const stale = await site.run(['enforce', '--plan', plan])
  await site.run(['plan', '-o', plan])
  const enforced = await site.run(['enforce', '--plan', plan])

  expect(refused.out).toMatch(/^nothing to approve/)
  expect(refused.err).toMatch(
    /^not approved: visit: 10 rows .*\n {2}--lift-limits also approves what a limit refuses/,
  )
  expect(lifted.out).toBe('approved visit\n')
  expect(lifted.err).toContain('note: this plan still refuses visit: make a new one')
  expect(stale.status).toBe(3)
  expect(enforced.status).toBe(0)
})
