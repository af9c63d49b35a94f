import { sql, type RawBuilder } from 'kysely'
import type { JsonMember, JsonStep } from '../policy/strategy.ts'

type Value = RawBuilder<unknown>

/** The document with every member that is there overwritten; none is added. */
export function jsonValue(members: readonly JsonMember[], held: Value): Value {
  return members.reduce<Value>(
    (document, { path, value }) => written(document, path, sql`${JSON.stringify(value)}::jsonb`, 0),
    sql`${held}::jsonb`,
  )
}

/**
 * One level of the document. `offset 0` keeps PostgreSQL from putting the expression of the level
 * above in place of its name, once for each time the name stands here.
 */
function written(
  document: Value,
  [step, ...rest]: readonly JsonStep[],
  value: Value,
  depth: number,
): Value {
  if (step === undefined) return value
  const level = sql.id(`level_${depth}`)
  const here = sql`${level}.document`
  const next = (inside: Value): Value => written(inside, rest, value, depth + 1)
  const changed = step === 'each' ? eachItem(here, depth, next) : oneMember(here, step.key, next)
  return sql`(select ${changed} from (select ${document} as document offset 0) as ${level})`
}

/** `->` with text finds a member of an object and nothing in a list or a scalar. */
function oneMember(here: Value, key: string, next: (inside: Value) => Value): Value {
  const member = sql`${here} -> ${key}::text`
  return sql`
    case
      when (${member}) is null then ${here}
      else jsonb_set(${here}, array[${key}::text], ${next(member)}, false)
    end`
}

function eachItem(here: Value, depth: number, next: (inside: Value) => Value): Value {
  const item = sql.id(`item_${depth}`)
  return sql`
    case
      when jsonb_typeof(${here}) is distinct from 'array' then ${here}
      else coalesce(
        (
          select jsonb_agg(${next(sql`${item}.document`)} order by ${item}.position)
          from jsonb_array_elements(${here}) with ordinality as ${item} (document, position)
        ),
        '[]'::jsonb
      )
    end`
}
