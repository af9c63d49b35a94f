/**
 * One batch: rows of one rule acted on in one transaction with their journal entry. A row must not
 * be destroyed because of what was true a moment ago, so everything that decides is locked first
 * and then, in a new statement and so on a new snapshot, decided again:
 *
 *   lease      ours, for share: a take-over waits for us
 *   shape      no foreign key, trigger or column can come any more, and no hold
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
import { sql, type RawBuilder, type Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { RetentionError, EXIT, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { printTable, sameTable } from '../base/names.ts'
import { closedBy } from '../catalog/chain.ts'
import { fingerprint } from '../catalog/fingerprint.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { inspectTables } from '../catalog/inspect.ts'
import { sourcesToKeepWhole } from '../catalog/partitions.ts'
import type { Db } from '../db/connect.ts'
import { readKey, type Key, type TableRef } from '../db/governed.ts'
import { proveLease, type Lease } from '../db/lease.ts'
import type { OwnTables } from '../db/schema.ts'
import { saysCatalogMoved, saysConnectionLost, saysRowRefused } from '../db/sqlstate.ts'
import { inTransaction } from '../db/transaction.ts'
import type { EntryDraft, PolicyReference, TableRows, Trigger } from '../journal/entry.ts'
import { findEntryBySeq } from '../journal/read.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry, type Appended } from '../journal/store.ts'
import type { Boundary } from '../plan/boundary.ts'
import { carryOut, findChanges } from './act.ts'
import { gather, onlyWhole } from './along.ts'
import { proveClock, type ClockReading } from './clock.ts'
import { closeArchive } from './archive.ts'
import { lockWhatDecides } from './decide.ts'
import { lockJournal } from './ended.ts'
import { proveRows, type RowEvidence } from './evidence.ts'
import * as statements from './statements.ts'

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
  readonly policy: PolicyReference
  readonly run: string
  readonly trigger: Trigger
  /** Under what its rows are committed to; null: only their number is journalled. */
  readonly evidence: RowEvidence | null
}

export type Stretch = {
  /** The key after which the stretch begins; null for the first. */
  readonly cursor: Key | null
  /** Most rows to lock. */
  readonly limit: number
  /** Rows that the rule may still act on in this run, children counted. */
  readonly rowsLeft: number
}

export type BatchResult =
  | {
      readonly kind: 'done'
      /** Rows of the governed table acted on. */
      readonly rows: number
      readonly children: readonly TableRows[]
      /** Rows that were locked and then, decided again, not acted on. */
      readonly spared: number
      /** The last key locked; null if none was. */
      readonly cursor: Key | null
      /** Fewer rows than asked for could be locked: this pass is over. */
      readonly atEnd: boolean
    }
  /** A constraint or a value refused one of the rows; nothing happened. */
  | { readonly kind: 'row refused'; readonly rows: number; readonly cursor: Key }

/** The tables are no longer what the plan saw: the run ends, and a new plan starts afresh. */
export class CatalogMovedError extends RetentionError {
  readonly code = 'CATALOG_MOVED'
  readonly exit = EXIT.refused
  override readonly name = 'CatalogMovedError'
}

/** More rows than the rule's limit allows came up during a run. */
export class LimitReachedError extends RetentionError {
  readonly code = 'LIMIT_REACHED'
  readonly exit = EXIT.refused
  override readonly name = 'LimitReachedError'
}

/** Acts on one stretch of due rows and journals it: both are committed, or neither is. */
export async function actOnStretch(
  tools: BatchTools,
  order: BatchOrder,
  stretch: Stretch,
): Promise<BatchResult> {
  const trace: Trace = { keys: [], appended: null, result: null }
  try {
    return await inTransaction(tools.db, async (trx) => {
      trace.result = await runSteps({ trx, tools, order, stretch, trace })
      return trace.result
    })
  } catch (error) {
    const last = trace.keys.at(-1)
    if (saysRowRefused(error) && last !== undefined) {
      return { kind: 'row refused', rows: trace.keys.length, cursor: last }
    }
    if (saysCatalogMoved(error)) throw catalogMoved(order, error)
    if (trace.result !== null && saysConnectionLost(error) && (await wasCommitted(tools, trace))) {
      return trace.result
    }
    throw error
  }
}

/** What is known of a batch from outside its transaction, should that fail. */
type Trace = { keys: readonly Key[]; appended: Appended | null; result: BatchResult | null }

type Batch = {
  readonly trx: Transaction<OwnTables>
  readonly tools: BatchTools
  readonly order: BatchOrder
  readonly stretch: Stretch
  readonly trace: Trace
}

