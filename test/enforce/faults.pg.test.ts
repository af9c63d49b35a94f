import { expect } from 'vitest'
import { connect, type Connection } from '../../src/db/connect.ts'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { parseEntry } from '../../src/journal/entry.ts'
import { readEntries } from '../../src/journal/read.ts'
import { test, type Bed } from '../support/bed.ts'
import { openLink, STEPS, terminate, type Cut, type Link } from '../support/faults.ts'
import { openTap } from './crash-stage.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (id int primary key, seen_at timestamptz);
  create table site.page (id int primary key, visit_id int references site.visit);
  create index on site.page (visit_id);
  insert into site.visit select n, now() - interval '2 years' from generate_series(1, 20) as n;
  insert into site.page select n, 1 + n % 20 from generate_series(1, 40) as n;
  create table site.account (id int primary key, closed_on date, full_name text);
  insert into site.account
  select n, now() - interval '11 years', 'Name ' || n from generate_series(1, 20) as n;`

const RULES = {
  purge: `
  - id: visit
    table: site.visit
    start: seen_at
    keep: 12 months
    then: purge
    references: { site.page: with_parent }`,
  anonymise: `
  - id: account
    table: site.account
    start: closed_on
    keep: 10 years
    then: { anonymise: { closed_on: { keep: it says when }, full_name: { constant: Anonymised } } }`,
}

type Action = keyof typeof RULES

const ACTIONS = ['purge', 'anonymise'] as const

async function openCase(bed: Bed, action: Action): Promise<void> {
  await bed.run(SCHEMA)
  await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 5 } }
rules:${RULES[action]}
`)
}

/** Records acted on, each with its children and its marker or not at all. */
async function acted(bed: Bed, action: Action): Promise<number> {
  const [row] = await bed.rows<{ visits: number; pages: number; named: number; marked: number }>(`
    select
      (select count(*) from site.visit)::int as visits,
      (select count(*) from site.page)::int as pages,
      (select count(*) from site.account where full_name <> 'Anonymised')::int as named,
      (select count(*) from retentiond.anonymised)::int as marked`)
  if (row === undefined) throw new Error('no counts')
  expect(row.pages).toBe(2 * row.visits)
  expect(row.marked).toBe(20 - row.named)
  return 20 - (action === 'purge' ? row.visits : row.named)
}

/** Records acted on, by the journal. */
async function journalled(bed: Bed): Promise<number> {
  let rows = 0
  for await (const { body } of readEntries(bed.connection.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type === 'batch') rows += entry.rows
  }
  return rows
}

/** Calls `act` after a step of the second batch. */
function inSecondBatch(
  at: BatchStep,
  act: () => void | Promise<void>,
): (step: BatchStep) => Promise<void> {
  let batch = 0
  return async (step) => {
    if (step === 'begun') batch += 1
    if (batch === 2 && step === at) await act()
  }
}

const CASES = ACTIONS.flatMap((action) => STEPS.map((step) => ({ action, step })))

test.for(CASES)(
  '$action: a failure after step $step leaves nothing of its batch, gone or journalled',
  async ({ action, step }, { bed }) => {
    await openCase(bed, action)
    const broken = new Error('broken')

    const result = await bed.enforce({
      onStep: inSecondBatch(step, () => {
        throw broken
      }),
    })

    expect(result).toMatchObject({ outcome: 'failed', exit: 1, error: broken })
    expect(await acted(bed, action)).toBe(5)
    expect(await journalled(bed)).toBe(5)
    expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [{ rows: 15, left: 0 }] })
  },
)

test.for(CASES)(
  '$action: sessions that the server ends after step $step leave nothing of their batch, and the run goes on',
  async ({ action, step }, { bed }) => {
    await openCase(bed, action)
    let ended = 0

    const result = await bed.enforce({
      onStep: inSecondBatch(step, async () => {
        ended += 1
        await terminate(bed.database.superuser, bed.roles.daemon)
      }),
    })

    expect(ended).toBe(1)
    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 20, batches: 4, left: 0 }] })
    expect(await acted(bed, action)).toBe(20)
    expect(await journalled(bed)).toBe(20)
  },
)

/** The program, on a link that can be cut. */
async function openCuttable(
  bed: Bed,
): Promise<AsyncDisposable & { link: Link; through: Connection }> {
  const link = await openLink(bed.database.urlOf(bed.roles.daemon))
  const through = connect(link.url, { max: 4 })
  return {
    link,
    through,
    [Symbol.asyncDispose]: async () => {
      await through[Symbol.asyncDispose]()
      await link[Symbol.asyncDispose]()
    },
  }
}

const CUTS: readonly Cut[] = ['before commit', 'answer to commit', 'during commit']

test.for(ACTIONS.flatMap((action) => CUTS.map((cut) => ({ action, cut }))))(
  '$action: a link cut $cut leaves a batch whole or not done, and never done twice',
  async ({ action, cut }, { bed }) => {
    await openCase(bed, action)
    await using cuttable = await openCuttable(bed)
    const { link, through } = cuttable

    const result = await bed.enforce({
      db: through.db,
      // The batch is known by its entry, which comes next.
      onStep: inSecondBatch('checked', () => link.arm(cut, 'retentiond.append')),
    })

    expect(link.cuts).toBe(1)
    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 20, batches: 4, left: 0 }] })
    expect(await acted(bed, action)).toBe(20)
    expect(await journalled(bed)).toBe(20)
  },
)

test('a commit that ends after its link was cut is waited for, and not taken for a failure', async ({
  bed,
}) => {
  await openCase(bed, 'purge')
  const url = new URL(bed.database.urlOf(bed.roles.daemon))
  await using tap = await openTap(url.href)
  url.host = tap.host
  await using through = connect(url.href, { max: 4 })
  const late: Promise<() => void>[] = []

  const running = bed.enforce({
    db: through.db,
    onStep: inSecondBatch('journalled', () => {
      late.push(tap.delayCommit())
    }),
  })
  await waitsForAnother(bed)
  for (const commit of await Promise.all(late)) commit()

  expect(await running).toMatchObject({ outcome: 'done', rules: [{ rows: 20 }] })
  expect(await journalled(bed)).toBe(20)
})

/** Returns when a session of the program waits for a transaction. */
async function waitsForAnother(bed: Bed): Promise<void> {
  let found: readonly unknown[] = []
  while (found.length === 0) {
    found = await bed.rows(
      `select from pg_stat_activity
       where usename = '${bed.roles.daemon}' and wait_event = 'transactionid'`,
    )
  }
}
