/** What becomes of a record that is due: one action, or phases that count from the same start. */
import { z } from 'zod'
import { Masks } from './document-masks.ts'
import { mapping, repeated, Table } from './document-parts.ts'
import { readEntries } from './entries.ts'
import { isMapping, refuseKind } from './fault.ts'
import type { Read } from './fault.ts'
import { field } from './fields.ts'
import { readTable } from './name.ts'
import { PERIOD_PATTERN, readPeriod } from './period.ts'
import type { Along } from './policy.ts'

export const PeriodText = field(readPeriod, z.string().regex(PERIOD_PATTERN))

const anonymise = Masks.describe('Columns, and what is written into them.')

const block = mapping({
  archive: Table.describe('The table to which the row is moved, as schema.table.'),
  along: field(readAlong, z.record(z.string(), z.string()))
    .optional()
    .describe('Each table whose rows go along (with_parent), and the archive of its rows.'),
}).describe('Out of the reach of the application: moved to an archive that it cannot read.')

const PhaseDocument = mapping({
  after: PeriodText.describe('How long after the start; every phase counts from the same one.'),
  block: block.optional(),
  anonymise: anonymise.optional(),
  purge: z.literal(true).optional().describe('true: the record goes; nothing comes after that.'),
})

export type PhaseDocument = z.output<typeof PhaseDocument>

export const Then = z.union(
  [
    z.literal('purge'),
    mapping({ block: block.optional(), anonymise: anonymise.optional() }),
    z.array(PhaseDocument).min(1).describe('Phases, the earliest first.'),
  ],
  { error: () => 'expected purge, a mapping with the key anonymise or block, or a list of phases' },
)

function readAlong(raw: unknown): Read<readonly Along[]> {
  if (!isMapping(raw)) return refuseKind('a mapping of tables', raw)
  const read = readEntries(raw, readTable, readTable, (table, archive) => ({ table, archive }))
  if (read.value === undefined) return read
  const faults = repeated(Object.keys(raw), (key) => JSON.stringify(readTable(key).value))
  return faults.length > 0 ? { faults } : read
}
