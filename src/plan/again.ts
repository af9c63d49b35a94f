import type { Kysely } from 'kysely'
import { makePlan, readInstant, type PlanRequest } from './make.ts'
import type { Plan } from './plan.ts'
import { approvedPart, refuseStale } from './stale.ts'

/** The approved plan's rules as things are now, at its cutoff; refuses what does not fit any more. */
export async function planAgain<DB>(
  db: Kysely<DB>,
  request: Pick<PlanRequest, 'policyDigest' | 'catalog' | 'rules' | 'approved'>,
  approved: Plan,
): Promise<Plan> {
  const found = await makePlan(db, {
    ...request,
    stand: { kind: 'instant', at: approved.createdAt },
  })
  refuseStale(approved, { at: await readInstant(db), plan: found })
  return approvedPart(approved, found)
}
