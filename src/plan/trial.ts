/**
 * Tries what a rule writes into rows that are due, and into rows that lose their link to one, in a
 * transaction that is never committed: what no catalog tells (a check, an index on an expression, an
 * exclusion, a trigger) is found when the plan is read, not when the run acts.
 */
import { sql, type Kysely, type Transaction } from 'kysely'
import type { TableName } from '../base/names.ts'
import type { Child, FittedRule, Referral } from '../catalog/fitted.ts'
import { keyTexts, readKey, tableId, type Key } from '../db/governed.ts'
import { classify, namedBy, saysConnectionLost, SQLSTATE, sqlstateOf } from '../db/sqlstate.ts'
import { TransientDatabaseError } from '../base/errors.ts'
import { inTrial } from '../db/transaction.ts'
import type { Boundary } from './boundary.ts'
import { viewOf } from './due.ts'
import { lockReferring } from './going.ts'
import { isActionable } from './hindrance.ts'
import { detachRows } from './detach-rows.ts'
import { anonymiseRows, countUnmasked } from './mask-rows.ts'

/** Enough to meet what is wrong with most rows; each of them is locked for the time of the trial. */
const MOST_ROWS = 50

/** `refused` rows of `rows` do not go through; all of them, if they only stand in each other's way. */
export type Trial =
  | {
      readonly kind: 'tried'
      /** The table whose rows lost their link; null: the masks were tried. */
      readonly detached: TableName | null
      readonly rows: number
      readonly refused: number
      readonly why: string
    }
  /** Nothing is due that is not locked, or we may not write, or the database was too busy. */
  | { readonly kind: 'not tried' }

const NOT_TRIED: Trial = { kind: 'not tried' }

/** Tries the rule on rows that a batch could act on now. Leaves nothing behind but dead row versions. */
export async function tryRule<DB>(
  db: Kysely<DB>,
  fitted: FittedRule,
  boundary: Boundary,
): Promise<Trial> {
  try {
    return await inTrial(db, async (trx) => {
      const trials = [
        ...(mayTry(fitted) ? [await tryMasks(trx, fitted, boundary)] : []),
        ...(await tryDetaching(trx, fitted, boundary)),
      ]
      return trials.find(isRefused) ?? trials.find(({ kind }) => kind === 'tried') ?? NOT_TRIED
    })
  } catch (error) {
    if (saysConnectionLost(error) || !saysBusy(error)) throw error
    return NOT_TRIED
  }
}

function isRefused(trial: Trial): boolean {
  return trial.kind === 'tried' && trial.refused > 0
}

async function tryMasks<DB>(
  trx: Transaction<DB>,
  fitted: FittedRule,
  boundary: Boundary,
): Promise<Trial> {
  const keys = await lockSome(trx, fitted, boundary)
  if (keys.length === 0) return NOT_TRIED
  return tryRows(keys, null, async (some) => refusalOf(trx, async () => mask(trx, fitted, some)))
}

async function tryDetaching<DB>(
  trx: Transaction<DB>,
  fitted: FittedRule,
  boundary: Boundary,
): Promise<readonly Trial[]> {
  const view = viewOf(fitted, boundary)
  const trials: Trial[] = []
  for (const { child, key } of linksToCut(fitted)) {
    const part = { ...child, foreignKeys: [key] }
    const locked = await lockReferring(view, part, isActionable(view), MOST_ROWS).execute(trx)
    const keys = locked.rows.map((row) => readKey(row, child.key))
    if (keys.length === 0) continue
    const attempt = async (some: readonly Key[]): Promise<string | null> =>
      refusalOf(trx, async () => detach(trx, child, key, some))
    trials.push(await tryRows(keys, child.table, attempt))
  }
  return trials
}

function linksToCut({ detached }: FittedRule): readonly { child: Child; key: Referral }[] {
  return detached.flatMap((child) => {
    const { update } = child.table.privileges
    const mayCut = ({ fromColumns }: Referral): boolean =>
      fromColumns.every((column) => update.includes(column))
    return child.foreignKeys.filter(mayCut).map((key) => ({ child, key }))
  })
}

