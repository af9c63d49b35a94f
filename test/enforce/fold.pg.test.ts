import { expect } from 'vitest'
import { parseEntry } from '../../src/journal/entry.ts'
import { readEntries } from '../../src/journal/read.ts'
import { test, type Bed } from '../support/bed.ts'
import { openSession, STEPS } from '../support/faults.ts'

/** Rows of 1,500 bytes: five on a page, which is a batch, so that a stretch is one statement. */
const PER_BATCH = 5

const RULES = {
  purge: `
  - { id: visit, table: site.visit, subject: account, start: seen_at, keep: 12 months, then: purge }`,
  anonymise: `
  - id: visit
    table: site.visit
    subject: account
    start: seen_at
    keep: 12 months
    then: { anonymise: { filler: { constant: gone }, account: { keep: a number }, seen_at: { keep: it says when } } }`,
}

type Action = keyof typeof RULES

/** Due visits, in the order of their ids on disk. */
async function openVisits(
  bed: Bed,
  due: number,
  { action = 'purge', walk = 'heap' }: { action?: Action; walk?: 'heap' | 'index' } = {},
): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at timestamptz, account text, filler text not null);
    alter table site.visit alter column filler set storage plain;
    create index on site.visit (seen_at);
    insert into site.visit
    select n, now() - interval '2 years', 'account ' || n, repeat('x', 1500) from generate_series(1, ${due}) as n`)
  await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults:
  { mode: enforce, limits: { max_rows: 100000, max_percent: 100 }, batch: { rows: ${PER_BATCH}, walk: ${walk} } }
rules:${RULES[action]}
`)
}

/** Visits that are as they were. */
async function left(bed: Bed): Promise<number> {
  return (await bed.rows('select from site.visit where length(filler) = 1500')).length
}

async function journalled(bed: Bed): Promise<readonly number[]> {
  const rows: number[] = []
  for await (const { body } of readEntries(bed.connection.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type === 'batch') rows.push(entry.rows)
  }
  return rows
}

test.for(['purge', 'anonymise'] as const)(
  '%s: one statement acts on a stretch, and a failure after any step of it leaves nothing gone or journalled',
  async (action, { bed }) => {
    await openVisits(bed, 60, { action })
    let done = 0

    for (const step of STEPS) {
      let journalled = 0
      const result = await bed.enforce({
        onStep: (at) => {
          if (journalled === 1 && at === step) throw new Error('broken')
          if (at === 'journalled') journalled += 1
        },
      })
      done += PER_BATCH
      expect(result.outcome).toBe('failed')
      expect([step, 60 - (await left(bed))]).toEqual([step, done])
    }

    expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [{ left: 0 }] })
    expect(await journalled(bed)).toEqual(Array.from({ length: 12 }, () => PER_BATCH))
    const marked = await bed.rows('select from retentiond.anonymised')
    expect(marked).toHaveLength(action === 'purge' ? 0 : 60)
  },
)

test('a row that the application has locked is left out, the rest of its page goes, and the run is partial', async ({
  bed,
}) => {
  await openVisits(bed, 20)
  const { superuserUrl, superuser } = bed.database
  await using application = await openSession(superuserUrl, superuser)
  await application.send('begin')
  await application.send('update site.visit set seen_at = now() where id = 7')

  const result = await bed.enforce()
  const during = await bed.rows('select id from site.visit')
  await application.send('commit')

  expect(result).toMatchObject({ outcome: 'partial', exit: 4, rules: [{ rows: 19, left: 1 }] })
  expect(during).toEqual([{ id: 7 }])
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [] })
})

test('a row that the application moved behind the sweep is found at its end', async ({ bed }) => {
  await openVisits(bed, 20)
  let batches = 0

  const result = await bed.enforce({
    onStep: async (step) => {
      if (step === 'begun') batches += 1
      // The first page is free again: the new version of a row of the last one may go there.
      if (batches !== 2 || step !== 'begun') return
      await bed.run('vacuum site.visit')
      await bed.run("update site.visit set account = 'moved' where id = 20")
    },
  })

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 20, left: 0 }] })
})

