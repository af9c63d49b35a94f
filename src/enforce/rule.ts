/** One rule of a run: stretch after stretch until a pass over the whole table finds nothing to do. */
import { sql } from 'kysely'
import {
  DatabaseError,
  RefusedError,
  RetentionError,
  TransientDatabaseError,
} from '../base/errors.ts'
import { sleep } from '../base/sleep.ts'
import { classify, ranOutOf, saysAway } from '../db/sqlstate.ts'
import { inSnapshot } from '../db/transaction.ts'
import type { TableRows } from '../journal/entry.ts'
import { readIdle } from '../plan/orders.ts'
import { takesAway } from '../policy/policy.ts'
import type { WalkKind } from '../policy/walk.ts'
import {
  actOnStretch,
  LimitReachedError,
  type BatchOrder,
  type BatchResult,
  type BatchTools,
} from './batch.ts'
import { Budget } from './budget.ts'
import { cutShort } from './cut.ts'
import { dropPartitions } from './drop.ts'
import { canFold, foldStretch } from './fold.ts'
import type { BatchRows } from './batch-rows.ts'
import { outlasting } from './outlast.ts'
import type { Cause } from './pace.ts'
import { PacedRule } from './paced.ts'
import type { Pauses } from './pacer.ts'
import { ShapeMemory } from './shape.ts'
import { canShare } from './share.ts'
import { countActionableRows } from './statements.ts'
import type { Cursor, Place, Stretch } from './stretch.ts'
import { Turns } from './turns.ts'
import { openWalk, type Walk } from './walk.ts'

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
  /** Partitions that were dropped whole; their rows are among those acted on. */
  readonly dropped: number
  /** What of its pace ended this rule before it was done; null if nothing did. */
  readonly ended: Cause | null
  /** How often it paused, by cause. */
  readonly pauses: Pauses
  /** What ended this rule early, the others going on; null if nothing did. */
  readonly error: Error | null
}

export type RuleOrder = Omit<BatchOrder, 'budget' | 'marked' | 'shapes'> & {
  readonly batch: BatchRows
  /** Rows that the rule may act on in this run, children counted. */
  readonly rowsAllowed: number
  readonly walk: WalkKind
  /** Whole partitions are looked for, to be dropped. */
  readonly drops: boolean
  /** Rows of the governed table that the plan found due. */
  readonly due: number
  /** Most connections at once. */
  readonly connections: number
}

export type RuleTools = BatchTools & {
  /** Aborted: the batch in hand is the last. */
  readonly signal: AbortSignal
  /** Aborted: nothing is tried again. */
  readonly cut: AbortSignal | undefined
  readonly onProgress: (progress: Progress) => void
}

export type Progress = { readonly rule: string; readonly rows: number; readonly childRows: number }

/** A pass that acts on rows may free others (a tree by its leaves); more passes than this is a storm. */
const MOST_PASSES = 100

/** Attempts at one batch that the database gave up: locks of the application go by. */
const MOST_ATTEMPTS = 6

type Tally = Record<'rows' | 'childRows' | 'batches' | 'dropped' | 'refusedRows', number>

/**
 * Acts on everything that is due under the rule. Stops between batches when the signal aborts. A
 * limit that is reached and an error of PostgreSQL end this rule only: what was committed stays,
 * and the outcome says what stopped it. A database that goes away is waited for.
 */
export async function enforceRule(tools: RuleTools, order: RuleOrder): Promise<RuleOutcome> {
  const tally: Tally = { rows: 0, childRows: 0, batches: 0, dropped: 0, refusedRows: 0 }
  const rule = order.fitted.rule.id
  const turns = new Turns(tools)
  const paced = new PacedRule(tools, order, turns)
  try {
    const budget = new Budget(order.rowsAllowed)
    const paceful = { ...tools, signal: paced.signal }
    const left = await outlasting(
      paceful,
      async () => {
        await paced.begin()
        return passes(paceful, { ...order, paced, turns, budget }, tally)
      },
      { done: () => tally.batches },
    )
    return { rule, ...tally, left, ended: paced.ended, pauses: paced.pauses, error: null }
  } catch (error) {
    if (!endsRuleOnly(error)) throw error
    return { rule, ...tally, left: 0, ended: paced.ended, pauses: paced.pauses, error }
  }
}