/** A plan may be read by a role that may not write, or on a standby: then nothing is tried. */
function mayTry({ masks, table }: FittedRule): boolean {
  const { update } = table.privileges
  return masks.length > 0 && masks.every(({ column }) => update.includes(column.name))
}

function saysBusy(error: unknown): boolean {
  return (
    classify(error) instanceof TransientDatabaseError ||
    sqlstateOf(error) === SQLSTATE.readOnlyTransaction
  )
}

async function lockSome<DB>(
  trx: Transaction<DB>,
  fitted: FittedRule,
  boundary: Boundary,
): Promise<readonly Key[]> {
  const { rows } = await sql<Record<string, unknown>>`
    select ${keyTexts(fitted.key, 'row')}
    from ${tableId(fitted.table)} as row
    where ${isActionable(viewOf(fitted, boundary))}
    limit ${MOST_ROWS}::int
    for update of row skip locked`.execute(trx)
  return rows.map((row) => readKey(row, fitted.key))
}

/** Why these rows do not go through, in names and codes alone; null if they do. */
type Attempt = (keys: readonly Key[]) => Promise<string | null>

/** All at once as a batch does; if that fails each alone, to tell a few rows from the rule itself. */
async function tryRows(
  keys: readonly Key[],
  detached: TableName | null,
  attempt: Attempt,
): Promise<Trial> {
  const tried = (refused: number, why: string): Trial => {
    return { kind: 'tried', detached, rows: keys.length, refused, why }
  }
  const together = await attempt(keys)
  if (together === null) return tried(0, '')
  const passing: Key[] = []
  let first: string | null = null
  for (const key of keys) {
    const alone = await attempt([key])
    if (alone === null) passing.push(key)
    first ??= alone
  }
  if (passing.length === 0 || passing.length === keys.length) return tried(keys.length, together)
  const others = await attempt(passing)
  return others === null
    ? tried(keys.length - passing.length, first ?? together)
    : tried(keys.length, others)
}

const KEPT_AWAY = 'a trigger or a rule keeps rows from it'

async function mask<DB>(
  trx: Transaction<DB>,
  fitted: FittedRule,
  keys: readonly Key[],
): Promise<string | null> {
  // As secret as a nonce of a batch has to be: what is written with it is never committed.
  const nonce = 'trial'
  const { numAffectedRows } = await anonymiseRows(fitted, keys, nonce).execute(trx)
  if (numAffectedRows !== BigInt(keys.length)) return KEPT_AWAY
  await sql`set constraints all immediate`.execute(trx)
  const { rows } = await countUnmasked(fitted, keys, nonce).execute(trx)
  return rows[0]?.rows === '0' ? null : 'the rows do not hold afterwards what the masks write'
}

async function detach<DB>(
  trx: Transaction<DB>,
  child: Child,
  key: Referral,
  keys: readonly Key[],
): Promise<string | null> {
  const { numAffectedRows } = await detachRows(child, key, keys).execute(trx)
  if (numAffectedRows !== BigInt(keys.length)) return KEPT_AWAY
  await sql`set constraints all immediate`.execute(trx)
  return null
}

/** Runs `work`, and takes back what it did. */
async function refusalOf<DB>(
  trx: Transaction<DB>,
  work: () => Promise<string | null>,
): Promise<string | null> {
  await sql`savepoint tried`.execute(trx)
  try {
    return await work()
  } catch (error) {
    const state = sqlstateOf(error)
    if (state === undefined || saysConnectionLost(error) || saysBusy(error)) throw error
    const name = namedBy(error)
    return `${name === undefined ? 'PostgreSQL' : name} refuses it (SQLSTATE ${state})`
  } finally {
    await sql`rollback to savepoint tried`.execute(trx)
  }
}
