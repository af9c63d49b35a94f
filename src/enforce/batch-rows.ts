/** How many rows go in one batch. */
import { SMALL_BATCH } from '../policy/policy.ts'
import type { BatchOrder } from './batch.ts'
import { canFold } from './fold.ts'

/** Rows of the first batch of a rule, and of the largest that it may grow to. */
export type BatchRows = { readonly first: number; readonly most: number }

/**
 * What surrounds the statement of a batch costs as much as some thousand rows, and one statement keeps
 * its locks for a moment only: such batches grow as long as they are fast. The others ask row by row.
 */
const LARGE_BATCH = 50_000

/** With a proof of each row their keys pass through this process, which has little memory. */
const PROVEN_BATCH = 10_000

/** As many as the policy says; else as suits the way in which the rule acts. */
export function batchRowsOf({
  fitted,
  evidence,
}: Pick<BatchOrder, 'fitted' | 'evidence'>): BatchRows {
  const told = fitted.rule.batchRows
  if (told !== null) return { first: told, most: told }
  const large = evidence === null ? LARGE_BATCH : PROVEN_BATCH
  return { first: SMALL_BATCH, most: canFold(fitted) ? large : SMALL_BATCH }
}
