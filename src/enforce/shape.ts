/** The shape of the tables that a rule reaches: closed for the length of a batch, and proved to be what the plan saw. */
import type { RawBuilder, Transaction } from 'kysely'
import { EXIT, RetentionError } from '../base/errors.ts'
import { printTable, sameTable } from '../base/names.ts'
import { closedBy } from '../catalog/chain.ts'
import { fingerprint } from '../catalog/fingerprint.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { inspectTables } from '../catalog/inspect.ts'
import { isStamped, takeStamp, type Stamp } from '../catalog/stamp.ts'
import { sourcesToKeepWhole } from '../catalog/partitions.ts'
import type { TableRef } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import { closeArchive } from './archive.ts'
import * as statements from './statements.ts'

/** The tables are no longer what the plan saw: the run ends, and a new plan starts afresh. */
export class CatalogMovedError extends RetentionError {
  readonly code = 'CATALOG_MOVED'
  readonly exit = EXIT.refused
  override readonly name = 'CatalogMovedError'
}

/** What the connections of a run remember of the tables of a rule once one of them has inspected them. */
export class ShapeMemory {
  /** Of a moment at which the tables were what the plan saw; null: nobody has looked yet. */
  stamp: Stamp | null = null
}

type Saw = {
  readonly fitted: FittedRule
  /** Of the tables that the rule reaches, as the plan saw them. */
  readonly fingerprint: string
  readonly shapes: ShapeMemory
}

/**
 * How long a batch waits for locks in all, once it holds one that somebody may wait for: less than
 * deadlock_timeout (1 s), after which PostgreSQL ends one of two sessions that wait for each other,
 * and it may be the application's. Each wait alone being shorter is not enough: they add up.
 */
const LOCK_WAITS_MS = 800

/** A lock that is not contended may still take a moment to be handed over. */
const LEAST_WAIT_MS = 50

/**
 * How long a batch waits for each of its first locks: that on holds, and one on each table. It stays
 * so to the end: behind them a batch skips what is locked and waits for nothing.
 */
export function lockWaitMs({ reaches }: FittedRule): number {
  return Math.max(LEAST_WAIT_MS, Math.floor(LOCK_WAITS_MS / (reaches.length + 1)))
}

/** Takes a lock on every table the rule reaches, by name, so that two enforcers never cross. */
export async function closeShapes(trx: Transaction<OwnTables>, fitted: FittedRule): Promise<void> {
  const names = fitted.reaches.toSorted((one, other) =>
    printTable(one) < printTable(other) ? -1 : 1,
  )
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

/**
 * Proves that the tables are what the plan saw: by their stamp if that is the one they were inspected
 * under, and else by inspecting them again, which takes several times as long.
 */
export async function proveShape(trx: Transaction<OwnTables>, order: Saw): Promise<void> {
  const { shapes } = order
  if (shapes.stamp !== null && (await isStamped(trx, shapes.stamp))) return
  const stamp = await takeStamp(trx, order.fitted.reaches)
  await inspectAgain(trx, order)
  // What came and went meanwhile was not inspected.
  shapes.stamp = (await isStamped(trx, stamp)) ? stamp : null
}

async function inspectAgain(trx: Transaction<OwnTables>, order: Saw): Promise<void> {
  const names = new Set(order.fitted.reaches.map((table) => printTable(table)))
  const found = await inspectTables(trx, order.fitted.reaches)
  const reached = found.filter((table) => names.has(printTable(table)))
  if (fingerprint(reached) !== order.fingerprint) throw catalogMoved(order)
}

export function catalogMoved({ fitted }: Pick<Saw, 'fitted'>, cause?: unknown): CatalogMovedError {
  return new CatalogMovedError(
    `rule ${fitted.rule.id}: a table that the rule reaches is no longer what the plan saw`,
    { cause, remedy: 'look at the latest migration of the application, then make a new plan' },
  )
}
