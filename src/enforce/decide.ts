import type { Transaction } from 'kysely'
import type { Child, FittedRule } from '../catalog/fitted.ts'
import { readKey, type Key } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import * as statements from './statements.ts'
import type { EventStart, Locked } from './statements.ts'

export type Candidates = { readonly keys: readonly Key[]; readonly locked: Locked }

type Row = Readonly<Record<string, unknown>>
type Candidate = { readonly key: Key; readonly links: Key }

/**
 * Locks what decides about rows that are already locked themselves: their common parents, then
 * every related row, then the rows that go along. Records whose parent another session has locked
 * fall out here; a related row or child that could not be locked spares its record when the
 * decision counts them.
 */
export async function lockWhatDecides(
  trx: Transaction<OwnTables>,
  fitted: FittedRule,
  rows: readonly Row[],
): Promise<Candidates> {
  const { start, key } = fitted
  const all = rows.map((row) => ({
    key: readKey(row, key),
    links: start.kind === 'column' ? [] : linksOf(start, row),
  }))
  if (start.kind === 'column') {
    const keys = all.map((candidate) => candidate.key)
    return { keys, locked: { events: null, children: await lockChildren(trx, fitted, keys) } }
  }
  const kept = await lockParents(trx, start, all)
  const events = start.guard.kind === 'table' ? null : await lockEvents(trx, start, kept)
  const keys = kept.map((candidate) => candidate.key)
  return { keys, locked: { events, children: await lockChildren(trx, fitted, keys) } }
}

/** A link that is null relates to nothing; it is kept as it is, and matches no row. */
function linksOf(start: EventStart, row: Row): Key {
  return start.links.map((_, at) => row[statements.linkAlias(at)] as string)
}

async function lockParents(
  trx: Transaction<OwnTables>,
  { guard, links }: EventStart,
  candidates: readonly Candidate[],
): Promise<readonly Candidate[]> {
  if (guard.kind !== 'common parent') return candidates
  // The pairs of the foreign key may stand in another order than the links of the policy.
  const order = guard.pairs.map(({ own }) => links.findIndex((link) => link.own.name === own.name))
  const reorder = (key: Key): Key => order.map((at) => key[at] as string)
  const parents = guard.pairs.map(({ parent }) => parent)
  const { rows } = await statements
    .lockParents(guard, distinct(candidates.map(({ links: own }) => reorder(own))))
    .execute(trx)
  const locked = new Set(rows.map((row) => spell(readKey(row, parents))))
  return candidates.filter(({ links: own }) => hasNull(own) || locked.has(spell(reorder(own))))
}

async function lockEvents(
  trx: Transaction<OwnTables>,
  start: EventStart,
  candidates: readonly Candidate[],
): Promise<Locked['events']> {
  const sources = start.links.map(({ source }) => source)
  const links = distinct(candidates.map((candidate) => candidate.links))
  const { rows } = await statements.lockEvents(start, links).execute(trx)
  return {
    asked: links,
    links: rows.map((row) => readKey(row, sources)),
    rows: rows.map((row) => row['rows'] as string),
  }
}

async function lockChildren(
  trx: Transaction<OwnTables>,
  fitted: FittedRule,
  keys: readonly Key[],
): Promise<ReadonlyMap<Child, readonly Key[]>> {
  const locked = new Map<Child, readonly Key[]>()
  for (const child of fitted.children) {
    const given = statements.parentsAmong(fitted, child, { keys, children: locked })
    const { rows } = await statements.lockChildren(child, given).execute(trx)
    locked.set(
      child,
      rows.map((row) => readKey(row, child.key)),
    )
  }
  return locked
}

function distinct(keys: readonly Key[]): readonly Key[] {
  return [...new Map(keys.filter((key) => !hasNull(key)).map((key) => [spell(key), key])).values()]
}

function hasNull(key: Key): boolean {
  return key.some((part: string | null) => part === null)
}

function spell(key: Key): string {
  return JSON.stringify(key)
}
