/** What a batch does to the rows that were decided, and to those that change with them. */
import { randomBytes } from 'node:crypto'
import { sql, type Transaction } from 'kysely'
import { printTable } from '../base/names.ts'
import type { Table } from '../catalog/catalog.ts'
import type { Child, FittedRule } from '../catalog/fitted.ts'
import { strataOf } from '../catalog/strata.ts'
import type { Key } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import type { TableRows } from '../journal/entry.ts'
import { detachRows } from '../plan/detach-rows.ts'
import { anonymiseRows } from '../plan/mask-rows.ts'
import type { Nonce } from '../plan/mask.ts'
import { takesAway } from '../policy/policy.ts'
import { copyToArchive, proveArchived } from './archive.ts'
import { findChanging, findDetaching, type Detaching, type Going } from './along.ts'
import { proveNothingElseWent, readGone } from './gone.ts'
import { exactly, exactlyAll, proveDetached, proveFloors, proveGone, proveMasked } from './prove.ts'
import * as statements from './statements.ts'

type Trx = Transaction<OwnTables>

export type Changes = {
  readonly keys: readonly Key[]
  readonly going: Going
  readonly detaching: readonly Detaching[]
  /** How many rows of each table change beside the governed rows, as the journal says it. */
  readonly children: readonly TableRows[]
}

/** Finds what changes with the decided rows, all of which is locked already. */
export async function findChanges(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
): Promise<Changes> {
  const { going } = await findChanging(trx, fitted, keys, 'read')
  const detaching = await findDetaching(trx, fitted, keys, going)
  const gone = fitted.archive === null ? 'purge' : 'block'
  const purged = [...going].map(([{ table }, rows]) => count(table, gone, rows))
  const detached = fitted.detached.map((child) => {
    const rows = detaching.flatMap((each) => (each.child === child ? each.keys : []))
    return count(child.table, 'detach', [...new Set(rows.map((row) => JSON.stringify(row)))])
  })
  const children = [...purged, ...detached].filter(({ rows }) => rows > 0)
  return { keys, going, detaching, children }
}

function count(table: Table, action: TableRows['action'], rows: readonly unknown[]): TableRows {
  return { target: printTable(table), action, rows: rows.length }
}

/**
 * Detaches, destroys and overwrites exactly these rows, and proves that nothing else went: a count
 * that differs, whatever made it differ, takes the batch back.
 */
export async function carryOut(
  trx: Trx,
  fitted: FittedRule,
  changes: Changes,
  onActed: () => Promise<void>,
): Promise<void> {
  const nonce = randomBytes(32).toString('hex')
  const before = await readGone(trx)
  for (const { child, key, keys } of changes.detaching) {
    await exactly(trx, fitted, detachRows(child, key, keys), keys.length)
  }
  const leaving = { keys: changes.keys, children: changes.going }
  if (fitted.archive !== null) await copyToArchive(trx, fitted, leaving)
  const purged = purgedParts(fitted, changes)
  await purge(trx, fitted, purged)
  if (!takesAway(fitted.rule)) await overwrite(trx, fitted, changes.keys, nonce)
  await onActed()

  await sql`set constraints all immediate`.execute(trx)
  await proveNothingElseWent(trx, fitted, before, purged)
  await proveGone(trx, fitted, purged)
  if (fitted.archive !== null) await proveArchived(trx, fitted, leaving)
  await proveDetached(trx, fitted, changes.detaching)
  await proveMasked(trx, fitted, changes.keys, nonce)
  await proveFloors(trx, fitted)
}

/** The given rows of one table. */
export type Part = { readonly table: Table; readonly rows: statements.Given }

function purgedParts({ rule, table, key }: FittedRule, { keys, going }: Changes): readonly Part[] {
  const children = [...going].map(([child, rows]: [Child, readonly Key[]]): Part => {
    return { table: child.table, rows: { columns: child.key, keys: rows } }
  })
  const own = takesAway(rule) ? [{ table, rows: { columns: key, keys } }] : []
  return [...own, ...children]
}

/** Child first; tables that refer to each other in a circle in one statement. */
async function purge(trx: Trx, fitted: FittedRule, parts: readonly Part[]): Promise<void> {
  const strata = strataOf(parts.map(({ table }) => table))
  for (const stratum of strata.toReversed()) {
    const circle = parts.filter(({ table }) => stratum.includes(table))
    const [only, ...others] = circle
    if (only !== undefined && others.length === 0) {
      const { table, rows } = only
      await exactly(trx, fitted, statements.purgeRows(table, rows), rows.keys.length)
    } else {
      const counts = circle.map(({ rows }) => rows.keys.length)
      await exactlyAll(trx, fitted, statements.purgeCircle(circle), counts)
    }
    for (const { table, rows } of circle) await statements.unmark(table, rows).execute(trx)
  }
}

async function overwrite(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
  nonce: Nonce,
): Promise<void> {
  if (fitted.masks.length > 0) {
    await exactly(trx, fitted, anonymiseRows(fitted, keys, nonce), keys.length)
  }
}
