import { RefusedError } from '../base/errors.ts'
import { GROWTH, type Plan, type PlannedRule } from './plan.ts'

/** A plan is an approval for a day: the world it was read in has gone on after that. */
const LIFETIME_MS = 24 * 3_600_000

/** What was found just now, to hold an approved plan against. */
export type Found = {
  readonly at: string
  /** A census at the approved plan's cutoff, under the policies and the catalog of now. */
  readonly plan: Plan
}

/** Refuses a plan that does not fit any more, and says everything that moved. */
export function refuseStale(approved: Plan, found: Found): void {
  if (!approved.enforceable || approved.asOf !== null) {
    throw new RefusedError(`a plan as of ${approved.asOf ?? 'another day'} cannot be carried out`, {
      remedy: 'make a plan without --as-of',
    })
  }
  const moved = [
    ...ageMoves(approved, found.at),
    ...identityMoves(approved, found.plan),
    ...policyMoves(approved, found.plan),
    ...catalogMoves(approved, found.plan),
    ...countMoves(approved, found.plan),
  ]
  if (moved.length === 0) return
  throw new RefusedError(`the plan is stale: ${moved.join('; ')}`, {
    remedy: 'make a new plan and read it',
  })
}

/** The plan of now, without the rules that the approved one refused. */
export function approvedPart(approved: Plan, now: Plan): Plan {
  const refusals = new Map(approved.rules.map(({ rule, refusal }) => [rule, refusal]))
  return {
    ...now,
    rules: now.rules.map((rule) => ({
      ...rule,
      refusal: rule.refusal ?? refusals.get(rule.rule) ?? null,
    })),
  }
}

function ageMoves(approved: Plan, at: string): readonly string[] {
  const age = Date.parse(at) - Date.parse(approved.createdAt)
  if (age > LIFETIME_MS) return [`it is ${Math.floor(age / 3_600_000)} hours old, and holds for 24`]
  return age < -60_000 ? ['it was made in the future of this database'] : []
}

function identityMoves(approved: Plan, now: Plan): readonly string[] {
  const same =
    approved.database.name === now.database.name &&
    approved.database.systemIdentifier === now.database.systemIdentifier
  return same ? [] : [`it was made on another database (${approved.database.name})`]
}

function policyMoves(approved: Plan, now: Plan): readonly string[] {
  if (approved.policyDigest === now.policyDigest) return []
  const digests = new Map(now.rules.map((rule) => [rule.rule, rule.digest]))
  const changed = approved.rules
    .filter((rule) => digests.get(rule.rule) !== rule.digest)
    .map((rule) => rule.rule)
  return [changed.length === 0 ? 'the policies changed' : `rules changed: ${changed.join(', ')}`]
}

function catalogMoves(approved: Plan, now: Plan): readonly string[] {
  if (approved.catalogFingerprint === now.catalogFingerprint) return []
  const shapes = new Map(now.tables.map(({ table, fingerprint }) => [table, fingerprint]))
  const changed = approved.tables
    .filter(({ table, fingerprint }) => shapes.get(table) !== fingerprint)
    .map(({ table }) => table)
  return [changed.length === 0 ? 'the tables changed' : `tables changed: ${changed.join(', ')}`]
}

function countMoves(approved: Plan, now: Plan): readonly string[] {
  return approved.rules.flatMap((planned) => {
    const rule = now.rules.find((candidate) => candidate.rule === planned.rule)
    return rule === undefined ? [] : grown(planned, rule)
  })
}

function grown(planned: PlannedRule, now: PlannedRule): readonly string[] {
  const before = new Map(planned.children.map(({ table, rows }) => [table, rows]))
  const tables = [
    { table: now.table, planned: planned.counts.due, rows: now.counts.due },
    ...now.children.map(({ table, rows }) => ({ table, planned: before.get(table) ?? 0, rows })),
  ]
  return tables
    .filter(({ planned: seen, rows }) => rows > Math.ceil(seen * GROWTH))
    .map(({ table, planned: seen, rows }) => `${table} has ${rows} rows due, the plan saw ${seen}`)
}
