/**
 * `npm run bench`: every way on one machine in one go. The defaults take about two minutes;
 * `npm run bench -- --rows 2000000 --repeat 3 --wide` is what docs/performance.md shows.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { Client } from 'pg'
import { cpuMs } from './cpu.ts'
import { makeOrders, startLoad } from './oltp.ts'
import { enforce, type Enforced, type Ours } from './ours.ts'
import * as peers from './peers.ts'
import { measureMemory } from './memory.ts'
import { openPlace, type Place } from './place.ts'
import { renderTables, surroundings, type Measured, type Peaks, type Results } from './report.ts'
import { makeConnections, makeTickets, type Workload } from './workload.ts'

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '200000' },
    repeat: { type: 'string', default: '1' },
    /** Only the scenes whose name contains this. */
    scene: { type: 'string', default: '' },
    /** Only the ways whose name matches this, as a regular expression; the reference always. */
    ways: { type: 'string', default: '' },
    /** The server's memory for pages: with less than the table takes, pages go to disk meanwhile. */
    buffers: { type: 'string' },
    /** Every share and both orders of the heap. */
    wide: { type: 'boolean', default: false },
  },
})

const ROWS = Number(flags.rows)
const REPEAT = Number(flags.repeat)

type Way = {
  readonly name: string
  readonly run: (place: Place) => Promise<Enforced>
}

type Scene = {
  readonly name: string
  readonly make: (client: Client) => Promise<void>
  /** The first is what the others are compared with. */
  readonly ways: readonly Way[]
}

await using place = await openPlace(flags.buffers)
const measured: Measured[] = []
const latencies: { what: string; p50: number; p99: number }[] = []
for (const scene of scenes()) {
  if (!scene.name.includes(flags.scene)) continue
  measured.push(...(await measure(scene)))
}
if ('application'.includes(flags.scene)) latencies.push(...(await besideAnApplication()))
const peaks = 'memory'.includes(flags.scene) ? await memory() : []
const results: Results = { ...surroundings(place.version), measured, latencies, peaks }
await writeFile(
  new URL('results.json', import.meta.url),
  `${JSON.stringify({ rows: ROWS, repeat: REPEAT, ...results }, null, 2)}\n`,
)
const { at, postgres, node, cores, load } = results
console.log(
  `\n${at}, PostgreSQL ${postgres}, Node ${node}, ${cores} cores, load ${load.toFixed(1)}, ${ROWS} rows\n`,
)
console.log(renderTables(results))

function scenes(): readonly Scene[] {
  const shares = flags.wide ? [50, 1, 5, 95] : [50, 5]
  const heaps = flags.wide ? (['uncorrelated', 'correlated'] as const) : (['uncorrelated'] as const)
  const workloads = heaps.flatMap((heap) =>
    shares.map((due): Workload => ({ rows: ROWS, due, heap })),
  )
  return [
    ...workloads.map((workload) => purging(workload)),
    {
      name: 'anonymise, 50 % due, heap uncorrelated',
      make: async (client) =>
        makeConnections(client, { rows: ROWS, due: 50, heap: 'uncorrelated' }),
      ways: [
        theirs('one UPDATE', peers.plainUpdate),
        ...[1, 2].map((connections) => ours({ rule: 'anonymise', connections })),
        ours({ rule: 'anonymise', connections: 2, evidence: 'rows' }),
      ],
    },
    {
      name: 'purge of tickets by the contracts of their customers, 50 % due',
      make: async (client) => makeTickets(client, { rows: ROWS, due: 50, heap: 'uncorrelated' }),
      ways: [
        theirs('one DELETE with joins', peers.plainTickets),
        theirs('the common loop', peers.ticketLoop),
        ...[1, 2].map((connections) => ours({ rule: 'tickets', connections })),
        ours({ rule: 'tickets', connections: 2, evidence: 'rows' }),
      ],
    },
  ]
}

