import type { Problem } from '../base/problem.ts'
import { resolveAfter } from './after.ts'
import { ruleDigest } from './digest.ts'
import type { PolicyHeader, RuleDocument } from './document.ts'
import type { Fault } from './fault.ts'
import { resolvePace } from './resolve-pace.ts'
import { resolveStart } from './resolve-start.ts'
import { placedAt, stepsOf, type Acting } from './resolve-then.ts'
import type { Condition, Limits, Rule, RuleSource, Schedule, Sentinels } from './policy.ts'

/** What a rule gets from its policy. */
export type PolicyValues = Pick<
  PolicyHeader,
  'policy' | 'timezone' | 'sentinels' | 'plausible_from' | 'coverage' | 'defaults'
>

/** What holds where neither the rule nor its policy says anything. Part of every rule digest. */
export const PROGRAM_DEFAULTS = {
  mode: 'report',
  /** Enough for a month of a busy table; a first run that is larger deserves a look. */
  limits: { maxRows: 50_000, maxPercent: 10, trip: 'either' },
  batchRows: null,
  scheduleZone: 'UTC',
  plausibleFrom: '1990-01-01',
} as const

/**
 * Merges a rule with what its policy and the program say, and reports what contradicts them. A rule
 * with phases becomes one rule for each of them.
 */
export function resolveRule(
  document: RuleDocument,
  policy: PolicyValues,
  source: RuleSource,
): { readonly rules: readonly Rule[]; readonly problems: readonly Problem[] } {
  const faults: Fault[] = []
  const shared: Omit<Rule, 'digest' | 'source' | keyof Acting> = {
    archived: null,
    policy: policy.policy,
    title: document.title ?? document.id,
    register: registerOf(document),
    table: document.table,
    subject: document.subject ?? [],
    zone: document.timezone ?? policy.timezone,
    where: filterOf(document),
    softDeleted: document.soft_deleted ?? null,
    start: resolveStart(document.start, faults),
    within: document.within ?? null,
    mode: document.mode ?? policy.defaults?.mode ?? PROGRAM_DEFAULTS.mode,
    schedule: scheduleOf(document, policy, faults),
    limits: limitsOf(document, policy, faults),
    evidence: document.evidence ?? policy.defaults?.evidence ?? null,
    batchRows: document.batch?.rows ?? policy.defaults?.batch?.rows ?? PROGRAM_DEFAULTS.batchRows,
    walk: document.batch?.walk ?? policy.defaults?.batch?.walk ?? null,
    partitions: document.batch?.partitions ?? policy.defaults?.batch?.partitions ?? 'sweep',
    pace: resolvePace(
      {
        own: document.pace,
        defaults: policy.defaults?.pace,
        zone: document.timezone ?? policy.timezone,
      },
      faults,
    ),
    after: resolveAfter(document.after, policy.defaults?.after),
    plausibleFrom:
      document.plausible_from ?? policy.plausible_from ?? PROGRAM_DEFAULTS.plausibleFrom,
    sentinels: sentinelsOf(document, policy, faults),
    references: document.references ?? [],
    logical: (document.logical ?? []).map(({ table, to, by, where, as }) => {
      return { table, to: to ?? document.table, by, where: where ?? null, as }
    }),
    inheritance: document.inheritance ?? null,
    triggers: (document.triggers?.acknowledge ?? []).map(({ table, name }) => {
      return { table: table ?? document.table, name }
    }),
    holds: [],
    floors: [],
  }
  const rules = stepsOf(document, policy, faults).map(({ acting, place }): Rule => {
    const merged = { ...shared, ...acting }
    return { ...merged, digest: ruleDigest(merged), source: placedAt(source, place) }
  })
  return { rules, problems: faults.map((fault) => source.problem(fault.path, fault)) }
}

