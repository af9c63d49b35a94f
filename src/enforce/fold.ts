/**
 * A batch of a rule that asks nothing but the row itself: locking, deciding and acting are one
 * statement, since PostgreSQL locks each row before it acts on it, and asks the predicate again of a
 * row that changed meanwhile. It cannot do that for what stands in other rows, so those rules take
 * the steps of batch.ts, and so does everything that a hold might cover.
 *
 * One statement waits for rows that the application has locked, but for a moment only: then the
 * batch is rolled back, and the stretch is left to the steps of batch.ts, which leave such rows out.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { sql, type RawBuilder, type Transaction } from 'kysely'
import { invariant } from '../base/errors.ts'
import { closedBy } from '../catalog/chain.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { keyArray, tableId, type Key } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import { SQLSTATE, saysRowRefused, sqlstateOf } from '../db/sqlstate.ts'
import { coversOf } from '../hold/held.ts'
import { viewOf } from '../plan/due.ts'
import { isActionable } from '../plan/hindrance.ts'
import { isAllIdle, type Idle } from '../plan/orders.ts'
import { isUnmasked, type Nonce } from '../plan/mask.ts'
import { maskedColumns } from '../plan/mask-rows.ts'
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
import { proveFloors, refuseUnmasked } from './prove.ts'
import { proveShape } from './shape.ts'
import { keysTold, purgeKeyed, purgeStretch, type ToldRows } from './statements.ts'
import { within, type Stretch } from './stretch.ts'

/** `xid`: the transaction that rows which are done, and marked, bear as their `xmin`; null: none is. */
export type FoldResult =
  | { readonly kind: 'done'; readonly rows: number; readonly xid: string | null }
  /** Nothing happened: the stretch is for the steps of batch.ts. `rows` were too many, or null. */
  | { readonly kind: 'unfit'; readonly rows: number | null }

/** How long one statement waits for a row: somebody may wait for those that it has locked already. */
const ROW_WAIT_MS = 50

/** What the rest of the batch waits for locks, as in `closeShapes`: the head of the journal. */
const HEAD_WAIT_MS = 800

/** True of a rule under which nothing but the row itself says whether it may be acted on. */
export function canFold(fitted: FittedRule): boolean {
  const { rule, start, rivals, superseding, held, masks } = fitted
  const others = [...rivals, ...superseding]
  const reads = [
    fitted.children,
    fitted.together,
    fitted.detached,
    fitted.blockers,
    fitted.readers,
    fitted.holding,
    fitted.triggers,
    fitted.closed,
    closedBy(start),
    held.flatMap((each) => coversOf(each).flatMap(({ sources }) => sources)),
  ]
  return (
    start.kind === 'column' &&
    others.every((other) => other.start.kind === 'column') &&
    reads.every((read) => read.length === 0) &&
    (rule.action.kind === 'purge' || (rule.action.kind === 'anonymise' && masks.length > 0))
  )
}

/** Rolls a batch back that one statement cannot do; never leaves this file. */
class Unfit extends Error {
  readonly rows: number | null

  constructor(rows: number | null) {
    super('the stretch is not for one statement')
    this.rows = rows
  }
}

/** Acts on a whole stretch and journals it: both are committed, or neither is. */
export async function foldStretch(
  tools: BatchTools,
  order: BatchOrder,
  stretch: Stretch,
  limit: number,
): Promise<FoldResult> {
  const trace = newTrace()
  try {
    return await inBatch(tools, order, trace, async (trx) => {
      const idle = await beginBatch(trx, tools, order)
      // A hold that is open might cover a row: whether it does is decided step by step.
      if (!isAllIdle(order.fitted, idle)) throw new Unfit(null)
      const { size } = await prelude(trx)
      const nonce = randomBytes(32).toString('hex')
      const acted = await actAtOnce(trx, order, { stretch, nonce, size, idle })
      if (acted.rows > limit) throw new Unfit(acted.rows)
      await tools.onStep('rows')
      await tools.onStep('related')
      await proveShape(trx, order)
      await tools.onStep('catalog')
      await tools.onStep('decided')
      return acted.rows === 0
        ? { kind: 'done', rows: 0, xid: null }
        : conclude(trx, tools, order, { ...acted, trace })
    })
  } catch (error) {
    if (error instanceof Unfit) return { kind: 'unfit', rows: error.rows }
    // A row that a constraint keeps: the steps of batch.ts find out which.
    if (saysRowRefused(error)) return { kind: 'unfit', rows: null }
    throw error
  }
}

type Prelude = { readonly size: string }

