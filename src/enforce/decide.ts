import type { Transaction } from 'kysely'
import { sourcesOf } from '../catalog/chain.ts'
import type { FittedRule, FittedSource } from '../catalog/fitted.ts'
import { readKey, type Key } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import { climbsOf, lockAbove, topKey, type LockedAbove } from '../hold/above.ts'
import { findChanging } from './along.ts'
import { levelsToLock, linkAlias, lockLevel, lockParents, type LockedLevel } from './related.ts'
import type { Locked } from './statements.ts'

export type Candidates = { readonly keys: readonly Key[]; readonly locked: Locked }

type Row = Readonly<Record<string, unknown>>

/** A locked row, and its side of the links of each source. */
type Candidate = { readonly key: Key; readonly links: readonly Key[] }

/**
 * Locks what decides about rows that are already locked themselves: their common parents, then
 * every related row, then the rows that go along and those that may hold them. Records whose parent another session has locked
 * fall out here; a related row or child that could not be locked spares its record when the
 * decision counts them.
 */
export async function lockWhatDecides(
  trx: Transaction<OwnTables>,
  fitted: FittedRule,
  rows: readonly Row[],
): Promise<Candidates> {
  const sources = sourcesOf(fitted.start)
  let candidates: readonly Candidate[] = rows.map((row) => ({
    key: readKey(row, fitted.key),
    links: sources.map((source, at) => linksOf(source, at, row)),
  }))
  for (const [at, source] of sources.entries()) {
    candidates = await keepWithParent(trx, source, at, candidates)
  }
  const related: LockedLevel[] = []
  for (const [at, source] of sources.entries()) {
    const asked = distinct(candidates.map(({ links }) => links[at] ?? []))
    related.push(...(await lockLevels(trx, source, asked)))
  }
  const keys = candidates.map((candidate) => candidate.key)
  return { keys, locked: { related, ...(await lockAround(trx, fitted, keys)) } }
}

/** The rows that change with the given ones, then those above any of them that a hold may be on. */
async function lockAround(
  trx: Transaction<OwnTables>,
  fitted: FittedRule,
  keys: readonly Key[],
): Promise<Pick<Locked, 'children' | 'above'>> {
  const { going, detached } = await findChanging(trx, fitted, keys, 'lock')
  const children = new Map([...going, ...detached])
  const above: LockedAbove[] = []
  for (const climb of climbsOf(fitted.held)) {
    const { along } = climb.from
    const below = along === null ? keys : (children.get(along) ?? [])
    const { rows } = await lockAbove(climb, below).execute(trx)
    above.push({ ...climb, keys: rows.map((row) => readKey(row, topKey(climb))) })
  }
  return { children, above }
}

/** A link that is null relates to nothing; it is kept as it is, and matches no row. */
function linksOf({ links }: FittedSource, source: number, row: Row): Key {
  return links.map((_, at) => row[linkAlias(source, at)] as string)
}

async function keepWithParent(
  trx: Transaction<OwnTables>,
  { guard, links }: FittedSource,
  at: number,
  candidates: readonly Candidate[],
): Promise<readonly Candidate[]> {
  if (guard.kind !== 'common parent') return candidates
  // The pairs of the foreign key may stand in another order than the links of the policy.
  const order = guard.pairs.map(({ own }) => links.findIndex((link) => link.own.name === own.name))
  const parentOf = (candidate: Candidate): Key =>
    order.map((position) => candidate.links[at]?.[position] as string)
  const parents = guard.pairs.map(({ parent }) => parent)
  const { rows } = await lockParents(guard, distinct(candidates.map(parentOf))).execute(trx)
  const locked = new Set(rows.map((row) => spell(readKey(row, parents))))
  return candidates.filter((candidate) => {
    const parent = parentOf(candidate)
    return hasNull(parent) || locked.has(spell(parent))
  })
}

async function lockLevels(
  trx: Transaction<OwnTables>,
  source: FittedSource,
  asked: readonly Key[],
): Promise<readonly LockedLevel[]> {
  const tops = source.links.map((link) => link.source)
  const locked: LockedLevel[] = []
  for (const level of levelsToLock(source)) {
    const { rows } = await lockLevel(source, level, asked).execute(trx)
    locked.push({
      source,
      level,
      asked,
      links: rows.map((row) => readKey(row, tops)),
      rows: rows.map((row) => row['rows'] as string),
    })
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
