/** What a rule says of rows that refer to its own. */
import { z } from 'zod'
import { ConditionShape, readCondition } from './condition.ts'
import { mapping, repeated, Table } from './document-parts.ts'
import { readEntries } from './entries.ts'
import { isMapping, quote, refuse, refuseKind, type Read } from './fault.ts'
import { field } from './fields.ts'
import { readColumn, readTable } from './name.ts'
import { REFERENCE_KINDS, type Link, type Reference, type ReferenceKind } from './policy.ts'

const Kind = z.enum(REFERENCE_KINDS)

export const References = field(readReferences, z.record(z.string(), Kind)).describe(
  'Each table with a foreign key to this one: with_parent goes along, detach is set to null, block and own_rule keep the row.',
)

const Link = mapping({
  table: Table.describe('Table whose rows refer to others without a foreign key.'),
  by: field(readBy, z.record(z.string(), z.string()).meta({ minProperties: 1 })).describe(
    'Column of that table: the column of the table referred to that equals it.',
  ),
  to: Table.optional().describe(
    'Table referred to: one that goes along; the governed table by default.',
  ),
  where: field(readCondition, ConditionShape)
    .optional()
    .describe('Rows of that table in which the columns are this link; every row by default.'),
  as: field(readKind, Kind).describe('What becomes of those rows, as under references.'),
})

export const Logical = z
  .array(Link)
  .min(1)
  .describe('Links without a foreign key; the table is closed to writers during a batch.')

function readReferences(raw: unknown): Read<readonly Reference[]> {
  if (!isMapping(raw)) return refuseKind('a mapping of tables', raw)
  const read = readEntries(raw, readTable, readKind, (table, as) => ({ table, as }))
  if (read.value === undefined) return read
  const faults = repeated(Object.keys(raw), (key) => JSON.stringify(readTable(key).value))
  return faults.length > 0 ? { faults } : read
}

function readKind(raw: unknown): Read<ReferenceKind> {
  const kind = REFERENCE_KINDS.find((each) => each === raw)
  if (kind !== undefined) return { value: kind }
  if (typeof raw !== 'string') return refuseKind('own_rule, with_parent, block or detach', raw)
  const message = `${quote(raw)} is none of own_rule, with_parent, block and detach`
  return refuse(
    'unknown_value',
    message,
    'with_parent rows go along; own_rule rows go first; block keeps the parent; detach sets the link to null',
  )
}

function readBy(raw: unknown): Read<readonly Link[]> {
  if (!isMapping(raw)) return refuseKind('a mapping of columns', raw)
  return readEntries(raw, readColumn, readColumn, (source, own) => ({ source, own }))
}
