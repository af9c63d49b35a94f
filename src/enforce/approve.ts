/**
 * A version of a rule takes effect when its digest stands in the journal. Before that the rule
 * plans and never acts: nobody has seen what it would do.
 */
import type { Clock } from '../base/clock.ts'
import { printTable } from '../base/names.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import { inTransaction } from '../db/transaction.ts'
import type { EntryDraft, PolicyReference } from '../journal/entry.ts'
import { newestPolicyEntry } from '../journal/read.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry } from '../journal/store.ts'
import { planAgain } from '../plan/again.ts'
import type { Plan } from '../plan/plan.ts'
import type { PolicySet } from '../policy/policy.ts'

export type Approval = {
  readonly db: Db
  readonly set: PolicySet
  readonly catalog: Catalog
  readonly rules: readonly FittedRule[]
  readonly signer: Signer
  readonly clock: Clock
}

/**
 * Approves every rule that the plan would carry out in this version, without acting, and returns
 * the ids of those that were not approved before. The plan must still fit, as for a run.
 */
export async function approvePlan(request: Approval, approved: Plan): Promise<readonly string[]> {
  const { db, set, catalog, rules } = request
  const now = await planAgain(db, { policyDigest: set.digest, catalog, rules }, approved)
  const taken: string[] = []
  for (const planned of now.rules) {
    const fitted = rules.find(({ rule }) => rule.id === planned.rule)
    if (fitted === undefined || planned.mode !== 'enforce' || planned.refusal !== null) continue
    if (await isInEffect(request, fitted)) continue
    await putInEffect(request, fitted)
    taken.push(planned.rule)
  }
  return taken
}

async function isInEffect({ db }: Pick<Approval, 'db'>, { rule }: FittedRule): Promise<boolean> {
  return (await newestPolicyEntry(db, rule.id))?.sha256 === rule.digest
}

/** Journals the version of the rule as approved from now on. */
export async function putInEffect(
  { db, set, signer, clock }: Pick<Approval, 'db' | 'set' | 'signer' | 'clock'>,
  fitted: FittedRule,
): Promise<PolicyReference> {
  const { id, digest } = fitted.rule
  const { seq } = await inTransaction(db, async (trx) =>
    appendEntry(trx, signer, policyDraft(fitted, set.digest), clock),
  )
  return { rule: id, sha256: digest, seq }
}

function policyDraft({ rule, masks }: FittedRule, setDigest: string): EntryDraft {
  return {
    type: 'policy',
    rule: rule.id,
    sha256: rule.digest,
    set: setDigest,
    target: printTable(rule.table),
    count: rule.keep.count,
    unit: rule.keep.unit,
    action: rule.action.kind,
    // What is written is a literal of the policy, and stays there.
    masks: masks.map(({ column, written }) => `${column.name}:${written.kind}`),
  }
}
