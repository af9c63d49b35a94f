/** What an anonymisation writes into a row, and whether a row holds it already. */
import { sql, type RawBuilder } from 'kysely'
import type { FittedMask, GovernedRule } from '../catalog/fitted.ts'
import { bound, columnId, disjunction, keyArray, type KeyColumn } from '../db/governed.ts'

/** True of a row of which a masked column holds something else than its mask writes. */
export function isUnmasked(governed: GovernedRule, alias: string): RawBuilder<boolean> {
  return disjunction(
    governed.masks.map((mask) => {
      const held = columnId(alias, mask.column.name)
      const written = maskValue(mask, governed.key, alias)
      return hasOwnEquality(mask)
        ? sql`${held} is distinct from ${written}`
        : sql`${held}::text is distinct from ${written}::text`
    }),
  )
}

/** Numbers and times are equal by value (0 and 0.00); text by its letters, and json has no equality. */
function hasOwnEquality({ column }: FittedMask): boolean {
  return ['N', 'D', 'T', 'B', 'I'].includes(column.category)
}

/** What the mask writes into the row `alias`. */
export function maskValue(
  mask: FittedMask,
  key: readonly KeyColumn[],
  alias: string,
): RawBuilder<unknown> {
  const { column, written } = mask
  const type = sql.id(column.type.schema, column.type.name)
  switch (written.kind) {
    case 'nothing':
      return sql`cast(null as ${type})`
    case 'constant':
      return bound(written.text, column.type)
    case 'template':
      return sql`cast(
        replace(${written.text}::text, '{key}', array_to_string(${keyArray(key, alias)}, '-')) as ${type}
      )`
    default:
      return written satisfies never
  }
}
