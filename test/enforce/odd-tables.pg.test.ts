import { expect } from 'vitest'
import { test } from '../support/bed.ts'

const HEAD = `
version: 1
policy: odd
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 } }
rules:
`

const rule = (id: string, table: string, then: string): string => `
  - id: ${id}
    table: ${JSON.stringify(table)}
    start: started
    keep: 1 year
    then: ${then}
`

test('a table without a primary key is acted on by a unique key, row by row', async ({ bed }) => {
  await bed.run(`
    create schema log;
    create table log.visit (site text not null, hit bigint not null, started date, ip text, unique (site, hit));
    create table log.session (token uuid not null unique, started date, ip text);
    insert into log.visit
    select s, n, case when n % 2 = 0 then date '2000-01-01' else current_date end, 'a'
    from unnest(array['a', 'b', 'a,b']) as s, generate_series(1, 4) as n;
    insert into log.session
    select gen_random_uuid(), case when n % 2 = 0 then date '2000-01-01' else current_date end, 'a'
    from generate_series(1, 4) as n`)
  await bed.govern(
    HEAD +
      rule('visit', 'log.visit', 'purge') +
      rule(
        'session',
        'log.session',
        `{ anonymise: { ip: nothing, started: { keep: decides }, token: { keep: it names the row } } }`,
      ),
  )

  expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0 })

  expect(await bed.rows('select site, hit from log.visit order by site, hit')).toEqual(
    ['a', 'a,b', 'b'].flatMap((site) => ['1', '3'].map((hit) => ({ site, hit }))),
  )
  expect(
    await bed.rows(
      "select count(*)::int as rows from log.session where (ip is null) = (started = '2000-01-01')",
    ),
  ).toEqual([{ rows: 4 }])
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [] })
})

test('rows go from the table of that very name, and from no other', async ({ bed }) => {
  const names = [
    'Weird Table',
    'select',
    'x'.repeat(63),
    '👤',
    'a"b',
    "o'neill; drop table x --",
    '$1',
  ]
  const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
  const written = (name: string): string => (name.includes('"') ? quoted(name) : name)
  await bed.run(
    names
      .map(
        (name) => `
          create table public.${quoted(name)} (${quoted(name)} int primary key, started date, child text);
          insert into public.${quoted(name)} values (1, '2000-01-01', 'a'), (2, current_date, 'b');
          create schema ${quoted(name)};
          create table ${quoted(name)}.${quoted(name)} (id int primary key, started date);
          insert into ${quoted(name)}.${quoted(name)} values (1, '2000-01-01'), (2, '2000-01-01')`,
      )
      .join(';'),
  )
  await bed.govern(
    HEAD + names.map((name, at) => rule(`rule-${at}`, `public.${written(name)}`, 'purge')).join(''),
  )

  expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0 })

  for (const name of names) {
    const left = await bed.rows(`
      select
        (select array_agg(${quoted(name)}) from public.${quoted(name)}) as own,
        (select count(*)::int from ${quoted(name)}.${quoted(name)}) as namesake`)
    expect([name, left]).toEqual([name, [{ own: [2], namesake: 2 }]])
  }
})

test('a plan counts the rows that are there, whatever the statistics of the table say', async ({
  bed,
}) => {
  await bed.run(`
    create schema log;
    create table log.visit (id int primary key, started date);
    insert into log.visit select n, '2000-01-01' from generate_series(1, 120) as n;
    insert into log.visit select n, current_date from generate_series(121, 200) as n`)
  await bed.govern(HEAD + rule('visit', 'log.visit', 'purge'))

  for (const [rows, pages] of [
    [-1, 0],
    [1e8, 1e6],
    [0, 0],
  ]) {
    await bed.run(`
      update pg_class set reltuples = ${rows}, relpages = ${pages} where oid = 'log.visit'::regclass`)
    const { rules } = await bed.plan()
    expect([rows, rules[0]?.counts.due, rules[0]?.counts.running]).toEqual([rows, 120, 80])
  }
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0 })
})

test('row security that comes over a table makes a plan fail, and no row look undue', async ({
  bed,
}) => {
  await bed.run(`
    create schema log;
    create table log.visit (id int primary key, started date);
    insert into log.visit values (1, '2000-01-01')`)
  await bed.govern(HEAD + rule('visit', 'log.visit', 'purge'))
  const plan = await bed.plan()
  await bed.run('alter table log.visit enable row level security')

  await expect(bed.plan()).rejects.toMatchObject({ code: '42501' })
  const { outcome, exit, rules } = await bed.enforce({ plan })
  expect([outcome, exit, rules[0]?.rows]).toEqual(['failed', 1, 0])
  expect(rules[0]?.error).toMatchObject({ message: expect.stringContaining('42501') })
  expect(await bed.rows('select id from log.visit')).toEqual([{ id: 1 }])

  await bed.run('alter table log.visit disable row level security')
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0 })
})
