/** How far each sink is, for whoever looks at the journal: the daemon that asks them is another process. */
import { RetentionError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import { findEntryBySeq, readHead, requireEntry } from '../journal/read.ts'

export type SinkStatus = {
  readonly sink: string
  /** Entries of the newest checkpoint that it took, and when that was; null if it took none. */
  readonly taken: { readonly size: number; readonly at: string } | null
  /** Entries that it does not have a checkpoint over, and for how long the oldest of them has stood. */
  readonly behind: { readonly entries: number; readonly ms: number }
  /** Null: the last time that it was asked it took something, or it was never asked. */
  readonly failing: Failing | null
}

type Failing = { readonly failures: number; readonly at: string; readonly message: string }

/** The sinks that are configured, and those that ever took or refused something. */
export async function readSinkStatus(
  db: Db,
  configured: readonly string[],
  now: Date,
): Promise<readonly SinkStatus[]> {
  const taken = await newestTaken(db)
  const failing = await readFailures(db)
  const size = (await readHead(db))?.size ?? 0
  const names = new Set([...configured, ...taken.keys(), ...failing.keys()])
  return Promise.all(
    [...names].toSorted().map(async (sink) => {
      const has = taken.get(sink) ?? null
      const from = has?.size ?? 0
      const oldest = from < size ? await findEntryBySeq(db, from) : null
      const since = oldest === null ? now.getTime() : Date.parse(requireEntry(oldest).time)
      const behind = { entries: Math.max(size - from, 0), ms: Math.max(now.getTime() - since, 0) }
      return { sink, taken: has, behind, failing: failing.get(sink) ?? null }
    }),
  )
}

async function newestTaken(db: Db): Promise<ReadonlyMap<string, NonNullable<SinkStatus['taken']>>> {
  const rows = await db
    .selectFrom('retentiond.anchor')
    .distinctOn('sink')
    .select(['sink', 'size', 'at'])
    .orderBy('sink')
    .orderBy('size', 'desc')
    .execute()
  return new Map(rows.map(({ sink, size, at }) => [sink, { size: Number(size), at: iso(at) }]))
}

async function readFailures(db: Db): Promise<ReadonlyMap<string, Failing>> {
  const rows = await db
    .selectFrom('retentiond.sink_failure')
    .select(['sink', 'at', 'failures', 'message'])
    .execute()
  return new Map(rows.map(({ sink, at, ...rest }) => [sink, { ...rest, at: iso(at) }]))
}

/** Remembers that a sink took nothing. Of an error that is not ours only its kind: its words may be anybody's. */
export async function rememberFailure(
  db: Db,
  { sink, at, error }: { readonly sink: string; readonly at: Date; readonly error: unknown },
): Promise<void> {
  const said = error instanceof RetentionError ? error.message : 'an unexpected error'
  const message = said.slice(0, 1000)
  await db
    .insertInto('retentiond.sink_failure')
    .values({ sink, at, failures: 1, message })
    .onConflict((conflict) =>
      conflict.column('sink').doUpdateSet((set) => ({
        at: set.ref('excluded.at'),
        message: set.ref('excluded.message'),
        failures: set('retentiond.sink_failure.failures', '+', 1),
      })),
    )
    .execute()
}

export async function forgetFailure(db: Db, sink: string): Promise<void> {
  await db.deleteFrom('retentiond.sink_failure').where('sink', '=', sink).execute()
}

function iso(at: string): string {
  return new Date(at).toISOString()
}

/** Renders them for people, a line for each. */
export function renderSinks(sinks: readonly SinkStatus[]): string {
  return sinks.map((each) => `sink            ${lineOf(each)}\n`).join('')
}

function lineOf({ sink, taken, behind, failing }: SinkStatus): string {
  const has =
    taken === null ? 'nothing taken' : `${taken.size} entries, taken ${taken.at.slice(0, 19)}Z`
  const lacks =
    behind.entries === 0
      ? ''
      : `, ${behind.entries} behind for ${(behind.ms / 3_600_000).toFixed(1)} h`
  const why =
    failing === null
      ? ''
      : `; failed ${failing.failures} times, last ${failing.at.slice(0, 19)}Z: ${failing.message}`
  return `${sink}: ${has}${lacks}${why}`
}

/** The same for programs. */
export function sinksJson(
  sinks: readonly SinkStatus[],
): readonly Readonly<Record<string, unknown>>[] {
  return sinks.map(({ sink, taken, behind, failing }) => ({
    sink,
    taken,
    entries_behind: behind.entries,
    lag_ms: behind.ms,
    failing,
  }))
}
