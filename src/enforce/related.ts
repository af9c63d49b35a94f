/** The statements that lock the related rows of a batch, and compare what is locked with what decides. */
import { sql, type RawBuilder } from 'kysely'
import { levelsOf, sourcesOf } from '../catalog/chain.ts'
import type { FittedSource, FittedStart, Guard } from '../catalog/fitted.ts'
import {
  columnId,
  keyAlias,
  keyEquals,
  keySet,
  keyTexts,
  tableId,
  type Key,
  type KeyColumn,
} from '../db/governed.ts'
import { plainly, rowAt, topOf, wayFrom } from '../plan/related.ts'

/** Related rows of one level of one source: how many a batch holds locked for each of the links. */
export type LockedLevel = {
  readonly source: FittedSource
  readonly level: number
  /** The links of the candidates. */
  readonly asked: readonly Key[]
  readonly links: readonly Key[]
  readonly rows: readonly string[]
}

/** The own side of the links of each source, as `link_1_1`, `link_1_2`, … of type text. */
export function linkTexts(start: FittedStart): RawBuilder<unknown> {
  const links = sourcesOf(start).flatMap((source, of) =>
    source.links.map(
      ({ own }, at) =>
        sql`, cast(${columnId('row', own.name)} as text) as ${sql.id(linkAlias(of, at))}`,
    ),
  )
  return sql.join(links, sql``)
}

export function linkAlias(source: number, position: number): string {
  return `link_${source + 1}_${position + 1}`
}

/** Locks the common parents of the records whose links are `given`, and returns their links. */
export function lockParents(
  guard: Extract<Guard, { kind: 'common parent' }>,
  links: readonly Key[],
): RawBuilder<Record<string, unknown>> {
  const columns = guard.pairs.map(({ own }) => ({ name: own.name, type: own.type }))
  const parents = guard.pairs.map(({ parent }) => parent)
  return sql`
    select ${keyTexts(parents, 'parent')}
    from ${tableId(guard.table)} as parent
    where exists (
      select from ${keySet(columns, links)} as given
      where ${keyEquals(parents, 'parent', 'given')}
    )
    for update of parent skip locked`
}

/**
 * The levels of a source whose rows are locked, from the top down, since no row can come below one
 * that is. In a table that is closed nothing moves: its rows are locked only to keep others away
 * from the level below.
 */
export function levelsToLock(source: FittedSource): readonly number[] {
  const levels = levelsOf(source)
  return levels
    .flatMap(({ closed }, at) => (closed && (levels[at - 1]?.closed ?? true) ? [] : [at]))
    .toReversed()
}

/**
 * Locks every related row of the given links, whatever its values, and counts what it got for each:
 * closed and older rows decide too. A count below the one that the decision sees means that some
 * row could not be locked, and spares the record. Rows between the source and the record are locked
 * for update, as the record is: only that keeps new rows below them away.
 */
export function lockLevel(
  source: FittedSource,
  level: number,
  links: readonly Key[],
): RawBuilder<Record<string, unknown>> {
  const tops = topColumns(source)
  const top = topOf(source, plainly)
  const strength = level === 0 ? sql`for share` : sql`for update`
  return sql`
    with locked as materialized (
      select ${keyTexts(tops, top)}
      from ${wayFrom(source, level, plainly)}
      where exists (
        select from ${keySet(ownColumns(source), links)} as given
        where ${keyEquals(tops, top, 'given')}
      )
      ${strength} of ${sql.id(rowAt(level, plainly))} skip locked
    )
    select ${sql.join(aliases(tops))}, count(*)::text as rows
    from locked
    group by ${sql.join(aliases(tops))}`
}

/** Joins how many related rows the decision sees with how many the batch holds locked. */
export function seenAndHeld(locked: readonly LockedLevel[]): RawBuilder<unknown> {
  return sql.join(
    locked.map((level, at) => joinLevel(level, at)),
    sql``,
  )
}

export function seesOnlyHeld(at: number): RawBuilder<boolean> {
  return sql<boolean>`coalesce(${sql.id(seen(at), 'rows')}, 0) = coalesce(${sql.id(held(at), 'rows')}, 0)`
}

function joinLevel(locked: LockedLevel, at: number): RawBuilder<unknown> {
  const { source, level, asked } = locked
  const own = ownColumns(source)
  const tops = topColumns(source)
  const top = topOf(source, plainly)
  const read = tops.map(({ name }) => columnId(top, name))
  const named = read.map((column, position) => sql`${column} as ${sql.id(keyAlias(position))}`)
  return sql`
    left join (
      select ${sql.join(named)}, count(*) as rows
      from ${wayFrom(source, level, plainly)}
      where exists (
        select from ${keySet(own, asked)} as given where ${keyEquals(tops, top, 'given')}
      )
      group by ${sql.join(read)}
    ) as ${sql.id(seen(at))} on ${keyEquals(own, 'row', seen(at))}
    left join ${heldRows(locked)} as ${sql.id(held(at))} on ${keyEquals(own, 'row', held(at))}`
}

function heldRows({ source, links, rows }: LockedLevel): RawBuilder<unknown> {
  const own = ownColumns(source)
  const names = own.map((_, position) => sql.id(keyAlias(position)))
  const arrays = own.map((_, position) => sql`${links.map((link) => link[position])}::text[]`)
  const typed = own.map(
    ({ type }, position) =>
      sql`cast(${sql.id('given', keyAlias(position))} as ${sql.id(type.schema, type.name)}) as ${sql.id(keyAlias(position))}`,
  )
  return sql`(
    select ${sql.join(typed)}, given.rows
    from unnest(${sql.join(arrays)}, ${rows}::bigint[]) as given (${sql.join(names)}, rows)
  )`
}

function seen(at: number): string {
  return `seen_${at + 1}`
}

function held(at: number): string {
  return `held_${at + 1}`
}

function ownColumns({ links }: FittedSource): readonly KeyColumn[] {
  return links.map(({ own: { name, type } }) => ({ name, type }))
}

function topColumns({ links }: FittedSource): readonly KeyColumn[] {
  return links.map(({ source: { name, type } }) => ({ name, type }))
}

function aliases(columns: readonly KeyColumn[]): readonly RawBuilder<unknown>[] {
  return columns.map((_, at) => sql.id(keyAlias(at)))
}
