/** What a batch proves about its own statements before it journals them. */
import type { RawBuilder, Transaction } from 'kysely'
import { Bug, RefusedError } from '../base/errors.ts'
import { printTable, sameTable } from '../base/names.ts'
import type { Child, FittedRule } from '../catalog/fitted.ts'
import type { Key } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import { takesAway } from '../policy/policy.ts'
import { countUnmasked } from '../plan/mask-rows.ts'
import type { Nonce } from '../plan/mask.ts'
import type { Detaching } from './along.ts'
import * as statements from './statements.ts'
import type { Given } from './statements.ts'

type Trx = Transaction<OwnTables>

/** A count other than the decided one means that something acted between us and the rows. */
export async function exactly(
  trx: Trx,
  fitted: FittedRule,
  statement: RawBuilder<unknown>,
  rows: number,
): Promise<void> {
  const { numAffectedRows } = await statement.execute(trx)
  requireCount(fitted, Number(numAffectedRows ?? 0), rows)
}

/** The same for a statement on several tables, which returns its counts as `rows_1`, …. */
export async function exactlyAll(
  trx: Trx,
  fitted: FittedRule,
  statement: RawBuilder<Record<string, string>>,
  counts: readonly number[],
): Promise<void> {
  const { rows } = await statement.execute(trx)
  for (const [at, count] of counts.entries()) {
    requireCount(fitted, Number(rows[0]?.[`rows_${at + 1}`] ?? 0), count)
  }
}

function requireCount(fitted: FittedRule, reached: number, rows: number): void {
  if (reached === rows) return
  const said = `a statement reached ${reached} rows where ${rows} were decided`
  if (fitted.triggers.length === 0) throw new Bug(`${said}; the batch was rolled back`)
  throw new RefusedError(`rule ${fitted.rule.id}: ${said}`, { remedy: remedyFor(fitted) })
}

/**
 * Looks whether what was purged is gone: PostgreSQL counts a row as deleted that a trigger puts
 * back afterwards. Asked only where a trigger fires, and of what was moved: it stands in one place.
 */
export async function proveGone(
  trx: Trx,
  fitted: FittedRule,
  purged: readonly { readonly table: Child['table']; readonly rows: Given }[],
): Promise<void> {
  for (const { table, rows } of purged) {
    const fires = fitted.triggers.some((fired) => sameTable(fired.table, table))
    if (!fires && fitted.archive === null) continue
    const { rows: counted } = await statements.countGiven(table, rows).execute(trx)
    if (counted[0]?.rows === '0') continue
    throw new RefusedError(
      `rule ${fitted.rule.id}: ${counted[0]?.rows ?? '?'} rows of ${printTable(table)} were there again after they were deleted`,
      { remedy: remedyFor(fitted) },
    )
  }
}

/** Counts no further than the floor: what the application deleted since the plan counts too. */
export async function proveFloors(trx: Trx, { rule, table, children }: FittedRule): Promise<void> {
  const purged = [...(takesAway(rule) ? [table] : []), ...children.map((child) => child.table)]
  for (const { table: name, keepAtLeast } of rule.floors) {
    const floored = purged.find((each) => sameTable(each, name))
    if (floored === undefined || keepAtLeast === null) continue
    const { rows } = await statements.countUpTo(floored, keepAtLeast).execute(trx)
    if (Number(rows[0]?.rows) >= keepAtLeast) continue
    throw new RefusedError(
      `rule ${rule.id}: fewer than ${keepAtLeast} rows of ${printTable(name)} would be left, which is its floor`,
      { remedy: 'the batch was rolled back; see what else deletes rows of the table' },
    )
  }
}

/** A trigger can restore the link while PostgreSQL reports that the row was updated. */
export async function proveDetached(
  trx: Trx,
  fitted: FittedRule,
  detached: readonly Detaching[],
): Promise<void> {
  for (const { child, key, keys } of detached) {
    if (!fitted.triggers.some((fired) => sameTable(fired.table, child.table))) continue
    const { rows } = await statements.countAttached(child, key, keys).execute(trx)
    if (rows[0]?.rows === '0') continue
    throw new RefusedError(
      `rule ${fitted.rule.id}: ${rows[0]?.rows ?? '?'} rows of ${printTable(child.table)} still had the link that was set to null`,
      { remedy: remedyFor(fitted) },
    )
  }
}

export async function proveMasked(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
  nonce: Nonce,
): Promise<void> {
  if (fitted.masks.length === 0) return
  const { rows } = await countUnmasked(fitted, keys, nonce).execute(trx)
  if (rows[0]?.rows !== '0') refuseUnmasked(fitted, rows[0]?.rows ?? '?')
}

/** Refuses a batch after which some rows hold something else than was to be written. */
export function refuseUnmasked(fitted: FittedRule, rows: string): never {
  throw new RefusedError(
    `rule ${fitted.rule.id}: after the update ${rows} rows did not hold what their masks write`,
    {
      remedy:
        fitted.triggers.length > 0
          ? remedyFor(fitted)
          : 'the batch was rolled back; check types that change what is written to them',
    },
  )
}

function remedyFor({ triggers }: FittedRule): string {
  const names = triggers.map(({ table, trigger }) => `${trigger.name} of ${printTable(table)}`)
  return `the batch was rolled back; look at the triggers that fire: ${names.join(', ')}`
}
