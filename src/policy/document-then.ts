/** What becomes of a record that is due: one action, or phases that count from the same start. */
import { z } from 'zod'
import { Masks } from './document-masks.ts'
import { mapping } from './document-parts.ts'
import { field } from './fields.ts'
import { PERIOD_PATTERN, readPeriod } from './period.ts'

export const PeriodText = field(readPeriod, z.string().regex(PERIOD_PATTERN))

const anonymise = Masks.describe('Columns, and what is written into them.')

const PhaseDocument = mapping({
  after: PeriodText.describe('How long after the start; every phase counts from the same one.'),
  anonymise: anonymise.optional(),
  purge: z.literal(true).optional().describe('true: the record goes; nothing comes after that.'),
})

export type PhaseDocument = z.output<typeof PhaseDocument>

export const Then = z.union(
  [
    z.literal('purge'),
    mapping({ anonymise }),
    z.array(PhaseDocument).min(1).describe('Phases, the earliest first.'),
  ],
  { error: () => 'expected purge, a mapping with the key anonymise, or a list of phases' },
)
