/** What networks do to a run: faults.md C3 and C4. */
import { expect } from 'vitest'
import { silentLog } from '../../src/base/log.ts'
import { connect } from '../../src/db/connect.ts'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { test, type Bed } from '../support/bed.ts'
import { openToxicProxy, type Toxic, type ToxicProxy } from '../support/toxic-proxy.ts'

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 5 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge }
`

/** What is left without an answer for so long is given up; the tests are over before they end. */
const ANSWER_MS = 2000

async function openVisits(bed: Bed): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at timestamptz);
    insert into site.visit select n, now() - interval '2 years' from generate_series(1, 20) as n`)
  await bed.govern(POLICY)
}

async function left(bed: Bed): Promise<number> {
  return (await bed.rows('select from site.visit')).length
}

/** Rows gone, by the journal. */
async function journalled(bed: Bed): Promise<number> {
  const [row] = await bed.rows<{ rows: number }>(`
    select coalesce(sum((convert_from(body, 'UTF8')::jsonb ->> 'rows')::int), 0)::int as rows
    from retentiond.entry
    where convert_from(body, 'UTF8')::jsonb ->> 'type' = 'batch'`)
  return row?.rows ?? 0
}

/** Returns when the server has ended every transaction of the program. */
async function quiet(bed: Bed): Promise<void> {
  let busy = 1
  while (busy > 0) {
    const [row] = await bed.rows<{ busy: number }>(`
      select count(pg_terminate_backend(pid))::int as busy from pg_stat_activity
      where usename = '${bed.roles.daemon}' and state like 'idle in transaction%'`)
    busy = row?.busy ?? 0
  }
}

type Way = {
  readonly step: BatchStep | null
  readonly toxic: Toxic
  /** Called when the program says that it lost the database. */
  readonly lost?: () => void
  readonly signal?: AbortSignal
}

async function enforceOver(bed: Bed, proxy: ToxicProxy, way: Way): Promise<unknown> {
  const { step, toxic, lost = () => {}, signal } = way
  await using through = connect(proxy.url, { max: 2, answerMs: ANSWER_MS })
  let met = false
  if (step === null) await proxy.poison(toxic)
  return await bed
    .enforce({
      db: through.db,
      log: { ...silentLog, warn: lost },
      ...(signal === undefined ? {} : { signal }),
      onStep: async (now) => {
        if (met || now !== step) return
        met = true
        await proxy.poison(toxic)
      },
    })
    .catch((error: unknown) => error)
}

const CUTS: readonly (readonly [string, BatchStep])[] = [
  ['before a batch locks anything', 'begun'],
  ['in the middle of a batch', 'decided'],
  ['before the commit', 'journalled'],
]

test.for(
  CUTS.flatMap(([when, step]) =>
    (['black hole', 'reset'] as const).map((kind) => ({ when, step, kind })),
  ),
)(
  'a link that is lost $when ($kind) is given up, and the run goes on when it is mended',
  async ({ step, kind }, { bed }) => {
    await openVisits(bed)
    await using proxy = await openToxicProxy(bed.database.urlOf(bed.roles.daemon))
    let lost = 0

    const result = await enforceOver(bed, proxy, {
      step,
      toxic: { kind },
      lost: () => {
        lost += 1
        // Behind a black hole the server knows of nothing, and keeps the locks of the batch.
        void proxy.poison(null).then(async () => quiet(bed))
      },
    })

    expect(lost).toBeGreaterThan(0)
    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 20, left: 0 }] })
    expect([await left(bed), await journalled(bed)]).toEqual([0, 20])
  },
)

test('a commit whose answer is lost in a black hole counts, and is not done twice', async ({
  bed,
}) => {
  await openVisits(bed)
  await using proxy = await openToxicProxy(bed.database.urlOf(bed.roles.daemon))
  await using through = connect(proxy.url, { max: 2, answerMs: ANSWER_MS })
  let batches = 0

  const running = bed.enforce({
    db: through.db,
    onStep: (step) => {
      if (step !== 'journalled') return
      batches += 1
      if (batches !== 1) return
      // The commit passes; its answer does not.
      proxy.when('commit', () => {
        setImmediate(() => void proxy.poison({ kind: 'black hole' }))
        setTimeout(() => void proxy.poison(null), 300)
      })
    },
  })

  expect(await running).toMatchObject({ outcome: 'done', rules: [{ rows: 20 }] })
  expect([await left(bed), await journalled(bed), batches]).toEqual([0, 20, 4])
})

const BEARABLE: readonly (readonly [string, Toxic])[] = [
  ['late', { kind: 'latency', ms: 20 }],
  ['slow', { kind: 'bandwidth', bytesPerSecond: 100_000 }],
  ['in single bytes', { kind: 'slices', bytes: 1 }],
  ['slow to close', { kind: 'slow close', ms: 1000 }],
]

test.for(BEARABLE)('a run gets through where the network is %s', async ([, toxic], { bed }) => {
  await openVisits(bed)
  await using proxy = await openToxicProxy(bed.database.urlOf(bed.roles.daemon))

  const result = await enforceOver(bed, proxy, { step: null, toxic })

  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 20 }] })
})

test.for([0, 400, 2000, 9000])(
  'a network that cuts every connection after %i bytes leaves batches whole or not done',
  async (bytes, { bed }) => {
    await openVisits(bed)
    await using proxy = await openToxicProxy(bed.database.urlOf(bed.roles.daemon))

    let lost = 0
    const stopping = new AbortController()
    await enforceOver(bed, proxy, {
      step: null,
      toxic: { kind: 'limit', bytes },
      lost: () => {
        lost += 1
        // A third time is no other than the first two.
        if (lost === 3) stopping.abort()
      },
      signal: stopping.signal,
    })
    await quiet(bed)

    expect(20 - (await left(bed))).toBe(await journalled(bed))
    await bed.run('update retentiond.lease set expires_at = clock_timestamp()')
    expect(await bed.enforce()).toMatchObject({ outcome: 'done' })
  },
)
