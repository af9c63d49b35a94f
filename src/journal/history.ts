/** What the journal says about the rules themselves: their approvals, and the size of their runs. */
import type { Kysely } from 'kysely'
import type { OwnTables } from '../db/schema.ts'
import type { Entry } from './entry.ts'
import { lastArchived } from './read-archived.ts'
import { entriesBackwards, readApprovalEntries, readEntries, requireEntry } from './read.ts'

/** The newest word of the journal on approvals of one rule. */
export type ApprovalEntry = Extract<Entry, { type: 'approval' }>

/** Batches looked at for a history, from the newest on: a few months, or the last great purge. */
const MOST_ENTRIES = 5000

/** Runs of one rule that make its history. */
const MOST_RUNS = 30

type BatchEntry = Extract<Entry, { type: 'batch' }>

/** The newest approval given to each rule, and whether it was revoked since. */
export async function newestApprovals(
  db: Kysely<OwnTables>,
): Promise<ReadonlyMap<string, { readonly given: ApprovalEntry; readonly revoked: boolean }>> {
  const newest = new Map<string, { given: ApprovalEntry; revoked: boolean }>()
  for await (const entry of readApprovalEntries(db)) {
    if (entry.phase === 'given') newest.set(entry.rule, { given: entry, revoked: false })
    const known = newest.get(entry.rule)
    if (entry.phase === 'revoked' && known?.given.approval === entry.approval) known.revoked = true
  }
  return newest
}

/** Rows acted on by each of the latest runs of every rule, newest run first, children counted. */
export async function latestRuns(
  db: Kysely<OwnTables>,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const runs = new Map<string, Map<string, number>>()
  let seen = 0
  for await (const stored of entriesBackwards(db)) {
    const entry = requireEntry(stored)
    seen += 1
    if (entry.type === 'batch') addRun(runs, entry)
    if (seen === MOST_ENTRIES) break
  }
  return new Map(
    [...runs].map(([rule, rows]) => [rule, [...rows.values()].slice(0, MOST_RUNS)] as const),
  )
}

function addRun(runs: Map<string, Map<string, number>>, batch: BatchEntry): void {
  const rows = runs.get(batch.policy.rule) ?? new Map<string, number>()
  rows.set(batch.run, (rows.get(batch.run) ?? 0) + allRows(batch))
  runs.set(batch.policy.rule, rows)
}

/**
 * Rows that a rule acted on after the entry with this number, children counted. Of what was archived
 * since nobody here knows: then it counts as more than any approval allows.
 */
export async function rowsSince(db: Kysely<OwnTables>, rule: string, seq: number): Promise<number> {
  if ((await lastArchived(db)) > seq) return Infinity
  let rows = 0
  for await (const stored of readEntries(db, { from: seq + 1 })) {
    const entry = requireEntry(stored)
    if (entry.type === 'batch' && entry.policy.rule === rule) rows += allRows(entry)
  }
  return rows
}

function allRows({ rows, children }: BatchEntry): number {
  return children.reduce((sum, child) => sum + child.rows, rows)
}
