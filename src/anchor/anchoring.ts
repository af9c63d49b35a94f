/**
 * Brings checkpoints to the sinks, again and again until each has the newest. Which sink has taken
 * what stands in the database, so that a daemon that starts again goes on where it was; a newer
 * checkpoint covers every one before it, so a sink that was down for a week is asked for one.
 */
import type { Clock } from '../base/clock.ts'
import { AnchorLagError, RestoredError, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Db } from '../db/connect.ts'
import type { SignedHead } from '../journal/checkpointer.ts'
import { newestCheckpoint } from '../journal/stored-checkpoints.ts'
import { parseCheckpoint } from '../journal/checkpoint.ts'
import { proveConsistency } from '../journal/merkle.ts'
import { readNodes } from '../journal/nodes.ts'
import { parseNote } from '../journal/note.ts'
import { lastArchived } from '../journal/read-archived.ts'
import {
  findEntryBySeq,
  readEntries,
  readHead,
  readWithTokens,
  requireEntry,
} from '../journal/read.ts'
import { forgetFailure, rememberFailure } from './sink-status.ts'
import type { JournalSource, Sink } from './sink.ts'

export type AnchoringTools = {
  readonly db: Db
  readonly clock: Clock
  readonly log: Log
  readonly sinks: readonly Sink[]
  /** How many of the required sinks must have a checkpoint for its entries to count as anchored. */
  readonly quorum: number
  /** Longest that an entry may stand without that. */
  readonly maxLagMs: number
}

export interface Anchoring {
  /** Hands a signed head to every sink whose time has come. Throws if one of them contradicts it. */
  publish(head: SignedHead): Promise<void>
  /** The same with the newest checkpoint that is stored, for sinks that lack it. */
  retry(): Promise<void>
  /** Forgets when failed sinks are to be asked again, and how often they failed. */
  hurry(): void
  /** For how long the oldest entry that is not anchored has been standing, in milliseconds. */
  lagMs(): Promise<number>
  /** Throws if that is longer than allowed. */
  requireAnchored(): Promise<void>
}

/** First pause after a failure, doubled with each, up to the longest. */
const FIRST_PAUSE_MS = 10_000
const LONGEST_PAUSE_MS = 600_000

type Attempts = { failures: number; notBeforeMs: number }

export function openAnchoring(tools: AnchoringTools): Anchoring {
  const attempts = new Map<string, Attempts>()
  const lag = async () => lagMs(tools)
  return {
    publish: async (head) => publish(tools, attempts, head),
    retry: async () => {
      if (tools.sinks.length === 0) return
      const head = await newestHead(tools.db)
      if (head !== null) await publish(tools, attempts, head)
    },
    hurry: () => attempts.clear(),
    lagMs: lag,
    requireAnchored: async () => {
      if (tools.sinks.length === 0) return
      const ms = await lag()
      if (ms > tools.maxLagMs) throw lagging(ms, tools.maxLagMs)
    },
  }
}

async function publish(
  tools: AnchoringTools,
  attempts: Map<string, Attempts>,
  head: SignedHead,
): Promise<void> {
  if (tools.sinks.length === 0) return
  const taken = await takenBySink(tools.db)
  const now = tools.clock.monotonicMs()
  const due = tools.sinks.filter(
    ({ name }) =>
      (taken.get(name) ?? 0) < head.size && (attempts.get(name)?.notBeforeMs ?? now) <= now,
  )
  const journal = sourceOf(tools.db)
  const found = await Promise.all(
    due.map(async (sink) => {
      try {
        const { receipt } = await sink.accept(head, taken.get(sink.name) ?? 0, journal)
        await remember(tools, { size: head.size, sink: sink.name, receipt })
        attempts.delete(sink.name)
        await forgetFailure(tools.db, sink.name)
        tools.log.info({ sink: sink.name, size: head.size }, 'checkpoint taken')
        return null
      } catch (error) {
        if (error instanceof RestoredError) return error
        postpone(tools, attempts, { sink: sink.name, now, error })
        await rememberFailure(tools.db, { sink: sink.name, at: tools.clock.now(), error })
        return null
      }
    }),
  )
  const contradicted = found.find((error) => error !== null)
  if (contradicted !== undefined) throw contradicted
}

type Failed = { readonly sink: string; readonly now: number; readonly error: unknown }

function postpone(
  { log }: AnchoringTools,
  attempts: Map<string, Attempts>,
  { sink, now, error }: Failed,
): void {
  const failures = (attempts.get(sink)?.failures ?? 0) + 1
  const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS)
  attempts.set(sink, { failures, notBeforeMs: now + pauseMs })
  const again = { failures, seconds: pauseMs / 1000 }
  log.warn({ sink, ...again, err: tell(error) }, 'checkpoint not taken')
}

/** The largest size that each sink has taken. */
export async function takenBySink(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('retentiond.anchor')
    .select(({ fn }) => ['sink', fn.max('size').as('size')])
    .groupBy('sink')
    .execute()
  return new Map(rows.map(({ sink, size }) => [sink, Number(size)]))
}

type Taken = { readonly size: number; readonly sink: string; readonly receipt: string | null }

async function remember({ db, clock }: AnchoringTools, taken: Taken): Promise<void> {
  await db
    .insertInto('retentiond.anchor')
    .values({ ...taken, at: clock.now().toISOString() })
    .onConflict((conflict) => conflict.columns(['sink', 'size']).doNothing())
    .execute()
}

async function newestHead(db: Db): Promise<SignedHead | null> {
  const stored = await newestCheckpoint(db)
  const checkpoint = stored === null ? null : parseCheckpoint(parseNote(stored.note)?.text ?? '')
  if (stored === null || checkpoint === null) return null
  const { origin, size, root } = checkpoint
  return { origin, size, root, note: stored.note }
}

/** An entry is anchored once as many required sinks as the quorum says have a checkpoint over it. */
async function lagMs({ db, clock, sinks, quorum }: AnchoringTools): Promise<number> {
  const taken = await takenBySink(db)
  const sizes = sinks
    .filter(({ required }) => required)
    .map(({ name }) => taken.get(name) ?? 0)
    .toSorted((one, other) => other - one)
  if (sizes.length === 0) return 0
  const anchored = sizes[Math.min(quorum, sizes.length) - 1] ?? 0
  const oldest = await findEntryBySeq(db, anchored)
  if (oldest === null) return 0
  return clock.now().getTime() - Date.parse(requireEntry(oldest).time)
}

function lagging(ms: number, most: number): AnchorLagError {
  return new AnchorLagError(
    `entries of the journal are anchored nowhere since ${hours(ms)} hours; allowed are ${hours(most)}`,
    {
      remedy:
        'nothing is destroyed until a required sink has taken a checkpoint; its failures stand in the log',
    },
  )
}

function hours(ms: number): string {
  return (ms / 3_600_000).toFixed(1)
}

function sourceOf(db: Db): JournalSource {
  return {
    entries: async function* entries(begin, to, tokens) {
      // A sink that came later begins behind what is in an archive.
      const from = Math.max(begin, (await lastArchived(db)) + 1)
      const limit = to - from
      for await (const entry of tokens
        ? readWithTokens(db, from)
        : readEntries(db, { from, limit })) {
        if (entry.seq >= to) break
        yield entry
      }
    },
    consistency: async (from, to) =>
      proveConsistency(async (nodes) => readNodes(db, nodes), from, to),
    size: async () => (await readHead(db))?.size ?? 0,
  }
}
