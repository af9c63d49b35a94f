import { digestOf } from '../base/canonical.ts'
import type { TableName } from '../base/names.ts'
import type { Table, TableTrigger } from './catalog.ts'

/** A trigger as pg_catalog tells it, with the source of its function. */
export type InspectedTrigger = Omit<TableTrigger, 'sourceDigest' | 'writes'> & {
  readonly language: string
  readonly source: string
}

export function readTrigger({ language, source, ...trigger }: InspectedTrigger): TableTrigger {
  return {
    ...trigger,
    sourceDigest: digestOf({ language, source }),
    writes: writesOf(trigger.function, language, source),
  }
}

function writesOf(name: TableName, language: string, source: string): readonly string[] {
  if (language === 'plpgsql') return writesIn(source)
  // Those of PostgreSQL, as `tsvector_update_trigger`, change the row in hand or keep it.
  return name.schema === 'pg_catalog' ? [] : [`whatever its ${language} code does`]
}

/** The event that a statement of ours is for a trigger; `columns` are those that an update names. */
export type Firing = {
  readonly event: 'delete' | 'update'
  readonly columns: readonly string[]
}

/**
 * The triggers that a statement of ours would fire. A condition in `when` is not looked at, and of a
 * generated column neither from which columns it is made.
 */
export function firedBy(table: Table, { event, columns }: Firing): readonly TableTrigger[] {
  const written = new Set([
    ...columns,
    ...table.columns.filter(({ generated }) => generated).map(({ name }) => name),
  ])
  return table.triggers.filter((trigger) => {
    if (!trigger.events.includes(event)) return false
    if (event === 'delete' || trigger.columns.length === 0) return true
    return trigger.columns.some((name) => written.has(name))
  })
}

const WRITE =
  /(?<!\b(?:for|key)\s)\b(insert into|update(?: only)?|delete from(?: only)?|merge into|copy|truncate(?: table)?)\s+(?!set\b)((?:"(?:[^"]|"")*"|[\w$.])+)/gi

const CALL = /\b(execute|perform|call|notify|pg_notify|dblink\w*)\b/gi

/**
 * Statements in PL/pgSQL that may write elsewhere, as the source has them. Comments and texts are
 * left out; what a text holds is run by `execute`, which is listed. For a reader of the plan, no
 * proof: any function called in an expression may write too.
 */
export function writesIn(source: string): readonly string[] {
  const code = source
    .replaceAll(/--[^\n]*|\/\*[^]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"/g, (part) =>
      part.startsWith('"') ? part : ' ',
    )
    .replaceAll(/\s+/g, ' ')
  const written = [...code.matchAll(WRITE)].map(
    ([, verb = '', table = '']) => `${verb.toLowerCase()} ${table}`,
  )
  const called = [...code.matchAll(CALL)].map(([word]) => word.toLowerCase())
  return [...new Set([...written, ...called])].toSorted()
}
