/**
 * A partition of which every row is due, dropped whole: one transaction with its journal entry, as
 * every step that destroys. DETACH CONCURRENTLY takes no part in a transaction, so that it is not used:
 * rows would be gone from the application's sight before, and whether or not, an entry says so.
 *
 * Writers are locked out of the partition before it is decided and to the end: no row can come into
 * it between. Readers go on until it goes. Nobody waits long: it is given up as soon as somebody does,
 * and swept; and the locks of the drop itself, on the whole table too, come last.
 */
import { randomUUID } from 'node:crypto'
import { sql, type Transaction } from 'kysely'
import { RefusedError } from '../base/errors.ts'
import { sleep } from '../base/sleep.ts'
import { DROPS, inspectDropping, type Droppable } from '../catalog/inspect-dropping.ts'
import { keyArray, keyTexts, readKey, tableId, type TableRef } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import { SQLSTATE, sqlstateOf } from '../db/sqlstate.ts'
import { inSnapshot } from '../db/transaction.ts'
import { viewOf } from '../plan/due.ts'
import { obstacleToDrops } from '../plan/drops.ts'
import { isActionable } from '../plan/hindrance.ts'
import { isAllIdle, readIdle, type Idle } from '../plan/orders.ts'
import {
  beginBatch,
  charge,
  inBatch,
  journal,
  newTrace,
  type BatchOrder,
  type BatchTools,
  type Trace,
} from './batch.ts'
import { proveRows } from './evidence.ts'
import { proveFloors } from './prove.ts'
import { proveShape } from './shape.ts'
import { within } from './stretch.ts'

/** Each wait for a lock. The application waits for a few of them and of the next, and so below a second. */
const LOCK_MS = 100

/** How long a statement should decide, and how long it may. After each we look whether anybody waits. */
const AIM_MS = 100
const DECIDE_MS = 400

/** Of the first such statement: 4 MiB. */
const FIRST_PAGES = 512

/** Most keys that are committed to while others wait: some 5 µs each. */
const MOST_KEYS = 20_000

/** Locks of the application go by; then the partition is swept. */
const MOST_ATTEMPTS = 3

/** What may be otherwise in a moment. */
const PASSING: ReadonlySet<string> = new Set([SQLSTATE.lockNotAvailable, SQLSTATE.deadlockDetected])

type Tools = BatchTools & { readonly signal: AbortSignal }

/** Runs one attempt as a batch is run: at its pace, and under a lease that holds on. */
type Run = (attempt: () => Promise<number>) => Promise<number>

/** Drops every partition that it can; what is left, for whatever reason, is swept afterwards. */
export async function dropPartitions(tools: Tools, order: BatchOrder, run: Run): Promise<void> {
  const { fitted } = order
  const found = await inSnapshot(tools.db, async (trx) => inspectDropping(trx, fitted.table))
  if (obstacleToDrops(fitted, found) !== null) return
  for (const leaf of found.leaves) {
    if (tools.signal.aborted) return
    if (leaf.obstacle !== null || !(await looksDue(tools, order, leaf))) continue
    await tryDropping(tools, order, leaf, run)
  }
}

/** Drops it, or says in the log why it was not to be. */
async function tryDropping(
  tools: Tools,
  order: BatchOrder,
  leaf: Droppable,
  run: Run,
): Promise<void> {
  const partition = `${leaf.schema}.${leaf.name}`
  for (let attempt = 1; ; attempt += 1) {
    try {
      await run(async () => dropPartition(tools, order, leaf))
      return
    } catch (error) {
      const reason = reasonToSweep(error)
      if (reason === null) throw error
      const passing =
        error instanceof NotWhole ? error.passing : PASSING.has(sqlstateOf(error) ?? '')
      const again = passing && attempt < MOST_ATTEMPTS
      tools.log.info({ partition, attempt, again, reason }, 'partition not dropped')
      if (!again) return
      await sleep(50 * 2 ** attempt, tools.signal)
    }
  }
}

/** Rolls a drop back, for a reason; never leaves this file. */
class NotWhole extends Error {
  /** It may be otherwise in a moment. */
  readonly passing: boolean

