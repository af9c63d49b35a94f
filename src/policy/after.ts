/** What is done to the tables that a run touched. Part of no rule's digest: it decides about no row. */
import { z } from 'zod'
import { mapping } from './document-parts.ts'

export type After = {
  /** Statistics are made again: until then they hold values of rows that are gone. */
  readonly analyze: boolean
  /** Dead rows are removed from the heap and its indexes, without waiting for autovacuum. */
  readonly vacuum: boolean
}

export const PROGRAM_AFTER: After = { analyze: true, vacuum: false }

/** The key `after` as people write it. */
export const AfterDocument = mapping({
  analyze: z
    .boolean()
    .optional()
    .describe('Make the statistics of the tables that were touched again; true by default.'),
  vacuum: z
    .boolean()
    .optional()
    .describe('Remove their dead rows at once; false, the default, leaves them to autovacuum.'),
})

export type AfterDocument = z.output<typeof AfterDocument>

/** Merges what a rule says of it with its policy and the program, key by key. */
export function resolveAfter(
  own: AfterDocument | undefined,
  defaults: AfterDocument | undefined,
): After {
  const merged = { ...defaults, ...own }
  return {
    analyze: merged.analyze ?? PROGRAM_AFTER.analyze,
    vacuum: merged.vacuum ?? PROGRAM_AFTER.vacuum,
  }
}
