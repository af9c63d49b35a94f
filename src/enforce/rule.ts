/** One rule of a run: stretch after stretch until a pass over the whole table finds nothing to do. */
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import {
  DatabaseError,
  RefusedError,
  RetentionError,
  TransientDatabaseError,
} from '../base/errors.ts'
import { tableId } from '../db/governed.ts'
import { renewLease } from '../db/lease.ts'
import { classify } from '../db/sqlstate.ts'
import { inSnapshot } from '../db/transaction.ts'
import { viewOf } from '../plan/due.ts'
import { isActionable } from '../plan/hindrance.ts'
import {
  actOnStretch,
  LimitReachedError,
  type BatchOrder,
  type BatchResult,
  type BatchTools,
  type Stretch,
} from './batch.ts'

export type RuleOutcome = {
  readonly rule: string
  /** Rows of the governed table acted on. */
  readonly rows: number
  /** Rows that went along. */
  readonly childRows: number
  /** Rows a constraint or a value refused to let go, in the last pass. */
  readonly refusedRows: number
  /** Due rows that are left although nothing but another session's lock or a refusal keeps them. */
  readonly left: number
  readonly batches: number
  /** What ended this rule early, the others going on; null if nothing did. */
  readonly error: Error | null
}

export type RuleOrder = BatchOrder & {
  readonly batchRows: number
  /** Rows that the rule may act on in this run, children counted. */
  readonly rowsAllowed: number
}

export type RuleTools = BatchTools & {
  /** Aborted: the batch in hand is the last. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

export type Progress = { readonly rule: string; readonly rows: number; readonly childRows: number }

/** A pass that acts on rows may free others (a tree by its leaves); more passes than this is a storm. */
const MOST_PASSES = 100

/** Attempts at one batch that the database gave up: locks of the application go by. */
const MOST_ATTEMPTS = 6

type Tally = { rows: number; childRows: number; batches: number; refusedRows: number }

/**
 * Acts on everything that is due under the rule. Stops between batches when the signal aborts. A
 * limit that is reached and an error of PostgreSQL end this rule only: what was committed stays,
 * and the outcome says what stopped it.
 */
export async function enforceRule(tools: RuleTools, order: RuleOrder): Promise<RuleOutcome> {
  const tally: Tally = { rows: 0, childRows: 0, batches: 0, refusedRows: 0 }
  const rule = order.fitted.rule.id
  try {
    for (let pass = 1; pass <= MOST_PASSES && !tools.signal.aborted; pass += 1) {
      const before = tally.rows
      tally.refusedRows = 0
      await sweep(tools, order, tally)
      if (tally.rows === before) break
    }
    return { rule, ...tally, left: await countActionable(tools, order), error: null }
  } catch (error) {
    if (!endsRuleOnly(error)) throw error
    return { rule, ...tally, left: 0, error }
  }
}

function endsRuleOnly(error: unknown): error is Error {
  return (
    error instanceof LimitReachedError ||
    error instanceof RefusedError ||
    error instanceof TransientDatabaseError ||
    error instanceof DatabaseError
  )
}

/** One pass over the table in the order of the key. */
async function sweep(tools: RuleTools, order: RuleOrder, tally: Tally): Promise<void> {
  let cursor: Stretch['cursor'] = null
  let limit = order.batchRows
  while (!tools.signal.aborted) {
    const rowsLeft = order.rowsAllowed - tally.rows - tally.childRows
    const stretch: Stretch = { cursor, limit, rowsLeft }
    const result = await persist(tools, async () => {
      // Before each attempt: those that failed may have taken longer than a lease holds.
      await renewLease(tools.db, tools.lease)
      return actOnStretch(tools, order, stretch)
    })
    if (result.kind === 'row refused') {
      // Halved until the row is alone; then it is spared and the rest goes on.
      if (result.rows > 1) {
        limit = Math.ceil(result.rows / 2)
        continue
      }
      tally.refusedRows += 1
      cursor = result.cursor
      limit = order.batchRows
      continue
    }
    record(tools, order, tally, result)
    if (result.cursor === null || result.atEnd) return
    cursor = result.cursor
    limit = Math.min(order.batchRows, limit * 2)
  }
}

function record(
  tools: RuleTools,
  order: RuleOrder,
  tally: Tally,
  result: Extract<BatchResult, { kind: 'done' }>,
): void {
  if (result.rows === 0) return
  const childRows = result.children.reduce((sum, { rows }) => sum + rows, 0)
  tally.rows += result.rows
  tally.childRows += childRows
  tally.batches += 1
  const rule = order.fitted.rule.id
  tools.log.info({ run: order.run, rule, rows: result.rows, childRows }, 'batch committed')
  tools.onProgress({ rule, rows: tally.rows, childRows: tally.childRows })
}

/** Runs a batch again when the database gave it up; a batch is never halved for that. */
async function persist<T>(tools: RuleTools, batch: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await batch()
    } catch (error) {
      // What we have named already stays so, whatever state of PostgreSQL lies below it.
      const named = error instanceof RetentionError ? error : classify(error)
      if (!(named instanceof TransientDatabaseError) || attempt === MOST_ATTEMPTS) throw named
      tools.log.warn(
        { attempt, reason: named.message },
        'batch given up by the database, tried again',
      )
      // Outside any transaction: 100 ms, 200 ms, … 1.6 s.
      await pause(50 * 2 ** attempt, undefined, { signal: tools.signal }).catch(ignoreAbort)
    }
  }
}

function ignoreAbort(error: unknown): void {
  if (error instanceof Error && error.name === 'AbortError') return
  throw error
}

async function countActionable(tools: RuleTools, { fitted, boundary }: RuleOrder): Promise<number> {
  return inSnapshot(tools.db, async (trx) => {
    const { rows } = await sql<{ rows: string }>`
      select count(*)::text as rows
      from ${tableId(fitted.table)} as row
      where ${isActionable(viewOf(fitted, boundary))}`.execute(trx)
    return Number(rows[0]?.rows ?? 0)
  })
}