function endsRuleOnly(error: unknown): error is Error {
  // The next rule would fare no better, and be one load more.
  if (saysAway(error) || ranOutOf(error) !== null) return false
  return (
    error instanceof LimitReachedError ||
    error instanceof RefusedError ||
    error instanceof TransientDatabaseError ||
    error instanceof DatabaseError
  )
}

/** How a rule is carried out: its pace, and the turns that its connections take. */
type PacedOrder = RuleOrder & {
  readonly paced: PacedRule
  readonly turns: Turns
  readonly budget: Budget
}

/**
 * Pass after pass until nothing is left, or nothing goes any more; returns how many rows are left.
 * What moved behind the first pass, was locked, or was freed by it is found by the count over the
 * whole table that ends each pass, and gone for by the next.
 */
async function passes(tools: RuleTools, order: PacedOrder, tally: Tally): Promise<number> {
  const shapes = new ShapeMemory()
  const { marked, seesWriters } = await readKnown(tools, order)
  const done: string[] = []
  const whole = { ...order, marked, shapes, done }
  if (order.drops) await dropWhole(tools, whole, tally)
  let left = Math.max(0, order.due - tally.rows)
  for (let number = 1; number <= MOST_PASSES && !tools.signal.aborted; number += 1) {
    const before = tally.rows
    tally.refusedRows = 0
    // A few that are left are looked for all at once: by a statement that leaves locked rows out.
    const walk = number > 1 && left <= order.paced.rows ? 'key' : order.walk
    // The passes before this one marked rows.
    const rows = { ...whole, walk, marked: marked || (number > 1 && !takesAway(order.fitted.rule)) }
    await sweep(tools, rows, await openWalk(tools.db, rows, left), tally)
    left = await countActionable(tools, order, seesWriters ? done : [])
    if (left === 0 || tally.rows === before) return left
  }
  return countActionable(tools, order, [])
}

/** Drops partitions on one connection; a drop is no load, so that it counts as no rows for the pace. */
async function dropWhole(
  tools: RuleTools,
  order: BatchOrder & PacedOrder,
  tally: Tally,
): Promise<void> {
  const { paced, turns } = order
  await dropPartitions(tools, order, async (attempt) =>
    paced.batch(
      async () => {
        const rows = await turns.take(attempt, false)
        if (rows > 0) tally.dropped += 1
        record(tools, order, tally, { rows, children: [] })
        return rows
      },
      () => 0,
    ),
  )
}

/** What the connections of one sweep have in common. */
type SweepOrder = BatchOrder & {
  readonly connections: number
  readonly walk: WalkKind
  readonly turns: Turns
  readonly paced: PacedRule
  /** Transactions of whose rows nothing is left to be done; more come. */
  readonly done: string[]
}

/** One way through the table, on as many connections as may share it; the first failure ends all. */
async function sweep(tools: RuleTools, order: SweepOrder, walk: Walk, tally: Tally): Promise<void> {
  const halt = new AbortController()
  const failures: unknown[] = []
  const stopping = { ...tools, signal: AbortSignal.any([tools.signal, halt.signal]) }
  const lane = async (): Promise<void> => {
    try {
      await workThrough(stopping, order, walk, tally)
    } catch (error) {
      failures.push(error)
      // The others finish the batch in hand.
      halt.abort()
    }
  }
  const lanes = canShare(order.fitted) ? order.connections : 1
  await Promise.all(Array.from({ length: lanes }, lane))
  if (failures.length > 0) throw failures[0]
}

/** Takes stretch after stretch, until there is none left that nobody works through. */
async function workThrough(
  tools: RuleTools,
  order: SweepOrder,
  walk: Walk,
  tally: Tally,
): Promise<void> {
  const folds = canFold(order.fitted)
  while (!tools.signal.aborted) {
    const stretch = await walk.next(order.paced.rows)
    if (stretch === null) return
    const whole = folds && stretch.fits ? await actAtOnce(tools, order, { stretch, tally }) : null
    const rows = whole ?? (await actInBatches(tools, order, { stretch, tally }))
    walk.learn(stretch, rows)
  }
}

type Work = { readonly stretch: Stretch; readonly tally: Tally }