async function runSteps(batch: Batch): Promise<BatchResult> {
  const { trx, tools, order, stretch, trace } = batch
  const { fitted, boundary } = order
  await tools.onStep('begun')
  await proveLease(trx, tools.lease)
  await proveClock(trx, tools.started, tools.clock)
  await tools.onStep('lease')
  await closeShapes(trx, fitted)
  await tools.onStep('shape')

  const rows = await select(trx, statements.lockActionable(fitted, boundary, stretch))
  trace.keys = rows.map((row) => readKey(row, fitted.key))
  const atEnd = rows.length < stretch.limit
  const cursor = trace.keys.at(-1) ?? null
  await tools.onStep('rows')
  if (cursor === null) return { kind: 'done', rows: 0, children: [], spared: 0, cursor, atEnd }

  const all = await gather(trx, fitted, boundary, rows)
  const candidates = await lockWhatDecides(trx, fitted, all)
  await tools.onStep('related')
  await proveShape(trx, order)
  await tools.onStep('catalog')
  const decided = await select(
    trx,
    statements.decideAgain(fitted, boundary, candidates.keys, candidates.locked),
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
 * How long a batch waits for locks in all, once it holds one that somebody may wait for: less than
 * deadlock_timeout (1 s), after which PostgreSQL ends one of two sessions that wait for each other,
 * and it may be the application's. Each wait alone being shorter is not enough: they add up.
 */
const LOCK_WAITS_MS = 800

/** A lock that is not contended may still take a moment to be handed over. */
const LEAST_WAIT_MS = 50

/** Takes a lock on every table the rule reaches, by name, so that two enforcers never cross. */
async function closeShapes(trx: Transaction<OwnTables>, fitted: FittedRule): Promise<void> {
  const names = fitted.reaches.toSorted((one, other) =>
    printTable(one) < printTable(other) ? -1 : 1,
  )
  const each = Math.max(LEAST_WAIT_MS, Math.floor(LOCK_WAITS_MS / (names.length + 1)))
  // It stays so to the end: from here on a batch skips what is locked and waits for nothing.
  await sql`select set_config('lock_timeout', ${String(each)}::text, true)`.execute(trx)
  // First: placing a hold takes this lock before any other, so that the two never cross.
  await statements.closeHolds().execute(trx)
  for (const name of names) {
    await lockFor(fitted, name).execute(trx)
  }
}

function lockFor(fitted: FittedRule, name: TableRef): RawBuilder<unknown> {
  const { start, table, children, detached } = fitted
  const closed = [...closedBy(start), ...fitted.closed]
  // A share lock lets our own rows go: a transaction does not stand in its own way.
  const move = fitted.archive?.moves.find(({ to }) => sameTable(to, name))
  if (move !== undefined) return closeArchive(move)
  if (closed.some((each) => sameTable(each, name))) return statements.closeToWriters(name)
  if (sameTable(table, name)) return statements.closeShape(fitted)
  const isChild = children.some((child) => sameTable(child.table, name))
  if (isChild) return statements.closeChildShape(name)
  const loses = detached.find((child) => sameTable(child.table, name))
  if (loses !== undefined) return statements.closeDetachedShape(loses)
  const toKeepWhole = sourcesToKeepWhole(start).some((source) => sameTable(source, name))
  return toKeepWhole ? statements.keepWhole(name) : statements.holdShape(name)
}

async function proveShape(trx: Transaction<OwnTables>, order: BatchOrder): Promise<void> {
  const names = new Set(order.fitted.reaches.map((table) => printTable(table)))
  const found = await inspectTables(trx, order.fitted.reaches)
  const reached = found.filter((table) => names.has(printTable(table)))
  if (fingerprint(reached) !== order.fingerprint) throw catalogMoved(order)
}

function catalogMoved({ fitted }: BatchOrder, cause?: unknown): CatalogMovedError {
  return new CatalogMovedError(
    `rule ${fitted.rule.id}: a table that the rule reaches is no longer what the plan saw`,
    { cause, remedy: 'look at the latest migration of the application, then make a new plan' },
  )
}

/** Destroys or overwrites the decided rows, proves it, and journals it. */
async function act(batch: Batch, keys: readonly Key[]): Promise<readonly TableRows[]> {
  const { trx, tools, order, stretch, trace } = batch
  const { fitted } = order
  const changes = await findChanges(trx, fitted, keys)
  const total = changes.children.reduce((sum, { rows }) => sum + rows, keys.length)
  if (total > stretch.rowsLeft) throw limitReached(order)

  const id = randomUUID()
  const [proof] = await Promise.all([
    proveRows(order.evidence, id, changes),
    carryOut(trx, fitted, changes, async () => tools.onStep('acted')),
  ])
  await tools.onStep('checked')

  const draft: EntryDraft = {
    type: 'batch',
    run: order.run,
    batch: id,
    policy: order.policy,
    target: printTable(fitted.table),
    action: fitted.rule.action.kind,
    method: METHODS[fitted.rule.action.kind],
    reason: order.trigger,
    day: order.boundary.today,
    firstDayNotDue: order.boundary.firstDayNotDue,
    children: proof.children,
    rows: keys.length,
    evidence: proof.evidence,
  }
  trace.appended = await appendEntry(
    trx,
    tools.signer,
    { draft, tokens: proof.tokens },
    tools.clock,
  )
  if (fitted.rule.action.kind === 'anonymise') {
    await statements.markAnonymised(fitted, keys, trace.appended.seq).execute(trx)
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

/**
 * After a lost answer to COMMIT the entry decides: its bytes in the journal mean that the rows are
 * gone. The server may still be committing, so the head is waited for first. If that cannot be
 * learnt the batch counts as lost; the end of the run sums up what the journal holds.
 */
async function wasCommitted({ db, log }: BatchTools, { appended }: Trace): Promise<boolean> {
  if (appended === null) return true
  try {
    return await inTransaction(db, async (trx) => {
      await lockJournal(trx)
      const entry = await findEntryBySeq(trx, appended.seq)
      return entry !== null && Buffer.compare(entry.body, appended.body) === 0
    })
  } catch (error) {
    log.warn({ reason: tell(error) }, 'what became of a batch could not be learnt')
    return false
  }
}

async function select(
  trx: Transaction<OwnTables>,
  statement: RawBuilder<Record<string, unknown>>,
): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await statement.execute(trx)
  return rows
}