test.for(['behind', 'before'] as const)(
  'a row that the application fills again is anonymised again in the same run: %s the sweep',
  async (where, { bed }) => {
    await openVisits(bed, 20, { action: 'anonymise' })
    let batches = 0

    const result = await bed.enforce({
      onStep: async (step) => {
        if (step === 'begun') batches += 1
        if (batches !== 3 || step !== 'begun') return
        // What the rows of the first page held is gone, and there is room for the new version, or there is not.
        if (where === 'behind') await bed.run('vacuum site.visit')
        await bed.run("update site.visit set filler = repeat('y', 1500) where id = 1")
        if (where === 'before')
          await bed.run("update site.visit set account = 'moved' where id = 1")
      },
    })

    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 21, left: 0 }] })
    expect(await left(bed)).toBe(0)
    expect(await bed.rows('select from retentiond.anonymised')).toHaveLength(20)
  },
)

test('a hold on one row of a page keeps that row, and no other', async ({ bed }) => {
  await openVisits(bed, 20)
  await bed.run(
    "insert into retentiond.hold (case_reference, scope, subject) values ('case A', 'subject', 'account 7')",
  )

  const result = await bed.enforce()

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 19 }] })
  expect(await bed.rows('select id from site.visit')).toEqual([{ id: 7 }])
})

test('connections that act at once share the pages of a table and one limit of rows', async ({
  bed,
}) => {
  await openVisits(bed, 200)
  const plan = await bed.plan()
  await bed.run(`
    insert into site.visit
    select n, now() - interval '2 years', 'new', repeat('x', 1500) from generate_series(201, 260) as n`)
  bed.forget('site.visit', -60)

  const limited = await bed.enforce({ plan, connections: 3 })

  const gone = 260 - (await left(bed))
  expect(limited.rules[0]?.error).toMatchObject({ code: 'LIMIT_REACHED' })
  expect(gone).toBe(limited.rules[0]?.rows)
  // 200 were planned, and one in twenty may come up meanwhile.
  expect(gone).toBeLessThanOrEqual(210)
  expect(gone).toBeGreaterThan(190)
  const rest = await bed.enforce({ connections: 3 })
  expect(rest).toMatchObject({ outcome: 'done', rules: [{ rows: 260 - gone, left: 0 }] })
  expect((await journalled(bed)).reduce((sum, rows) => sum + rows, 0)).toBe(260)
})

test('a failure on one of two connections ends the run, and both have journalled what is gone', async ({
  bed,
}) => {
  await openVisits(bed, 100)
  let acted = 0

  const result = await bed.enforce({
    connections: 2,
    onStep: (step) => {
      if (step === 'acted') acted += 1
      if (step === 'acted' && acted === 7) throw new Error('broken')
    },
  })

  const gone = 100 - (await left(bed))
  expect(result.outcome).toBe('failed')
  expect(gone).toBeLessThan(100)
  expect((await journalled(bed)).reduce((sum, rows) => sum + rows, 0)).toBe(gone)
})

test('rows that start in one moment are gone through in batches, however many they are', async ({
  bed,
}) => {
  await openVisits(bed, 33, { walk: 'index' })
  await bed.run("update site.visit set seen_at = now() - interval '3 years' where id <= 4")

  const result = await bed.enforce()

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 33, left: 0 }] })
  expect(Math.max(...(await journalled(bed)))).toBeLessThanOrEqual(PER_BATCH)
})

test('each partition is swept by itself, and by the key where the role may not name it', async ({
  bed,
}) => {
  await bed.run(`
    create schema site;
    create table site.event (id int, seen_at timestamptz) partition by range (id);
    create table site.event_1 partition of site.event for values from (0) to (500);
    create table site.event_2 partition of site.event for values from (500) to (2000);
    alter table site.event add primary key (id);
    insert into site.event select n, now() - interval '2 years' from generate_series(1, 1000) as n`)
  await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 300, walk: heap } }
rules:
  - { id: event, table: site.event, start: seen_at, keep: 12 months, then: purge }
`)
  const swept = await bed.plan()
  await bed.run(`revoke delete on site.event_2 from ${bed.roles.daemon}`)
  const walked = await bed.plan()

  const late = await bed.enforce({ plan: swept })

  expect(swept.rules[0]?.walk.kind).toBe('heap')
  expect(walked.rules[0]?.walk).toEqual({
    kind: 'key',
    why: 'the role lacks rights on site.event_2 that other walks need: see retentiond grants',
    drops: null,
  })
  expect(late).toMatchObject({ outcome: 'done', rules: [{ rows: 1000, left: 0 }] })
})
