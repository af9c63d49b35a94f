/** Keys of a rule about what its table is: what inherits from it, and what fires when its rows change. */
import { z } from 'zod'
import { Column, mapping } from './document-parts.ts'
import { below, quote, refuse, refuseKind } from './fault.ts'
import type { Fault, Read } from './fault.ts'
import { field } from './fields.ts'
import { readTrigger } from './name.ts'
import { readWhereSql } from './read-sql.ts'

type Named = NonNullable<ReturnType<typeof readTrigger>['value']>

export const tableShapes = {
  where_sql: field(readWhereSql, z.string().min(1))
    .optional()
    .describe(
      'One SQL condition on columns of the row, for what a filter cannot say; see reviews.',
    ),
  soft_deleted: mapping({
    column: Column.describe('Boolean, date or timestamp; null means that the row is not deleted.'),
    rows: z
      .enum(['include', 'only', 'exclude'])
      .describe('include: deleted or not; only: those that are deleted; exclude: the others.'),
  })
    .optional()
    .describe('Which rows, where the application marks them as deleted instead of deleting them.'),
  inheritance: z
    .literal('only')
    .optional()
    .describe('only: the rows of the table itself, and not those of tables that inherit from it.'),
  triggers: mapping({
    acknowledge: field(readTriggers, z.array(z.string()).min(1)).describe(
      'Names of the triggers known to fire; schema.table.trigger for a table that goes along.',
    ),
  })
    .optional()
    .describe('Triggers that fire when the rule acts: none may be left out.'),
}

function readTriggers(raw: unknown): Read<readonly Named[]> {
  if (!Array.isArray(raw)) return refuseKind('a list of triggers', raw)
  if (raw.length === 0) return refuse('empty_value', 'this list is empty', 'name a trigger')
  const seen = new Set<string>()
  const values: Named[] = []
  const faults: Fault[] = []
  for (const [index, item] of raw.entries()) {
    const { value, faults: wrong } = readTrigger(item)
    faults.push(...below([index], wrong ?? []))
    if (value === undefined) continue
    const spelt = JSON.stringify([value.table?.schema, value.table?.name, value.name])
    if (seen.has(spelt)) {
      const message = `${quote(String(item))} stands here twice`
      faults.push({ code: 'duplicate_value', message, path: [index] })
    }
    seen.add(spelt)
    values.push(value)
  }
  return faults.length > 0 ? { faults } : { value: values }
}
