/** What a policy says for holds: tables that hold rows, and whom a record is about. */
import { z } from 'zod'
import { ConditionShape, readCondition } from './condition.ts'
import { mapping, Table } from './document-parts.ts'
import { below, isMapping, quote, refuse, refuseKind, type Fault, type Read } from './fault.ts'
import { field } from './fields.ts'
import { readColumn, readTable } from './name.ts'
import type { HoldCover, HoldLink } from './policy.ts'

/** A table of which each row holds the rows that it names. */
export const HoldSourceDocument = mapping({
  table: Table.describe('Table whose rows hold others, as a register of litigation.'),
  covers: field(
    readCovers,
    z
      .record(z.string(), z.union([z.string(), z.record(z.string(), z.string())]))
      .meta({ minProperties: 1 }),
  ).describe(
    'Each table held from: the column here that holds its key, or a mapping of columns here to its own.',
  ),
  while: field(readCondition, ConditionShape)
    .optional()
    .describe('Rows of the table that hold; every row by default, as long as it is there.'),
})

export const Subject = field(
  readSubject,
  z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
).describe('Column, or columns, that say whom the record is about; used by hold place --subject.')

function readSubject(raw: unknown): Read<readonly string[]> {
  if (!Array.isArray(raw)) {
    const column = readColumn(raw)
    return column.value === undefined ? column : { value: [column.value] }
  }
  if (raw.length === 0) return refuse('empty_value', 'this list is empty', 'name a column')
  const reads = raw.map((item: unknown) => readColumn(item))
  const faults = reads.flatMap((read, index) => below([index], read.faults ?? []))
  const columns = reads.flatMap((read) => read.value ?? [])
  const again = columns.findIndex((column, index) => columns.indexOf(column) !== index)
  if (again >= 0) {
    const message = `${quote(columns[again] ?? '')} stands here twice`
    faults.push({ code: 'duplicate_key', message, path: [again] })
  }
  return faults.length > 0 ? { faults } : { value: columns }
}

function readCovers(raw: unknown): Read<readonly HoldCover[]> {
  if (!isMapping(raw)) return refuseKind('a mapping of tables', raw)
  return readEach(raw, (key, value): Read<HoldCover> => {
    const table = readTable(key)
    if (table.value === undefined) return onKey(table)
    const links = readCoverLinks(value)
    return links.value === undefined ? links : { value: { table: table.value, links: links.value } }
  })
}

/** A column of the source that holds the key of the covered row, or columns beside its own ones. */
function readCoverLinks(raw: unknown): Read<readonly HoldLink[]> {
  if (!isMapping(raw)) {
    const column = readColumn(raw)
    return column.value === undefined ? column : { value: [{ source: column.value, own: null }] }
  }
  return readEach(raw, (key, value): Read<HoldLink> => {
    const source = readColumn(key)
    if (source.value === undefined) return onKey(source)
    const own = readColumn(value)
    return own.value === undefined ? own : { value: { source: source.value, own: own.value } }
  })
}

function onKey({ faults = [] }: Read<unknown>): Read<never> {
  return { faults: faults.map((fault): Fault => ({ ...fault, on: 'key' })) }
}

/** Reads a mapping entry by entry; at least one. */
function readEach<T>(
  raw: Readonly<Record<string, unknown>>,
  readEntry: (key: string, value: unknown) => Read<T>,
): Read<readonly T[]> {
  const entries = Object.entries(raw).map(([key, value]) => ({ key, read: readEntry(key, value) }))
  const faults = entries.flatMap(({ key, read }) => below([key], read.faults ?? []))
  if (faults.length > 0) return { faults }
  if (entries.length === 0) return refuse('empty_value', 'this mapping is empty')
  return { value: entries.flatMap(({ read }) => (read.value === undefined ? [] : [read.value])) }
}