async function prelude(trx: Transaction<OwnTables>): Promise<Prelude> {
  const { rows } = await sql<Prelude>`
    select
      set_config('lock_timeout', ${String(ROW_WAIT_MS)}::text, true),
      (select size::text from retentiond.head) as size`.execute(trx)
  const [row] = rows
  invariant(row !== undefined, 'a select without from has one row')
  return row
}

type Acting = Prelude & { readonly stretch: Stretch; readonly nonce: Nonce; readonly idle: Idle }

/** What one statement did; without the keys where only their number is journalled. */
type Acted = {
  readonly rows: number
  readonly keys: readonly Key[]
  readonly xid: string | null
}

async function actAtOnce(
  trx: Transaction<OwnTables>,
  order: BatchOrder,
  acting: Acting,
): Promise<Acted> {
  const { fitted, boundary, marked, evidence } = order
  try {
    if (fitted.rule.action.kind === 'purge') {
      const decided = { fitted, boundary, idle: acting.idle }
      if (marked || evidence !== null) {
        const also = { marked, told: evidence !== null }
        const { rows } = await purgeKeyed(decided, acting.stretch, also).execute(trx)
        return { ...readActed(rows[0]), xid: null }
      }
      const { numAffectedRows } = await purgeStretch(decided, acting.stretch).execute(trx)
      return { rows: Number(numAffectedRows), keys: [], xid: null }
    }
    const { rows } = await anonymiseStretch(order, acting).execute(trx)
    if (rows[0]?.unmasked !== '0') refuseUnmasked(fitted, rows[0]?.unmasked ?? '?')
    return { ...readActed(rows[0]), xid: rows[0]?.xid ?? null }
  } catch (error) {
    if (sqlstateOf(error) === SQLSTATE.lockNotAvailable) throw new Unfit(null)
    throw error
  }
}

function readActed(told: ToldRows | undefined): Omit<Acted, 'xid'> {
  invariant(told !== undefined, 'a count has one row')
  const keys = told.keys === null ? [] : (JSON.parse(told.keys) as readonly Key[])
  return { rows: Number(told.rows), keys }
}

/**
 * THE statement that overwrites where a rule asks nothing but the row itself. What it returns is what
 * it wrote: no trigger fires that could change it. The markers name the size of the journal when the
 * batch began: its entry has that number, or a later one if another connection was faster. Where none of
 * the rows bears a marker it is not looked for, which takes half of what marking them does; should one
 * bear it after all, its key is there twice, and the stretch is left to the steps of batch.ts.
 */
function anonymiseStretch(
  { fitted, boundary, evidence, marked }: BatchOrder,
  { stretch, nonce, size, idle }: Acting,
): RawBuilder<ToldRows & { unmasked: string; xid: string }> {
  const { table, key, rule, maskDigest } = fitted
  const again = sql`
      on conflict (table_oid, rule, key)
      do update set mask_digest = excluded.mask_digest, seq = excluded.seq`
  return sql`
    with done as (
      update ${tableId(stretch.part)} as row
      set ${maskedColumns(fitted, nonce)}
      where ${within(stretch, null, fitted)} and ${isActionable(viewOf(fitted, boundary), [], idle)}
      returning
        ${keyArray(key, 'row')} as key,
        ${isUnmasked({ governed: fitted, alias: 'row' }, nonce)} as unmasked
    ),
    marked as (
      insert into retentiond.anonymised (table_oid, key, rule, mask_digest, seq)
      select ${table.oid}::oid, key, ${rule.id}, ${maskDigest}, ${size}::bigint
      from done${marked ? again : sql``}
    )
    select
      pg_current_xact_id()::xid::text as xid,
      count(*)::text as rows,
      ${keysTold(evidence !== null)} as keys,
      count(*) filter (where unmasked)::text as unmasked
    from done`
}

async function conclude(
  trx: Transaction<OwnTables>,
  tools: BatchTools,
  order: BatchOrder,
  { rows, keys, xid, trace }: Acted & { readonly trace: Trace },
): Promise<FoldResult> {
  invariant(order.evidence === null || keys.length === rows, 'each row has a key')
  charge(order, trace, rows)
  await tools.onStep('acted')
  const id = randomUUID()
  const [proof] = await Promise.all([
    proveRows(order.evidence, id, { keys, going: new Map(), children: [] }),
    settle(trx, order),
  ])
  await tools.onStep('checked')
  await journal({ trx, tools, order, trace }, { id, rows, ...proof })
  await tools.onStep('journalled')
  return { kind: 'done', rows, xid }
}

async function settle(trx: Transaction<OwnTables>, { fitted }: BatchOrder): Promise<void> {
  await sql`set constraints all immediate`.execute(trx)
  await proveFloors(trx, fitted)
  await sql`select set_config('lock_timeout', ${String(HEAD_WAIT_MS)}::text, true)`.execute(trx)
}