  constructor(message: string, passing = false) {
    super(message)
    this.passing = passing
  }
}

const REASONS: Readonly<Record<string, string>> = {
  [SQLSTATE.lockNotAvailable]: 'another session uses it',
  [SQLSTATE.deadlockDetected]: 'another session uses it',
  [SQLSTATE.queryCanceled]: 'it takes too long to decide',
  [SQLSTATE.dependentObjects]: 'other objects depend on it',
  [SQLSTATE.insufficientPrivilege]: 'the role may not',
}

/** Why a partition is swept instead; null for an error that ends the rule. */
function reasonToSweep(error: unknown): string | null {
  if (error instanceof NotWhole) return error.message
  return REASONS[sqlstateOf(error) ?? ''] ?? null
}

/** Looks without a lock, so that a partition with a row that stays is not locked for nothing. */
async function looksDue(tools: Tools, order: BatchOrder, leaf: Droppable): Promise<boolean> {
  const { fitted, boundary } = order
  return inSnapshot(tools.db, async (trx) => {
    const idle = await readIdle(trx, fitted)
    const { rows } = await sql<{ due: boolean }>`
      select
        exists (select from ${tableId(only(leaf))}) and not exists (
          select from ${tableId(only(leaf))} as row
          where (${isActionable(viewOf(fitted, boundary), [], idle)}) is not true
        ) as due`.execute(trx)
    return isAllIdle(fitted, idle) && rows[0]?.due === true
  })
}

function only({ schema, name }: Droppable): TableRef {
  return { schema, name, only: true }
}

async function dropPartition(tools: Tools, order: BatchOrder, leaf: Droppable): Promise<number> {
  const trace = newTrace()
  return inBatch(tools, order, trace, async (trx) => {
    const idle = await beginBatch(trx, tools, order)
    // A hold that is open might cover a row: whether it does is decided step by step.
    if (!isAllIdle(order.fitted, idle)) throw new NotWhole('a hold may cover its rows')
    await limit(trx, 'lock_timeout', LOCK_MS)
    await sql`lock table ${tableId(only(leaf))} in share row exclusive mode`.execute(trx)
    await tools.onStep('rows')
    await tools.onStep('related')
    await proveShape(trx, order)
    await tools.onStep('catalog')
    const rows = await decideWhole({ trx, tools, order }, leaf, idle)
    await tools.onStep('decided')
    await act({ trx, tools, order, trace }, leaf, rows)
    return rows
  })
}

async function limit(
  trx: Transaction<OwnTables>,
  name: 'lock_timeout' | 'statement_timeout',
  ms: number,
): Promise<void> {
  await sql`select set_config(${name}, ${String(ms)}, true)`.execute(trx)
}

/**
 * Counts the rows of the partition, and makes sure that each of them may go. Some pages at a time: as
 * soon as anybody waits for us, whoever it is and for whatever lock, all of it is given up.
 */
async function decideWhole(
  { trx, tools, order }: Omit<Batch, 'trace'>,
  leaf: Droppable,
  idle: Idle,
): Promise<number> {
  await limit(trx, 'statement_timeout', DECIDE_MS)
  const size = await sizeOf(trx, order, leaf)
  let rows = 0
  let pages = FIRST_PAGES
  for (let from = 0; from === 0 || from < size;) {
    const before = from + pages
    const begunMs = tools.clock.monotonicMs()
    rows += await countDue(trx, order, leaf, { idle, from, before: before < size ? before : null })
    const ms = Math.max(1, tools.clock.monotonicMs() - begunMs)
    from = before
    pages = Math.max(1, Math.floor(pages * Math.min(2, AIM_MS / ms)))
  }
  if (rows === 0) throw new NotWhole('it is empty')
  return rows
}

/** Its pages, of which there come no more. By its own oid: another table of its name is another one. */
async function sizeOf(
  trx: Transaction<OwnTables>,
  { fitted: { table } }: BatchOrder,
  { oid, schema, name }: Droppable,
): Promise<number> {
  const { rows } = await sql<{ pages: string }>`
    select (pg_relation_size(class.oid) / current_setting('block_size')::bigint)::text as pages
    from pg_class as class
    join pg_namespace on pg_namespace.oid = relnamespace
    where class.oid = ${oid}::oid and relname = ${name} and nspname = ${schema}
      and relispartition and pg_partition_root(class.oid) = ${table.oid}::oid`.execute(trx)
  const [found] = rows
  if (found === undefined) throw new NotWhole('it is no partition of the table any more')
  return Number(found.pages)
}

