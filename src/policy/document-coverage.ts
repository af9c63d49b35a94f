import { z } from 'zod'
import { Column, Day, Table, Text, mapping } from './document-parts.ts'
import { field } from './fields.ts'
import { readSchema } from './name.ts'

const Exemption = mapping({
  table: Table.describe('The table that needs no rule.'),
  column: Column.optional().describe(
    'Only this column, of a table that is anonymised: it stays as it is.',
  ),
  why: Text.describe('Why nothing has to be done about it.'),
  review: Day.describe('The day by which somebody has to look at the reason again.'),
})

/** Which tables have to have a rule, and which of them need none. */
export const CoverageDocument = mapping({
  schemas: z
    .array(field(readSchema, z.string().min(1)))
    .min(1)
    .describe('Every table of these schemas needs a rule, a reference or an exemption.'),
  exempt: z.array(Exemption).optional().describe('Tables and columns that need no rule, for now.'),
})
