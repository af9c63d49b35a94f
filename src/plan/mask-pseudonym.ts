import { sql, type RawBuilder } from 'kysely'
import { PSEUDONYM_TAG, type Written } from '../catalog/fitted.ts'
import { keyArray } from '../db/governed.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import type { MaskedRow } from './mask.ts'

/**
 * The pseudonym of the value: digits of an HMAC of it, then a tag, which is an HMAC of those. By the
 * tag a pseudonym is known again and left alone, whatever else of the rule changed; one under a key
 * that is gone is known by its shape and by the row's marker.
 */
export function pseudonymOf(
  { key, length }: Extract<Written, { kind: 'pseudonym' }>,
  held: RawBuilder<unknown>,
  row: MaskedRow,
): RawBuilder<unknown> {
  const text = sql`(${held}::text collate "C")`
  const digits = length - PSEUDONYM_TAG
  const tag = (of: RawBuilder<unknown>) => keyed(key, sql`'tag ' || ${of}`, PSEUDONYM_TAG)
  return sql`
    case
      when ${held} is null then null
      when ${text} ~ ${`^[0-9a-f]{${length}}$`}::text and (
        right(${text}, ${PSEUDONYM_TAG}::int) = ${tag(sql`left(${text}, ${digits}::int)`)}
        or ${isMarked(row)}
      ) then ${held}::text
      else (
        select made.digits || ${tag(sql`made.digits`)}
        from (select ${keyed(key, sql`'value ' || ${text}`, digits)} as digits offset 0) as made
      )
    end`
}

/** HMAC-SHA-256 (RFC 2104), cut: PostgreSQL has the hash, but HMAC only as an extension. */
function keyed(key: PseudonymKey, of: RawBuilder<unknown>, digits: number): RawBuilder<unknown> {
  const { inner, outer } = key.pads()
  return sql`left(
    encode(sha256(${outer}::bytea || sha256(${inner}::bytea || convert_to(${of}, 'UTF8'))), 'hex'),
    ${digits}::int
  )`
}

function isMarked({ governed, alias }: MaskedRow): RawBuilder<unknown> {
  return sql`exists (
    select from retentiond.anonymised as marked
    where marked.table_oid = ${governed.table.oid}::oid
      and marked.rule = ${governed.rule.id}
      and marked.key = ${keyArray(governed.key, alias)}
  )`
}
