/**
 * One batch: rows of one rule acted on in one transaction with their journal entry. A row must not
 * be destroyed because of what was true a moment ago, so everything that decides is locked first
 * and then, in a new statement and so on a new snapshot, decided again:
 *
 *   lease      ours, for share: a take-over waits for us; no hold can come any more
 *   shape      nor a foreign key, trigger or column
 *   rows       due rows of this stretch, for update skip locked, and those that must go with them
 *   related    their common parents, every related row, and the rows that go along or are detached
 *   catalog    the tables are what the plan saw
 *   decided    which rows may still go
 *   acted      detached rows, children, deepest first, then the rows; exactly those decided
 *   checked    deferred constraints, the values that an anonymisation left, and what else went
 *   journalled head locked, entry signed and appended; then the markers, then commit
 *
 * A crash anywhere before the commit leaves neither a row gone nor an entry.
 */
import { randomUUID } from 'node:crypto'
import type { RawBuilder, Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { EXIT, RetentionError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { printTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import { readKey, type Key } from '../db/governed.ts'
import type { Lease } from '../db/lease.ts'
import type { OwnTables } from '../db/schema.ts'
import { saysCatalogMoved, saysConnectionLost, saysRowRefused } from '../db/sqlstate.ts'
import { inTransaction } from '../db/transaction.ts'
import type { EntryDraft, PolicyReference, TableRows, Trigger } from '../journal/entry.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry, type Appended } from '../journal/store.ts'
import type { Boundary } from '../plan/boundary.ts'
import { readIdle, type Idle } from '../plan/orders.ts'
import { carryOut, findChanges } from './act.ts'
import { gather, onlyWhole } from './along.ts'
import type { ClockReading } from './clock.ts'
import { lockWhatDecides } from './decide.ts'
import { proveRows, type BatchProof, type RowEvidence } from './evidence.ts'
import type { Budget } from './budget.ts'
import { fateOf } from './fate.ts'
import { openBatch } from './opening.ts'
import { catalogMoved, closeShapes, lockWaitMs, proveShape, type ShapeMemory } from './shape.ts'
import * as statements from './statements.ts'
import { cursorBehind, type Cursor, type Place } from './stretch.ts'

export type BatchStep =
  | 'begun'
  | 'lease'
  | 'shape'
  | 'rows'
  | 'related'
  | 'catalog'
  | 'decided'
  | 'acted'
  | 'checked'
  | 'journalled'

/** What a batch works with; the same for a whole run. */
export type BatchTools = {
  readonly db: Db
  readonly clock: Clock
  readonly signer: Signer
  readonly lease: Lease
  readonly started: ClockReading
  readonly log: Log
  /** Told after each step, inside the transaction. */
  readonly onStep: (step: BatchStep) => void | Promise<void>
}

/** What a batch acts on; the same for all batches of a rule. */
export type BatchOrder = {
  readonly fitted: FittedRule
  readonly boundary: Boundary
  /** Of the tables that the rule reaches, as the plan saw them. */
  readonly fingerprint: string
  /** What is remembered of it, so that not every batch inspects them. */
  readonly shapes: ShapeMemory
  readonly policy: PolicyReference
  readonly run: string
  readonly trigger: Trigger
  /** Under what its rows are committed to; null: only their number is journalled. */
  readonly evidence: RowEvidence | null
  /** Rows that the rule may still act on in this run, children counted. */
  readonly budget: Budget
  /** Some rows of the table were anonymised before: their markers go with them. */
  readonly marked: boolean
}

export type BatchResult =
  | {
      readonly kind: 'done'
      /** Rows of the governed table acted on. */
      readonly rows: number
      readonly children: readonly TableRows[]
      /** Rows that were locked and then, decided again, not acted on. */
      readonly spared: number
      /** Behind the last row locked; null if none was. */
      readonly cursor: Cursor | null
      /** Fewer rows than asked for could be locked: this stretch is over. */
      readonly atEnd: boolean
    }
  /** A constraint or a value refused one of the rows; nothing happened. */
  | { readonly kind: 'row refused'; readonly rows: number; readonly cursor: Cursor }

/** More rows than the rule's limit allows came up during a run. */
export class LimitReachedError extends RetentionError {
  readonly code = 'LIMIT_REACHED'
  readonly exit = EXIT.refused
  override readonly name = 'LimitReachedError'
}

/** Acts on the next due rows of a stretch and journals it: both are committed, or neither is. */
export async function actOnStretch(
  tools: BatchTools,
  order: BatchOrder,
  place: Place,
): Promise<BatchResult> {
  const trace = newTrace()
  try {
    return await inBatch(tools, order, trace, async (trx) =>
      runSteps({ trx, tools, order, place, trace }),
    )
  } catch (error) {
    if (saysRowRefused(error) && trace.cursor !== null) {
      return { kind: 'row refused', rows: trace.rows, cursor: trace.cursor }
    }
    throw error
  }
}

/** What is known of a batch from outside its transaction, should that fail. */
export type Trace = {
  /** Rows locked, and where that ended. */
  rows: number
  cursor: Cursor | null
  /** Rows taken out of the budget. */
  taken: number
  appended: Appended | null
}

export function newTrace(): Trace {
  return { rows: 0, cursor: null, taken: 0, appended: null }
}

/** Runs the steps of a batch in one transaction; what was rolled back is given back to the budget. */
export async function inBatch<T>(
  tools: BatchTools,
  order: BatchOrder,
  trace: Trace,
  steps: (trx: Transaction<OwnTables>) => Promise<T>,
): Promise<T> {
  const ended: { result: T }[] = []
  try {
    return await inTransaction(tools.db, async (trx) => {
      const result = await steps(trx)
      ended.push({ result })
      return result
    })
  } catch (error) {
    const [last] = ended
    const fate =
      last !== undefined && saysConnectionLost(error) ? await fateOf(tools, trace) : 'rolled back'
    if (last !== undefined && fate === 'committed') return last.result
    if (fate === 'rolled back') order.budget.giveBack(trace.taken)
    throw saysCatalogMoved(error) ? catalogMoved(order, error) : error
  }
}

type Batch = {
  readonly trx: Transaction<OwnTables>
  readonly tools: BatchTools
  readonly order: BatchOrder
  readonly place: Place
  readonly trace: Trace
}

async function runSteps(batch: Batch): Promise<BatchResult> {
  const { trx, tools, order, place, trace } = batch
  const { fitted, boundary } = order
  const idle = await beginBatch(trx, tools, order)

  const rows = await select(trx, statements.lockActionable({ fitted, boundary, idle }, place))
  const last = rows.at(-1)
  const cursor =
    last === undefined ? null : cursorBehind(place.stretch, last, readKey(last, fitted.key))
  trace.rows = rows.length
  trace.cursor = cursor
  const atEnd = rows.length < place.limit
  await tools.onStep('rows')
  if (cursor === null) return { kind: 'done', rows: 0, children: [], spared: 0, cursor, atEnd }

  const all = await gather(trx, fitted, boundary, rows)
  const candidates = await lockWhatDecides(trx, fitted, all)
  await tools.onStep('related')
  await proveShape(trx, order)
  await tools.onStep('catalog')
  const decided = await select(
    trx,
    statements.decideAgain({ fitted, boundary, idle }, candidates.keys, candidates.locked),
  )
  const keys = await onlyWhole(
    trx,
    fitted,
    decided.map((row) => readKey(row, fitted.key)),
  )
  await tools.onStep('decided')
  const spared = all.length - keys.length
  if (keys.length === 0) return { kind: 'done', rows: 0, children: [], spared, cursor, atEnd }

  const children = await act(batch, keys)
  return { kind: 'done', rows: keys.length, children, spared, cursor, atEnd }
}

/**
 * The lease is ours, the clock ran on, and no table may change its shape from here on, nor may a person
 * place or lift a hold: returns of which kinds none is open.
 */
export async function beginBatch(
  trx: Transaction<OwnTables>,
  tools: BatchTools,
  { fitted }: BatchOrder,
): Promise<Idle> {
  await tools.onStep('begun')
  await openBatch(trx, tools, lockWaitMs(fitted))
  await tools.onStep('lease')
  await closeShapes(trx, fitted)
  await tools.onStep('shape')
  return readIdle(trx, fitted)
}

/** Takes the rows of a batch out of what the rule may act on, all its connections together. */
export function charge(order: BatchOrder, trace: Trace, rows: number): void {
  if (!order.budget.take(rows)) throw limitReached(order)
  trace.taken += rows
}

/** What the entry of a batch says beside what its rule says. */
export type Acted = BatchProof & { readonly id: string; readonly rows: number }

/** Appends the entry of a batch: the head of the journal is locked from here to the commit. */
export async function journal(
  { trx, tools, order, trace, method }: Omit<Batch, 'place'> & { readonly method?: 'sql-drop' },
  { id, rows, children, evidence, tokens }: Acted,
): Promise<Appended> {
  const { fitted, boundary } = order
  const { kind } = fitted.rule.action
  const draft: EntryDraft = {
    type: 'batch',
    run: order.run,
    batch: id,
    policy: order.policy,
    target: printTable(fitted.table),
    action: kind,
    method: method ?? METHODS[kind],
    reason: order.trigger,
    day: boundary.today,
    firstDayNotDue: boundary.firstDayNotDue,
    children,
    rows,
    evidence,
  }
  trace.appended = await appendEntry(trx, tools.signer, { draft, tokens }, tools.clock)
  return trace.appended
}

/** Destroys or overwrites the decided rows, proves it, and journals it. */
async function act(batch: Batch, keys: readonly Key[]): Promise<readonly TableRows[]> {
  const { trx, tools, order, trace } = batch
  const { fitted } = order
  const changes = await findChanges(trx, fitted, keys)
  charge(
    order,
    trace,
    changes.children.reduce((sum, { rows }) => sum + rows, keys.length),
  )

  const id = randomUUID()
  const [proof] = await Promise.all([
    proveRows(order.evidence, id, changes),
    carryOut(trx, fitted, changes, async () => tools.onStep('acted')),
  ])
  await tools.onStep('checked')

  const appended = await journal(batch, { id, rows: keys.length, ...proof })
  if (fitted.rule.action.kind === 'anonymise') {
    await statements.markAnonymised(fitted, keys, appended.seq).execute(trx)
  }
  await tools.onStep('journalled')
  return proof.children
}

const METHODS = { purge: 'sql-delete', anonymise: 'sql-update', block: 'sql-move' } as const

function limitReached({ fitted }: BatchOrder): LimitReachedError {
  return new LimitReachedError(
    `rule ${fitted.rule.id}: more rows came up than its limit or its plan allows`,
    { remedy: 'look at what was inserted since the plan, then make a new one' },
  )
}

async function select(
  trx: Transaction<OwnTables>,
  statement: RawBuilder<Record<string, unknown>>,
): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await statement.execute(trx)
  return rows
}
