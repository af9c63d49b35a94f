/** Trials of the rules of a plan, and of policies that are checked against a database. */
import { sql, type Kysely } from 'kysely'
import { printTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { inSnapshot } from '../db/transaction.ts'
import { readBoundary } from './boundary.ts'
import { namingFilter } from './filter-fails.ts'
import { readInstant } from './make.ts'
import { planDigest, type Plan, type PlannedRule } from './plan.ts'
import type { Prepared } from './prepare.ts'
import { tryRule, type Trial } from './trial.ts'

/**
 * The plan, with what trials of its anonymisations found: a refusal if no row goes through, a remark
 * if some do not, since a run spares those and goes on. A plan as of another day is not tried.
 */
export async function withTrials<DB>(
  db: Kysely<DB>,
  { catalog, rules }: Pick<Prepared, 'catalog' | 'rules'>,
  plan: Plan,
): Promise<Plan> {
  if (plan.asOf !== null || catalog.database.inRecovery) return plan
  const tried: PlannedRule[] = []
  for (const planned of plan.rules) {
    const fitted = rules.find(({ rule }) => rule.id === planned.rule)
    const idle = fitted === undefined || planned.refusal !== null || planned.counts.due === 0
    tried.push(idle ? planned : withTrial(planned, await tryAt(db, fitted, plan.createdAt)))
  }
  const { digest: _digest, ...rest } = { ...plan, rules: tried }
  return { ...rest, digest: planDigest(rest) }
}

/** What trials find wrong with the rules; nothing where our schema is not there yet. */
export async function trialProblems<DB>(
  db: Kysely<DB>,
  { catalog, rules }: Pick<Prepared, 'catalog' | 'rules'>,
): Promise<readonly Problem[]> {
  if (catalog.database.inRecovery || !(await isMigrated(db))) return []
  const at = await readInstant(db)
  const problems: Problem[] = []
  for (const fitted of rules) {
    const trial = await tryAt(db, fitted, at)
    if (trial.kind === 'not tried' || trial.refused < trial.rows) continue
    const fault = {
      code: 'trial_failed',
      message: failed(trial),
      remedy: remedyFor(trial),
    }
    const { detached } = trial
    const path = detached === null ? ['then', 'anonymise'] : ['references', printTable(detached)]
    problems.push(fitted.rule.source.problem(path, fault))
  }
  return problems
}

async function tryAt<DB>(db: Kysely<DB>, fitted: FittedRule, at: string): Promise<Trial> {
  if (fitted.masks.length + fitted.detached.length === 0) return { kind: 'not tried' }
  const boundary = await inSnapshot(db, async (trx) =>
    readBoundary(trx, fitted, { kind: 'instant', at }),
  )
  return namingFilter(fitted, async () => tryRule(db, fitted, boundary))
}

export async function isMigrated<DB>(db: Kysely<DB>): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select to_regclass('retentiond.anonymised') is not null as found`.execute(db)
  return rows[0]?.found === true
}

function withTrial(planned: PlannedRule, trial: Trial): PlannedRule {
  if (trial.kind === 'not tried' || trial.refused === 0) return planned
  if (trial.refused === trial.rows) {
    return { ...planned, refusal: { code: 'trial_failed', message: failed(trial) } }
  }
  const remark = {
    code: 'trial_spares',
    message: `${trial.refused} of ${trial.rows} rows that were tried would be spared: ${trial.why}`,
    remedy: 'correct those rows, or the mask; a run goes on without them and exits 4',
  }
  return { ...planned, remarks: [...planned.remarks, remark] }
}

function failed({ detached, rows, why }: Extract<Trial, { kind: 'tried' }>): string {
  const some = `${rows} ${rows === 1 ? 'row' : 'rows'}`
  return detached === null
    ? `the masks were tried on ${some} and taken back: ${why}`
    : `${some} of ${printTable(detached)} were detached and attached again, to try it: ${why}`
}

function remedyFor({ detached }: Extract<Trial, { kind: 'tried' }>): string {
  return detached === null
    ? 'change the mask that writes it, or what refuses it'
    : 'write block or with_parent for it, or change what refuses it'
}
