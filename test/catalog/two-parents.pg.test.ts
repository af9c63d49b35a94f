import { expect, test } from 'vitest'
import { PolicyError } from '../../src/base/errors.ts'
import { openBed } from '../support/bed.ts'

const policy = (references: string): string => `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 100, max_percent: 100 } }
rules:
  - id: customer
    table: public.customer
    start: left_on
    keep: 10 years
    then: purge
    references: { ${references} }
`

test('a row with two parents is not let go with the first of them that is due', async () => {
  await using bed = await openBed()
  await bed.run(`
    create table public.customer (id int primary key, left_on date);
    create table public.transfer (
      id int primary key,
      giver int references public.customer,
      taker int references public.customer
    );
    insert into public.customer values (1, '2001-01-01'), (2, null);
    insert into public.transfer values (1, 1, 2)`)

  const error = await bed
    .govern(policy('public.transfer: with_parent'))
    .catch((caught: unknown) => caught)

  expect(error).toBeInstanceOf(PolicyError)
  expect((error as PolicyError).problems.map(({ code, at }) => `${code} ${at}`)).toEqual([
    'child_with_two_parents policy.yaml:13:36',
  ])
})

test('a row that refers to its parent and to a row of it is not let go with either', async () => {
  await using bed = await openBed()
  await bed.run(`
    create table public.customer (id int primary key, left_on date);
    create table public.note (id int primary key, customer_id int references public.customer);
    create table public.attachment (
      id int primary key,
      note_id int references public.note,
      customer_id int references public.customer
    )`)

  const error = await bed
    .govern(policy('public.note: with_parent, public.attachment: with_parent'))
    .catch((caught: unknown) => caught)

  expect((error as PolicyError).problems.map(({ code }) => code)).toEqual([
    'child_with_two_parents',
  ])
})
