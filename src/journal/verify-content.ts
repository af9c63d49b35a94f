/** What entries say about each other: batches rest on policies, and runs on their batches. */
import type { Action, Entry } from './entry.ts'
import { addTotals, rowsOf, sameTotals, type Totals } from './totals.ts'

type PolicyEntry = Extract<Entry, { type: 'policy' }>
type RunEntry = Extract<Entry, { type: 'run' }>
type BatchEntry = Extract<Entry, { type: 'batch' }>

export type OpenRun = { readonly seq: number; readonly totals: Totals }

/** What was read so far: every policy entry by its number, and the runs without an end. */
export type Content = {
  readonly policies: Map<number, PolicyEntry>
  readonly runs: Map<string, OpenRun>
  /** The rule of every approval that was given, by its digest. */
  readonly approvals: Map<string, string>
}

const METHODS: Readonly<Record<Action, readonly BatchEntry['method'][]>> = {
  // Of single rows, or of a partition that held no others.
  purge: ['sql-delete', 'sql-drop'],
  anonymise: ['sql-update'],
  block: ['sql-move'],
}

/** Checks that a batch did what an earlier policy entry says; null if so, or not a batch. */
export function checkPolicy(content: Content, entry: Entry): string | null {
  if (entry.type === 'policy') content.policies.set(entry.seq, entry)
  if (entry.type !== 'batch') return null
  const policy = content.policies.get(entry.policy.seq)
  if (policy === undefined) return `entry ${entry.policy.seq} is not an earlier policy entry`
  if (policy.rule !== entry.policy.rule || policy.sha256 !== entry.policy.sha256) {
    return `policy entry ${policy.seq} is of another rule, or of another version of it`
  }
  if (policy.target !== entry.target || policy.action !== entry.action) {
    return `policy entry ${policy.seq} speaks of another table or action`
  }
  return METHODS[entry.action].includes(entry.method)
    ? null
    : 'its method is not that of its action'
}

/** Checks that what is revoked was given before, to the same rule; null if so, or no approval. */
export function checkApproval(content: Content, entry: Entry): string | null {
  if (entry.type !== 'approval') return null
  if (entry.phase === 'given') {
    content.approvals.set(entry.approval, entry.rule)
    return null
  }
  return content.approvals.get(entry.approval) === entry.rule
    ? null
    : 'it revokes an approval that no earlier entry gives to this rule'
}

/** Checks that a batch belongs to an open run, and that a run ends with the sum of its batches. */
export function checkTotals(content: Content, entry: Entry): string | null {
  switch (entry.type) {
    case 'batch':
      return addBatch(content, entry)
    case 'run':
      return entry.phase === 'start' ? beginRun(content, entry) : endRun(content, entry)
    case 'genesis':
    case 'policy':
    case 'approval':
    case 'hold':
    case 'keys':
    case 'heartbeat':
    case 'evidence-pruned':
    case 'archived':
    case 'evidence-key-destroyed':
    case 'recovered':
      return null
    default:
      return entry satisfies never
  }
}

function addBatch(content: Content, batch: BatchEntry): string | null {
  const run = content.runs.get(batch.run)
  if (run === undefined) return `it belongs to run ${batch.run}, which is not open here`
  addTotals(run.totals, batch)
  return null
}

function beginRun(content: Content, { run, seq }: RunEntry): string | null {
  if (content.runs.has(run)) return `run ${run} begins a second time`
  content.runs.set(run, { seq, totals: new Map() })
  return null
}

function endRun(content: Content, entry: Extract<RunEntry, { phase: 'end' }>): string | null {
  const run = content.runs.get(entry.run)
  if (run === undefined) return `run ${entry.run} ends, and is not open here`
  content.runs.delete(entry.run)
  return sameTotals(entry.totals, rowsOf(run.totals))
    ? null
    : `run ${entry.run} states other totals than the sum of its batches`
}