/** The whole stretch in one statement; null if it has to be gone through in batches. */
async function actAtOnce(
  tools: RuleTools,
  order: SweepOrder,
  { stretch, tally }: Work,
): Promise<number | null> {
  const { paced, turns } = order
  const result = await paced.batch(
    async () => {
      const fold = async () => foldStretch(tools, order, stretch, paced.rows)
      const folded = await persist(tools, turns, fold)
      // Before the rest, in which a connection may be lost: this one is committed.
      if (folded.kind === 'unfit') return folded
      if (folded.xid !== null) order.done.push(folded.xid)
      record(tools, order, tally, { ...folded, children: [] })
      return folded
    },
    (folded) => (folded.kind === 'unfit' ? 0 : folded.rows),
  )
  return result.kind === 'unfit' ? null : result.rows
}

/** Batch after batch to the end of the stretch; returns how many rows were met. */
async function actInBatches(
  tools: RuleTools,
  order: SweepOrder,
  { stretch, tally }: Work,
): Promise<number> {
  let met = 0
  let cursor: Cursor | null = null
  const { paced, turns } = order
  let limit = paced.rows
  while (!tools.signal.aborted) {
    const place: Place = { stretch, cursor, limit }
    const result: BatchResult = await paced.batch(async () => {
      const acted = await persist(tools, turns, async () => actOnStretch(tools, order, place))
      if (acted.kind === 'done') record(tools, order, tally, acted)
      return acted
    }, rowsOf)
    if (result.kind === 'row refused') {
      // Halved until the row is alone; then it is spared and the rest goes on.
      if (result.rows > 1) {
        limit = Math.ceil(result.rows / 2)
        continue
      }
      tally.refusedRows += 1
      cursor = result.cursor
      limit = paced.rows
      continue
    }
    met += result.rows + result.spared
    if (result.cursor === null || result.atEnd) break
    cursor = result.cursor
    limit = Math.min(paced.rows, limit * 2)
  }
  return met
}

/** Rows that a batch acted on, those that went along counted. */
function rowsOf(result: BatchResult): number {
  if (result.kind === 'row refused') return 0
  return result.children.reduce((sum, { rows }) => sum + rows, result.rows)
}

function record(
  tools: RuleTools,
  order: BatchOrder,
  tally: Tally,
  result: { readonly rows: number; readonly children: readonly TableRows[] },
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
async function persist<T>(tools: RuleTools, turns: Turns, batch: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await turns.take(batch, attempt > 1)
    } catch (error) {
      if (tools.cut?.aborted) throw cutShort(error)
      // What we have named already stays so, whatever state of PostgreSQL lies below it.
      const named = error instanceof RetentionError ? error : classify(error)
      if (!(named instanceof TransientDatabaseError) || attempt === MOST_ATTEMPTS) throw named
      tools.log.warn(
        { attempt, reason: named.message },
        'batch given up by the database, tried again',
      )
      // Outside any transaction: 100 ms, 200 ms, … 1.6 s.
      await sleep(50 * 2 ** attempt, tools.signal)
    }
  }
}

async function countActionable(
  tools: RuleTools,
  { fitted, boundary, walk }: RuleOrder,
  done: readonly string[],
): Promise<number> {
  return inSnapshot(tools.db, async (trx) => {
    const idle = await readIdle(trx, fitted)
    const { rows } = await countActionableRows({ fitted, boundary, idle }, walk, done).execute(trx)
    return Number(rows[0]?.rows ?? 0)
  })
}

type Known = {
  /** Markers come by our own runs only, and no other run is at work: what is not there does not come. */
  readonly marked: boolean
  /** Our role may read which transaction wrote a row. */
  readonly seesWriters: boolean
}

async function readKnown({ db }: RuleTools, { fitted: { table } }: RuleOrder): Promise<Known> {
  const { rows } = await sql<Known>`
    select
      exists (select from retentiond.anonymised where table_oid = ${table.oid}::oid) as marked,
      has_column_privilege(${table.oid}::oid, (-2)::int2, 'select') as "seesWriters"`.execute(db)
  const [known] = rows
  return { marked: known?.marked ?? true, seesWriters: known?.seesWriters ?? false }
}
