/** The two ways to ask for a run: by a plan file that a person read, or under approvals given before. */
import { planAgain } from '../plan/again.ts'
import type { Approved } from '../plan/approval.ts'
import { makePlan } from '../plan/make.ts'
import type { Plan } from '../plan/plan.ts'
import { approvalsToRead } from './standing.ts'
import { enforcePlan, type RunRequest, type RunResult } from './run.ts'

export type EnforceRequest = Omit<RunRequest, 'plan' | 'approval'>

/** Carries out an approved plan file, after a census that says whether it still fits. */
export async function enforceFile(request: EnforceRequest, approved: Plan): Promise<RunResult> {
  const { db, set, catalog, rules } = request
  const now = { policyDigest: set.digest, catalog, rules, approved: await approvalsToRead(db) }
  const plan = await planAgain(db, now, approved)
  return enforcePlan({ ...request, plan, approval: approved.digest })
}

/** Carries out what is due now under the versions of rules that were approved before. */
export async function enforceNow(request: EnforceRequest, approved: Approved): Promise<RunResult> {
  const plan = await makePlan(request.db, {
    policyDigest: request.set.digest,
    catalog: request.catalog,
    rules: request.rules,
    stand: { kind: 'now' },
    approved,
  })
  return enforcePlan({ ...request, plan, approval: null })
}
