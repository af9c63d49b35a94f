import { expect, test } from 'vitest'
import { PolicyError } from '../../src/base/errors.ts'
import { openBed } from '../support/bed.ts'

test('a value that its column cannot hold is a problem of the policy, at its line', async () => {
  await using bed = await openBed()
  await bed.run(`
    create type public.state as enum ('open', 'closed');
    create domain public.code as text check (value ~ '^[A-Z]+$');
    create table public.ticket (
      id int primary key, state public.state, code public.code, size int, ended_on date
    )`)

  const refused = bed.govern(`
version: 1
policy: support
owner: DPO
timezone: UTC
rules:
  - id: ticket
    table: public.ticket
    where: { state: [open, klosed] }
    start: ended_on
    keep: 5 years
    then:
      anonymise:
        state: { keep: the filter }
        code: { constant: lower }
        size: { constant: none }
        ended_on: { keep: decides }
`)

  const error = await refused.catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(PolicyError)
  expect(
    (error as PolicyError).problems.map(({ code, at, message }) => `${code} ${at} ${message}`),
  ).toEqual([
    'value_not_of_type policy.yaml:9:21 "klosed" is no public.state, the type of state',
    'value_not_of_type policy.yaml:15:15 "lower" is no public.code, the type of code',
    'value_not_of_type policy.yaml:16:15 "none" is no integer, the type of size',
  ])
})

test('a table with types of its own is the same to a batch as to the plan', async () => {
  await using bed = await openBed()
  await bed.run(`
    create type public.state as enum ('open', 'closed');
    create table public.ticket (id int primary key, state public.state, ended_on date);
    insert into public.ticket values (1, 'closed', '2010-01-01'), (2, 'open', '2010-01-01')`)
  await bed.govern(`
version: 1
policy: support
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10, max_percent: 100 } }
rules:
  - { id: ticket, table: public.ticket, where: { state: closed }, start: ended_on, keep: 5 years, then: purge }
`)

  const result = await bed.enforce()

  expect(result.outcome).toBe('done')
  expect(await bed.rows('select id from public.ticket')).toEqual([{ id: 2 }])
})