function purging(workload: Workload): Scene {
  const main = workload.due === 50 && workload.heap === 'uncorrelated'
  return {
    name: `purge, ${workload.due} % due, heap ${workload.heap}`,
    make: async (client) => makeConnections(client, workload),
    ways: [
      theirs('one DELETE', peers.plainDelete),
      theirs('the common loop', peers.ctidLoop),
      ...(main ? [theirs('keyset loop', peers.keysetLoop)] : []),
      ...(main ? [1, 2, 4] : [1, 2]).map((connections) => ours({ rule: 'purge', connections })),
      ...(main ? [ours({ rule: 'purge', connections: 2, evidence: 'rows' })] : []),
    ],
  }
}

function theirs(name: string, way: peers.Way): Way {
  return {
    name,
    run: async ({ application, pid }) => {
      const began = cpuMs(pid)
      const started = performance.now()
      const rows = await way(application)
      return { rows, ms: performance.now() - started, cpuMs: cpuMs(pid) - began }
    },
  }
}

function ours(how: Ours): Way {
  const connections = `${how.connections} ${how.connections === 1 ? 'connection' : 'connections'}`
  const proved = how.evidence === 'rows' ? ', each row proved' : ''
  return { name: `ours, ${connections}${proved}`, run: async (place) => enforce(place, how) }
}

/** Repetitions go round the ways, so that a minute of noise does not fall on one of them. */
async function measure(scene: Scene): Promise<readonly Measured[]> {
  const taken = new Map<string, { rows: number; ms: number[]; cpuMs: number[] }>()
  for (let round = 0; round < REPEAT; round += 1) {
    for (const [at, way] of scene.ways.entries()) {
      if (at > 0 && !new RegExp(flags.ways).test(way.name)) continue
      await scene.make(place.application)
      const { rows, ms, cpuMs: used } = await way.run(place)
      const before = taken.get(way.name)
      taken.set(way.name, {
        rows,
        ms: [...(before?.ms ?? []), ms],
        cpuMs: [...(before?.cpuMs ?? []), used],
      })
      const us = `${((1000 * used) / rows).toFixed(2)} µs of processor a row`
      console.log(`${scene.name}: ${way.name}: ${Math.round(rows / ms)} k rows/s, ${us}`)
    }
  }
  return [...taken].map(([way, of]) => ({ scene: scene.name, way, ...of }))
}

/** Long enough for some flushes of the log that take longer than others. */
const ALONE_MS = 15_000

/** The application alone, then beside us, then alone again: a machine that changed meanwhile shows. */
async function besideAnApplication() {
  const { application, applicationUrl: url } = place
  const orders = 100_000
  await makeOrders(application, orders)
  await makeConnections(application, { rows: ROWS, due: 50, heap: 'uncorrelated' })
  const load = { url, sessions: 4, rate: 50, rows: orders }
  const alone = async (what: string) => {
    const running = startLoad(load)
    await new Promise((resolve) => {
      setTimeout(resolve, ALONE_MS)
    })
    return { what, ...(await running.stop()) }
  }
  const before = await alone('alone, before')
  const running = startLoad(load)
  await enforce(place, { rule: 'purge', connections: 1, pace: '{}' })
  const beside = { what: 'beside a purge at its own pace', ...(await running.stop()) }
  return [before, beside, await alone('alone, after')]
}

/** Peaks of the program's own processes, for each way of journalling. */
async function memory(): Promise<readonly Peaks[]> {
  const peaks: Peaks[] = []
  for (const evidence of ['count', 'rows'] as const) {
    await makeConnections(place.application, { rows: ROWS, due: 50, heap: 'uncorrelated' })
    for (const peak of await measureMemory(place, { rule: 'purge', connections: 2, evidence })) {
      peaks.push({ what: `${peak.command}, evidence of ${evidence}`, mib: peak.mib })
    }
  }
  return peaks
}
