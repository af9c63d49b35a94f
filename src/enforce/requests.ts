/** The two ways to ask for a run: by a plan file that a person read, or under approvals given before. */
import type { Db } from '../db/connect.ts'
import { newestPolicyEntry } from '../journal/read.ts'
import { planAgain } from '../plan/again.ts'
import { makePlan } from '../plan/make.ts'
import type { Plan } from '../plan/plan.ts'
import type { PolicySet } from '../policy/policy.ts'
import { enforcePlan, type RunRequest, type RunResult } from './run.ts'

export type EnforceRequest = Omit<RunRequest, 'plan' | 'approval'>

/** Carries out an approved plan file, after a census that says whether it still fits. */
export async function enforceFile(request: EnforceRequest, approved: Plan): Promise<RunResult> {
  const { db, set, catalog, rules } = request
  const plan = await planAgain(db, { policyDigest: set.digest, catalog, rules }, approved)
  return enforcePlan({ ...request, plan, approval: approved.digest })
}

/** Carries out what is due now under the versions of rules that were approved before. */
export async function enforceNow(
  request: EnforceRequest,
  approved: ReadonlyMap<string, string>,
): Promise<RunResult> {
  const plan = await makePlan(request.db, {
    policyDigest: request.set.digest,
    catalog: request.catalog,
    rules: request.rules,
    stand: { kind: 'now' },
    approved,
  })
  return enforcePlan({ ...request, plan, approval: null })
}

/** The digest of the version in effect of each rule that ever took effect. */
export async function approvals(db: Db, set: PolicySet): Promise<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>()
  for (const { id } of set.rules) {
    const entry = await newestPolicyEntry(db, id)
    if (entry !== null) digests.set(id, entry.sha256)
  }
  return digests
}
