/** The statement that overwrites, and the one that proves it: a batch and a trial share both. */
import { sql, type RawBuilder } from 'kysely'
import type { GovernedRule } from '../catalog/fitted.ts'
import { keyEquals, keySet, tableId, type Key } from '../db/governed.ts'
import { isUnmasked, maskValue, type Nonce } from './mask.ts'

/** THE statement that overwrites: exactly the given rows, every mask at once. */
export function anonymiseRows(
  governed: GovernedRule,
  keys: readonly Key[],
  nonce: Nonce,
): RawBuilder<unknown> {
  const { table, key } = governed
  return sql`
    update ${tableId(table)} as row
    set ${maskedColumns(governed, nonce)}
    from ${keySet(key, keys)} as given
    where ${keyEquals(key, 'row', 'given')}`
}

/** What an update of `row` sets, every mask at once. */
export function maskedColumns(governed: GovernedRule, nonce: Nonce): RawBuilder<unknown> {
  const row = { governed, alias: 'row' }
  const written = governed.masks.map(
    (mask) => sql`${sql.id(mask.column.name)} = ${maskValue(mask, row, nonce)}`,
  )
  return sql.join(written)
}

/**
 * Counts the given rows that hold something else than their masks write: none, or the batch goes
 * back. A trigger can restore the old row while PostgreSQL reports one row updated, so the rows are
 * read again: what a mask makes of the old value it does not make of its own.
 */
export function countUnmasked(
  governed: GovernedRule,
  keys: readonly Key[],
  nonce: Nonce,
): RawBuilder<{ rows: string }> {
  const { table, key } = governed
  return sql`
    select count(*)::text as rows
    from ${tableId(table)} as row
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'row', 'given')}
    where ${isUnmasked({ governed, alias: 'row' }, nonce)}`
}
