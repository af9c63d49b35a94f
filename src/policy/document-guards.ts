/** What a policy says so that a slip destroys little: the database it is for, limits, floors of tables. */
import { z } from 'zod'
import { Table, Text, mapping } from './document-parts.ts'
import { quote, refuse, refuseKind, type Read } from './fault.ts'
import { field } from './fields.ts'
import { PERIOD_PATTERN, readPeriod } from './period.ts'

export const LimitsDocument = mapping({
  max_rows: z
    .int()
    .min(1)
    .optional()
    .describe('Most rows a run of the rule may touch, children counted; else it is refused whole.'),
  max_percent: z
    .number()
    .gt(0)
    .lte(100)
    .optional()
    .describe('Most per cent of the table that a run of the rule may touch.'),
  trip: z
    .enum(['either', 'both'])
    .optional()
    .describe('either, the default: one limit that is passed refuses; both: only both together.'),
})

/** The one database that the rules of a file are for. */
export const DatabaseDocument = mapping({
  name: Text.describe('Name of the database.'),
  system_identifier: field(readSystemIdentifier, z.string().regex(/^\d{1,20}$/))
    .optional()
    .describe('Of the cluster, as plans show it, in quotes; tells two of one name apart.'),
})

/** What a table must never come below, whatever any rule says. */
export const FloorDocument = mapping({
  table: Table.describe('A table on which a rule of the folder acts.'),
  keep_at_least: z
    .int()
    .min(1)
    .optional()
    .describe('Rows that must be left; a rule that would leave fewer is refused whole.'),
  minimum_age: field(readPeriod, z.string().regex(PERIOD_PATTERN))
    .optional()
    .describe('The shortest period that a rule on the table may have.'),
})

function readSystemIdentifier(raw: unknown): Read<string> {
  if (typeof raw === 'string' && /^\d{1,20}$/.test(raw)) return { value: raw }
  if (typeof raw === 'string') {
    const message = `${quote(raw)} is not the identifier of a cluster`
    return refuse('identifier_invalid', message, 'copy system_identifier out of a plan')
  }
  // As a number its last digits would be lost.
  if (typeof raw === 'number') {
    const message = 'a system identifier has more digits than a number can hold'
    return refuse('wrong_kind', message, 'put it in quotes')
  }
  return refuseKind('a system identifier as text', raw)
}
