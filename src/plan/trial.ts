/**
 * Tries what an anonymisation writes on rows that are due, in a transaction that is never committed:
 * what no catalog tells (a check, an index on an expression, an exclusion, a trigger) is found when
 * the plan is read, not when the run acts.
 */
import { sql, type Kysely, type Transaction } from 'kysely'
import type { FittedRule } from '../catalog/fitted.ts'
import { keyTexts, readKey, tableId, type Key } from '../db/governed.ts'
import { classify, namedBy, saysConnectionLost, SQLSTATE, sqlstateOf } from '../db/sqlstate.ts'
import { TransientDatabaseError } from '../base/errors.ts'
import { inTrial } from '../db/transaction.ts'
import type { Boundary } from './boundary.ts'
import { viewOf } from './due.ts'
import { isActionable } from './hindrance.ts'
import { anonymiseRows, countUnmasked } from './mask-rows.ts'

/** Enough to meet what is wrong with most rows; each of them is locked for the time of the trial. */
const MOST_ROWS = 50

/** `refused` rows of `rows` do not go through; all of them, if they only stand in each other's way. */
export type Trial =
  | {
      readonly kind: 'tried'
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
  if (!mayTry(fitted)) return NOT_TRIED
  try {
    return await inTrial(db, async (trx) => {
      const keys = await lockSome(trx, fitted, boundary)
      return keys.length === 0 ? NOT_TRIED : tryRows(trx, fitted, keys)
    })
  } catch (error) {
    if (saysConnectionLost(error) || !saysBusy(error)) throw error
    return NOT_TRIED
  }
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

/** All at once as a batch does; if that fails each alone, to tell a few rows from the mask itself. */
async function tryRows<DB>(
  trx: Transaction<DB>,
  fitted: FittedRule,
  keys: readonly Key[],
): Promise<Trial> {
  const tried = (refused: number, why: string): Trial => {
    return { kind: 'tried', rows: keys.length, refused, why }
  }
  const together = await refusal(trx, fitted, keys)
  if (together === null) return tried(0, '')
  const passing: Key[] = []
  let first: string | null = null
  for (const key of keys) {
    const alone = await refusal(trx, fitted, [key])
    if (alone === null) passing.push(key)
    first ??= alone
  }
  if (passing.length === 0 || passing.length === keys.length) return tried(keys.length, together)
  const others = await refusal(trx, fitted, passing)
  return others === null
    ? tried(keys.length - passing.length, first ?? together)
    : tried(keys.length, others)
}

/** Why these rows do not go through, in names and codes alone; null if they do. Takes it back. */
async function refusal<DB>(
  trx: Transaction<DB>,
  fitted: FittedRule,
  keys: readonly Key[],
): Promise<string | null> {
  // As secret as a nonce of a batch has to be: what is written with it is never committed.
  const nonce = 'trial'
  await sql`savepoint tried`.execute(trx)
  try {
    const { numAffectedRows } = await anonymiseRows(fitted, keys, nonce).execute(trx)
    if (numAffectedRows !== BigInt(keys.length)) return 'a trigger or a rule keeps rows from it'
    await sql`set constraints all immediate`.execute(trx)
    const { rows } = await countUnmasked(fitted, keys, nonce).execute(trx)
    if (rows[0]?.rows !== '0') return 'the rows do not hold afterwards what the masks write'
    return null
  } catch (error) {
    const state = sqlstateOf(error)
    if (state === undefined || saysConnectionLost(error) || saysBusy(error)) throw error
    const name = namedBy(error)
    return `${name === undefined ? 'PostgreSQL' : name} refuses it (SQLSTATE ${state})`
  } finally {
    await sql`rollback to savepoint tried`.execute(trx)
  }
}
