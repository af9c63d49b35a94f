import { expect, test } from 'vitest'
import { openSite } from './site.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (id bigint primary key, seen_at date not null);
  create table site.later (id bigint primary key);
  insert into site.visit select n, current_date - 400 * n::int from generate_series(0, 3) as n;`

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
coverage:
  schemas: [site]
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

test('a table that nobody spoke of fails validate --database, stands in the plan and stops no run', async () => {
  await using site = await openSite(SCHEMA)
  await site.govern(POLICY)
  await site.prepare()
  const plan = `${site.folder}/plan.json`

  const validated = await site.run(['validate', '--database'])
  const planned = await site.run(['plan', '-o', plan])
  const json = await site.run(['plan', '--output', 'json'])
  const enforced = await site.run(['enforce', '--plan', plan])

  const said = 'site.later has no rule, no reference and no exemption'
  expect(validated.status).toBe(78)
  expect(validated.err).toContain(`coverage.schemas[0]  ${said}`)
  expect(planned.out).toContain(`note: ${said}`)
  expect(JSON.parse(json.out)).toMatchObject({
    remarks: [{ code: 'table_uncovered', message: said }],
  })
  expect(enforced.status).toBe(0)
  expect(await site.sql('select id from site.visit')).toEqual([{ id: '0' }])
})
