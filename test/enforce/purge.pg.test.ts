import { expect } from 'vitest'
import { test } from '../support/bed.ts'

const LIMITS = 'limits: { max_rows: 1000000, max_percent: 100 }'

const CONNECTIONS = `
version: 1
policy: site
title: Site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, ${LIMITS}, batch: { rows: 7 } }
rules:
  - id: connection
    title: Connection data
    table: site.connection
    start: recorded_at
    keep: 12 months
    then: purge
`

test('a row is purged when its period has ended, and kept until then', async ({ bed }) => {
  await bed.run(`
    create schema site;
    create table site.connection (id bigint primary key, recorded_at timestamptz);
    insert into site.connection
    select n, now() - n * interval '30 days' from generate_series(0, 50) as n;
    insert into site.connection values (100, null), (101, 'infinity'), (102, '-infinity'), (103, '1970-01-01')`)
  await bed.govern(CONNECTIONS)

  const plan = await bed.plan()
  const result = await bed.enforce()

  expect(plan.rules[0]?.counts).toMatchObject({ due: 38, running: 13, open: 2, implausible: 2 })
  expect(result.outcome).toBe('done')
  expect(result.rules[0]).toMatchObject({ rows: 38, left: 0 })
  expect(await bed.rows('select count(*)::int as n from site.connection')).toEqual([{ n: 17 }])
})

test('a second run finds nothing to do', async ({ bed }) => {
  await bed.run(`
    create schema site;
    create table site.connection (id bigint primary key, recorded_at timestamptz);
    insert into site.connection
    select n, now() - n * interval '30 days' from generate_series(0, 50) as n`)
  await bed.govern(CONNECTIONS)
  await bed.enforce()

  const again = await bed.enforce()

  expect(again.outcome).toBe('done')
  expect(again.rules).toEqual([])
})