type Chunk = { readonly idle: Idle; readonly from: number; readonly before: number | null }

async function countDue(
  trx: Transaction<OwnTables>,
  { fitted, boundary }: BatchOrder,
  leaf: Droppable,
  { idle, from, before }: Chunk,
): Promise<number> {
  const part = only(leaf)
  const stretch = {
    part,
    range: { kind: 'pages', from, before },
    fits: true,
    order: 'place',
  } as const
  const { rows } = await sql<{ rows: string; going: string; waited: boolean }>`
    select
      count(*)::text as rows,
      count(*) filter (where ${isActionable(viewOf(fitted, boundary), [], idle)})::text as going,
      exists (
        select from pg_locks
        where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))
      ) as waited
    from ${tableId(part)} as row
    where ${within(stretch, null, fitted)}`.execute(trx)
  const [found] = rows
  if (found?.waited !== false) throw new NotWhole('somebody waits for it', true)
  if (found.rows !== found.going) throw new NotWhole('some of its rows stay')
  return Number(found.rows)
}

type Batch = {
  readonly trx: Transaction<OwnTables>
  readonly tools: Tools
  readonly order: BatchOrder
  readonly trace: Trace
}

/** Journals the rows, then drops them: the locks that the drop takes are held for a moment only. */
async function act(batch: Batch, leaf: Droppable, rows: number): Promise<void> {
  const { trx, tools, order, trace } = batch
  const { fitted } = order
  charge(order, trace, rows)
  const id = randomUUID()
  const keys = order.evidence === null ? [] : await readKeys(trx, order, leaf, rows)
  const changes = { keys, going: new Map(), children: [] }
  const proof = await proveRows(order.evidence, id, changes)
  if (order.marked) await unmark(trx, order, leaf)
  await journal({ trx, tools, order, trace, method: 'sql-drop' }, { id, rows, ...proof })
  const drop = sql.id(fitted.table.schema, `${DROPS}${fitted.table.name}`)
  await sql`select ${drop}(${leaf.oid}::oid)`.execute(trx)
  await tools.onStep('acted')
  await proveFloors(trx, fitted)
  await proveDropped(trx, order, leaf)
  await tools.onStep('checked')
  await tools.onStep('journalled')
}

async function readKeys(
  trx: Transaction<OwnTables>,
  { fitted: { key } }: BatchOrder,
  leaf: Droppable,
  rows: number,
) {
  if (rows > MOST_KEYS) throw new NotWhole('it has more rows than can be proved at once')
  const { rows: found } = await sql<Record<string, unknown>>`
    select ${keyTexts(key, 'row')} from ${tableId(only(leaf))} as row`.execute(trx)
  return found.map((row) => readKey(row, key))
}

/** A marker holds a key in clear, and goes when its row goes. */
async function unmark(
  trx: Transaction<OwnTables>,
  { fitted: { table, key } }: BatchOrder,
  leaf: Droppable,
): Promise<void> {
  await sql`
    delete from retentiond.anonymised as marker
    using ${tableId(only(leaf))} as row
    where marker.table_oid = ${table.oid}::oid and marker.key = ${keyArray(key, 'row')}`.execute(
    trx,
  )
}

/** The function is somebody else's: whether it did what it is for is looked at. */
async function proveDropped(
  trx: Transaction<OwnTables>,
  { fitted: { rule } }: BatchOrder,
  leaf: Droppable,
): Promise<void> {
  const { rows } = await sql`select from pg_class where oid = ${leaf.oid}::oid`.execute(trx)
  if (rows.length === 0) return
  throw new RefusedError(
    `rule ${rule.id}: partition ${leaf.schema}.${leaf.name} is there after it was dropped`,
    { remedy: 'run again what retentiond grants prints for the rule' },
  )
}