/** Reports a day that a policy declares open and invalid at once. */
export function sentinelFaults(sentinels: Sentinels): readonly Fault[] {
  const both = sentinels.open.find((day) => sentinels.invalid.includes(day))
  if (both === undefined) return []
  const message = `${both} can't mean "still open" and "unknown" at once`
  return [
    { code: 'sentinel_contradicts', message, remedy: 'remove it from one', path: ['sentinels'] },
  ]
}

/** The parts must hold together; one part stands for itself. */
function filterOf(document: RuleDocument): Condition | null {
  const { where, where_sql: whereSql, soft_deleted: soft } = document
  const marked: readonly Condition[] =
    soft === undefined || soft.rows === 'include'
      ? []
      : [{ kind: 'soft_deleted', column: soft.column, deleted: soft.rows === 'only' }]
  const conditions = [where ?? [], whereSql ?? [], marked].flat()
  const [only = null] = conditions
  return conditions.length > 1 ? { kind: 'all', conditions } : only
}

function registerOf({ register }: RuleDocument): Rule['register'] {
  if (register === undefined) return null
  return {
    purpose: register.purpose ?? null,
    basis: register.basis ?? null,
    categories: register.categories ?? [],
    source: register.source,
  }
}

function scheduleOf(
  document: RuleDocument,
  { defaults }: PolicyValues,
  faults: Fault[],
): Schedule | null {
  const cron = document.schedule ?? defaults?.schedule
  if (cron !== undefined && cron !== 'none') {
    const zone = document.schedule_timezone ?? defaults?.schedule_timezone
    return { cron, zone: zone ?? PROGRAM_DEFAULTS.scheduleZone }
  }
  if (document.schedule_timezone !== undefined) {
    const message = 'this zone has no schedule to belong to'
    const remedy = 'add schedule:, or remove this line'
    faults.push({ code: 'schedule_missing', message, remedy, path: ['schedule_timezone'] })
  }
  return null
}

/** A rule may be more careful than its policy, never less: the policy's limit is what was reviewed. */
function limitsOf(document: RuleDocument, { defaults }: PolicyValues, faults: Fault[]): Limits {
  const limit = (key: 'max_rows' | 'max_percent', otherwise: number): number => {
    const ceiling = defaults?.limits?.[key]
    const own = document.limits?.[key]
    if (own !== undefined && ceiling !== undefined && own > ceiling) {
      const message = `${key}: ${own} is looser than the ${ceiling} of the policy's defaults`
      const remedy = `write at most ${ceiling}, or raise the default`
      faults.push({ code: 'limit_loosened', message, remedy, path: ['limits', key] })
    }
    return own ?? ceiling ?? otherwise
  }
  return {
    maxRows: limit('max_rows', PROGRAM_DEFAULTS.limits.maxRows),
    maxPercent: limit('max_percent', PROGRAM_DEFAULTS.limits.maxPercent),
    trip: tripOf(document, defaults?.limits, faults),
  }
}

/** With `both` a run may pass one limit, so that it loosens what the defaults say of either. */
function tripOf(
  { limits }: RuleDocument,
  ceiling: RuleDocument['limits'],
  faults: Fault[],
): Limits['trip'] {
  const otherwise = ceiling?.trip ?? PROGRAM_DEFAULTS.limits.trip
  if (limits?.trip === 'both' && ceiling !== undefined && otherwise === 'either') {
    const message =
      "trip: both is looser than the limits of the policy's defaults, of which either trips"
    const remedy = 'remove it, or write it in the defaults'
    faults.push({ code: 'limit_loosened', message, remedy, path: ['limits', 'trip'] })
  }
  return limits?.trip ?? otherwise
}

function sentinelsOf(document: RuleDocument, policy: PolicyValues, faults: Fault[]): Sentinels {
  const sentinels = {
    open: document.sentinels?.open ?? policy.sentinels?.open ?? [],
    invalid: document.sentinels?.invalid ?? policy.sentinels?.invalid ?? [],
  }
  if (document.sentinels !== undefined) faults.push(...sentinelFaults(sentinels))
  return sentinels
}
