/** What was measured, as ratios to the reference of the same run: on a shared machine only those mean something. */
import { cpus, loadavg, totalmem } from 'node:os'

export type Measured = {
  /** What was done, on what: measurements of one scene are compared. */
  readonly scene: string
  readonly way: string
  readonly rows: number
  /** Of each repetition. */
  readonly ms: readonly number[]
  /** Processor time of server and program, of each repetition. */
  readonly cpuMs: readonly number[]
}

export type Results = {
  readonly at: string
  readonly postgres: string
  readonly node: string
  readonly cores: number
  readonly memoryGb: number
  /** Processes that were ready to run, over the last minutes: more than cores means a busy machine. */
  readonly load: number
  readonly measured: readonly Measured[]
  readonly latencies: readonly {
    readonly what: string
    readonly p50: number
    readonly p99: number
  }[]
  readonly peaks: readonly Peaks[]
}

/** Resident memory of a process at most. */
export type Peaks = { readonly what: string; readonly mib: number }

export function surroundings(
  postgres: string,
): Pick<Results, 'at' | 'postgres' | 'node' | 'cores' | 'memoryGb' | 'load'> {
  return {
    at: new Date().toISOString().slice(0, 10),
    postgres,
    node: process.versions.node,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    load: loadavg()[1] ?? 0,
  }
}

/** Of the repetitions the fastest: noise only ever adds. */
export function rate({ rows, ms }: Measured): number {
  return rows / (Math.min(...ms) / 1000)
}

/** The tables of docs/performance.md, one for each scene; the first way of a scene is its reference. */
export function renderTables({ measured, latencies, peaks }: Results): string {
  const scenes = Map.groupBy(measured, ({ scene }) => scene)
  const tables = [...scenes].map(([scene, ways]) => {
    const [reference] = ways
    const rows = ways.map((way) => {
      const ratio = reference === undefined ? 1 : rate(way) / rate(reference)
      const us = (1000 * Math.min(...way.cpuMs)) / way.rows
      return `| ${way.way} | ${(rate(way) / 1000).toFixed(1)} | ${ratio.toFixed(2)} | ${us.toFixed(2)} |`
    })
    return [
      `**${scene}**`,
      '',
      '| way | k rows/s | ratio | µs of processor a row |',
      '|---|---|---|---|',
      ...rows,
    ].join('\n')
  })
  const oltp = latencies.map(
    ({ what, p50, p99 }) => `| ${what} | ${p50.toFixed(2)} | ${p99.toFixed(2)} |`,
  )
  const load =
    oltp.length === 0
      ? []
      : [
          [
            '**An application beside it**',
            '',
            '| load | p50 ms | p99 ms |',
            '|---|---|---|',
            ...oltp,
          ].join('\n'),
        ]
  const memory = peaks.map(({ what, mib }) => `| ${what} | ${mib} |`)
  if (memory.length > 0) {
    tables.push(
      ['**Memory**', '', '| process | MiB resident at most |', '|---|---|', ...memory].join('\n'),
    )
  }
  return `${[...tables, ...load].join('\n\n')}\n`
}
