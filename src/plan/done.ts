/** Whether a row was anonymised before, so that a rule has nothing left to do. */
import { sql, type RawBuilder } from 'kysely'
import type { GovernedRule } from '../catalog/fitted.ts'
import { disjunction, keyArray } from '../db/governed.ts'
import { takesAway } from '../policy/policy.ts'
import type { View } from './due.ts'
import { anyGoing } from './going.ts'
import { isUnmasked } from './mask.ts'

/** True of a row that was anonymised before, and that nobody refilled since. */
export function isDone(view: View): RawBuilder<boolean> {
  const { fitted, row } = view
  if (takesAway(fitted.rule)) return sql<boolean>`false`
  const changing = [...fitted.children, ...fitted.detached]
  const left = changing.map((child) => anyGoing(view, child, () => sql`true`))
  return sql<boolean>`(${isAnonymised(fitted, row)} and not ${disjunction(left)})`
}

/** True of a row of `governed` that bears its marker and still holds what its masks write. */
export function isAnonymised(governed: GovernedRule, row: string): RawBuilder<boolean> {
  const marked = sql`exists (
    select from retentiond.anonymised as marker
    where marker.table_oid = ${governed.table.oid}::oid
      and marker.rule = ${governed.rule.id}
      and marker.key = ${keyArray(governed.key, row)}
      and marker.mask_digest = ${governed.maskDigest}
  )`
  const unchanged = sql`not ${isUnmasked({ governed, alias: row }, null)}`
  // PostgreSQL keeps to the order. Most rows that are asked still hold their values, and to compare those is cheaper;
  // but a mask that PostgreSQL refuses for some row must not be worked out for rows that never took it.
  return neverFails(governed)
    ? sql<boolean>`(${unchanged} and ${marked})`
    : sql<boolean>`(${marked} and ${unchanged})`
}

/** True of masks that write one value, which was tried when they were read, and no domain checks it. */
function neverFails({ masks }: GovernedRule): boolean {
  return masks.every(
    ({ written, column }) =>
      (written.kind === 'constant' || written.kind === 'nothing') &&
      column.baseType === column.type.name,
  )
}
