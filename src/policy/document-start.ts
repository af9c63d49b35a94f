/** How a policy says what a period counts from. */
import { z } from 'zod'
import { ConditionShape, readCondition } from './condition.ts'
import { Column, Table, TableColumn, Zone, mapping } from './document-parts.ts'
import { readEntries } from './entries.ts'
import { below, isMapping, quote, refuse, refuseKind } from './fault.ts'
import type { Read } from './fault.ts'
import { field } from './fields.ts'
import { readAnyColumn, readColumn, readTableColumn, type TableColumn as Place } from './name.ts'
import { TEXT_FORMATS, UNITS, type Hop, type Link } from './policy.ts'

const Filter = field(readCondition, ConditionShape)

const Names = z.record(z.string(), z.string()).meta({ minProperties: 1 })
const By = field(readBy, z.union([Names, z.array(Names).min(1)]))

/** How the values of a column tell a day, where its type does not say it. */
const reading = {
  timezone: Zone.optional().describe(
    'Zone of a column of local times; that of the rule by default.',
  ),
  unit: z
    .enum(UNITS)
    .optional()
    .describe('What an integer counts since 1970, or uuid7 for the time in a uuid.'),
  format: z.enum(TEXT_FORMATS).optional().describe('How a text column writes its days.'),
}

const way = {
  by: By.optional().describe(
    'Column of the related table: the column of the governed table that equals it; a list leads through tables in between.',
  ),
  via: Table.optional().describe('Table whose row both refer to; it is locked while deciding.'),
}

const open = Filter.optional().describe(
  'A related row like this is still open and keeps the record.',
)

const none = z
  .union(
    [
      z.enum(['report', 'error']),
      mapping({ use: Column.describe('Column to use instead.'), ...reading }),
    ],
    { error: () => 'expected report, error or { use: column }' },
  )
  .optional()
  .describe('What becomes of a record that nothing gives a start: report is the default.')

const ColumnStart = mapping({
  column: Column.describe('Column of the governed table that holds the period start.'),
  ...reading,
})

const Source = mapping({
  column: TableColumn.describe('The column of a related table that holds the event.'),
  ...way,
  open,
  ...reading,
})

const Latest = mapping({
  latest: z
    .union(
      [
        TableColumn,
        z
          .array(
            z.union([TableColumn, Source], {
              error: () => 'expected schema.table.column, or a mapping with the key column',
            }),
          )
          .min(1),
      ],
      { error: () => 'expected schema.table.column, or a list' },
    )
    .describe('The period starts at the latest of these over all related rows.'),
  ...way,
  open,
  none,
  ...reading,
})

/** Sources in a list may each have a way of their own; a single one has only this. */
const LatestStart = z.preprocess((raw, context) => {
  if (isMapping(raw) && typeof raw['latest'] === 'string' && raw['by'] === undefined) {
    const missing = { code: 'invalid_type', expected: 'record', input: undefined } as const
    context.issues.push({ ...missing, path: ['by'], continue: true })
  }
  return raw
}, Latest)

const AnyColumn = field(
  readAnyColumn,
  z
    .string()
    .min(1)
    .meta({ examples: ['last_login_at', 'crm.order.created_at'] }),
)

const Activity = mapping({
  column: AnyColumn.describe('A column of the governed table, or schema.table.column.'),
  ...way,
  ...reading,
})

const ActivityStart = mapping({
  last_activity: z
    .array(
      z.union([AnyColumn, Activity], {
        error: () => 'expected a column, or a mapping with the key column',
      }),
    )
    .min(1)
    .describe('The period starts at the latest of these; null is no activity.'),
  ...way,
  none,
})

export const StartDocument = z.union([Column, ColumnStart, LatestStart, ActivityStart], {
  error: () => 'expected a column, or a mapping with the key column, latest or last_activity',
})

export type StartDocument = z.output<typeof StartDocument>
export type WrittenSource = z.output<typeof Source>
export type WrittenActivity = z.output<typeof Activity>

/** The way from a related row to the governed one. */
export type Way = { readonly hops: readonly Hop[]; readonly by: readonly Link[] }

/** One mapping leads straight to the governed table; in a list each step but the last names a table. */
function readBy(raw: unknown): Read<Way> {
  if (!Array.isArray(raw)) {
    const by = readLinks(raw)
    return by.value === undefined ? by : { value: { hops: [], by: by.value } }
  }
  if (raw.length === 0) return refuse('empty_value', 'this list is empty', 'write a mapping')
  const hops = raw.slice(0, -1).map((step: unknown) => readHop(step))
  const last = readLinks(raw.at(-1))
  const faults = [...hops, last].flatMap((read, at) => below([at], read.faults ?? []))
  if (last.value === undefined || faults.length > 0) return { faults }
  return { value: { hops: hops.flatMap(({ value }) => value ?? []), by: last.value } }
}

function readLinks(raw: unknown): Read<readonly Link[]> {
  if (!isMapping(raw)) return refuseKind('a mapping of columns', raw)
  return readEntries(raw, readColumn, readColumn, (source, own) => ({ source, own }))
}

function readHop(raw: unknown): Read<Hop> {
  if (!isMapping(raw)) return refuseKind('a mapping of columns', raw)
  const read = readEntries(raw, readColumn, readTableColumn, (source, to) => ({ source, to }))
  if (read.value === undefined) return read
  const [table, other] = new Map(read.value.map(({ to }) => [spell(to), to.table])).values()
  if (table === undefined || other !== undefined) {
    const message = `one step leads to one table, not to ${quote(read.value.map(({ to }) => spell(to)).join(', '))}`
    return refuse('step_divided', message, 'write a step for each table')
  }
  const links = read.value.map(({ source, to }) => ({ source, own: to.column }))
  return { value: { table, links } }
}

function spell({ table }: Place): string {
  return `${table.schema}.${table.name}`
}
