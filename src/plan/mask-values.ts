/**
 * The values that masks make from the value a row holds, each as an expression of PostgreSQL, so
 * that no value leaves it. Null stays null. Applied twice they give what they give once, but for
 * random digits: that is how a row that was masked is told from one that somebody filled again.
 */
import { sql, type RawBuilder } from 'kysely'
import type { Column } from '../catalog/catalog.ts'
import type { Written } from '../catalog/fitted.ts'
import type { Nonce } from './mask.ts'

type Of<K extends Written['kind']> = Extract<Written, { kind: K }>
type Value = RawBuilder<unknown>

type Token = {
  readonly held: Value
  readonly column: string
  readonly key: Value
  readonly nonce: Nonce
  readonly length: number
}

/** Digits of a hash of the batch's nonce and of what names the value: other ones in every batch. */
export function tokenOf({ held, column, key, nonce, length }: Token): Value {
  const named = sql`concat_ws(' ', ${nonce}::text, ${column}::text, ${key}::text)`
  return sql`
    case when ${held} is not null then
      left(encode(sha256(convert_to(${named}, 'UTF8')), 'hex'), ${length}::int)
    end`
}

/** Never more than half of the text stays: a short one becomes the character alone. */
export function partOf({ first, last, with: character }: Of<'partial'>, held: Value): Value {
  const text = sql`(${held}::text)`
  const length = sql`char_length(${text})`
  const ends = first + last
  // `right` with zero is empty, but `left` and `right` with less than zero count from the other end.
  return sql`
    case
      when ${length} < ${2 * ends}::int then repeat(${character}::text, ${length})
      else left(${text}, ${first}::int)
        || repeat(${character}::text, ${length} - ${ends}::int)
        || right(${text}, ${last}::int)
    end`
}

/** A date and a local time know no zone; an instant is truncated in the one of the rule. */
export function truncatedOf({ unit, zone }: Of<'truncate'>, column: Column, held: Value): Value {
  return column.baseType === 'timestamptz'
    ? sql`date_trunc(${unit}::text, ${held}, ${zone}::text)`
    : sql`date_trunc(${unit}::text, ${held}::timestamp)`
}

export function bucketOf(size: string, held: Value): Value {
  return sql`floor(${held}::numeric / ${size}::numeric) * ${size}::numeric`
}

export function roundedOf(places: number, column: Column, held: Value): Value {
  if (column.baseType !== 'point') return sql`round(${held}::numeric, ${places}::int)`
  const part = (at: 0 | 1): Value =>
    sql`round((${held})[${at}::int]::numeric, ${places}::int)::float8`
  return sql`point(${part(0)}, ${part(1)})`
}

/** A network that is wider already stays as it is. Text that is no address is refused by PostgreSQL. */
export function networkOf({ v4, v6 }: Of<'network'>, column: Column, held: Value): Value {
  const address = column.category === 'S' ? sql`(${held}::text)::inet` : sql`${held}::inet`
  const bits = sql`case family(${address}) when 4 then ${v4}::int else ${v6}::int end`
  const network = sql`network(set_masklen(${address}, least(masklen(${address}), ${bits})))`
  return column.category === 'S' ? sql`${network}::text` : network
}

/**
 * Where a match is left, or was made by what was put in, the whole text becomes the replacement:
 * so no match ever stays, since the replacement is checked to be none.
 */
export function patternOf({ find, with: put }: Of<'pattern'>, held: Value): Value {
  const text = sql`(${held}::text collate "default")`
  // Literally: a reference to a part of the match would let that part stay.
  const literal = put.replaceAll('\\', '\\\\')
  return sql`(
    select case when replaced.text ~ ${find}::text then ${put}::text else replaced.text end
    from (select regexp_replace(${text}, ${find}::text, ${literal}::text, 'g') as text offset 0)
      as replaced
  )`
}
