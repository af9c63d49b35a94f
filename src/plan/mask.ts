/** What an anonymisation writes into a row, and whether a row holds it already. */
import { sql, type RawBuilder } from 'kysely'
import type { FittedMask, GovernedRule } from '../catalog/fitted.ts'
import { bound, columnId, disjunction, keyArray } from '../db/governed.ts'
import { jsonValue } from './mask-json.ts'
import { pseudonymOf } from './mask-pseudonym.ts'
import {
  bucketOf,
  networkOf,
  partOf,
  patternOf,
  roundedOf,
  tokenOf,
  truncatedOf,
} from './mask-values.ts'

/**
 * What the random digits of one batch are made from: drawn for it, and forgotten with it. With it
 * the batch can compute again what it wrote and compare; without it nobody can.
 */
export type Nonce = string

/** The row that a mask is about, by its alias in the statement. */
export type MaskedRow = { readonly governed: GovernedRule; readonly alias: string }

/**
 * True of a row of which a masked column holds something else than its mask writes. Of random
 * digits only their shape is known once the batch that drew them is over, and `nonce` null.
 */
export function isUnmasked(row: MaskedRow, nonce: Nonce | null): RawBuilder<boolean> {
  return disjunction(row.governed.masks.map((mask) => differs(mask, row, nonce)))
}

function differs(mask: FittedMask, row: MaskedRow, nonce: Nonce | null): RawBuilder<unknown> {
  const held = columnId(row.alias, mask.column.name)
  const { written } = mask
  if (written.kind === 'random' && nonce === null) {
    return sql`((${held}::text collate "C") !~ ${`^[0-9a-f]{${written.length}}$`}::text) is true`
  }
  const value = maskValue(mask, row, nonce ?? '')
  if (hasOwnEquality(mask)) return sql`${held} is distinct from ${value}`
  // By its letters: under the column's own collation two spellings may count as one.
  return sql`(${held}::text collate "C") is distinct from (${value}::text collate "C")`
}

/** Numbers and times are equal by value (0 and 0.00); text by its letters, and json has no equality. */
function hasOwnEquality({ column }: FittedMask): boolean {
  return ['N', 'D', 'T', 'B', 'I'].includes(column.category)
}

/** What the mask writes into the row. */
export function maskValue(mask: FittedMask, row: MaskedRow, nonce: Nonce): RawBuilder<unknown> {
  const { column } = mask
  const type = sql.id(column.type.schema, column.type.name)
  return mask.written.kind === 'constant'
    ? bound(mask.written.text, column.type)
    : sql`cast(${madeFrom(mask, row, nonce)} as ${type})`
}

function madeFrom(
  { column, written }: FittedMask,
  row: MaskedRow,
  nonce: Nonce,
): RawBuilder<unknown> {
  const held = columnId(row.alias, column.name)
  const key = keyArray(row.governed.key, row.alias)
  switch (written.kind) {
    case 'nothing':
      return sql`null`
    case 'constant':
      return sql`${written.text}::text`
    case 'template':
      return sql`replace(${written.text}::text, '{key}', array_to_string(${key}, '-'))`
    case 'random':
      return tokenOf({ held, column: column.name, key, nonce, length: written.length })
    case 'pseudonym':
      return pseudonymOf(written, held, row)
    case 'partial':
      return partOf(written, held)
    case 'truncate':
      return truncatedOf(written, column, held)
    case 'bucket':
      return bucketOf(written.size, held)
    case 'round':
      return roundedOf(written.places, column, held)
    case 'network':
      return networkOf(written, column, held)
    case 'json':
      return jsonValue(written.members, held)
    case 'pattern':
      return patternOf(written, held)
    default:
      return written satisfies never
  }
}
