import { printName, printTable, sameTable, type TableName } from '../base/names.ts'
import { rowKey, type Catalog, type Table } from '../catalog/catalog.ts'
import { marksDeleted } from '../catalog/fit-soft-deleted.ts'
import { firedBy } from '../catalog/trigger.ts'
import { draftMasks, epochUnit, startCandidates, type DraftMask } from './guess-column.ts'

/** A first policy for a database that has none, to be read and changed by a person. */
export type Draft = {
  /** Id of the policy. */
  readonly policy: string
  readonly schemas: readonly string[]
  readonly rules: readonly DraftRule[]
  readonly exempt: readonly DraftExemption[]
}

export type DraftRule = {
  readonly id: string
  readonly table: Table
  /** A column that marks rows as deleted, unless the period starts there; null: there is none. */
  readonly softDeleted: string | null
  readonly start: DraftStart
  readonly keep: { readonly period: string; readonly why: string }
  /** Null: purge. */
  readonly masks: readonly DraftMask[] | null
  readonly references: readonly DraftReference[]
  /** As the policy names them. */
  readonly triggers: readonly string[]
}

export type DraftStart = {
  /** Null: a column of the row itself; otherwise how rows of that table are related. */
  readonly source: { readonly table: TableName; readonly by: ReadonlyMap<string, string> } | null
  readonly column: string
  /** Of a whole number that counts from 1970. */
  readonly unit: 'seconds' | 'milliseconds' | null
  /** Other columns that could be meant. */
  readonly others: readonly string[]
}

export type DraftReference = {
  readonly table: TableName
  readonly as: 'own_rule' | 'with_parent' | 'block'
}

export type DraftExemption = { readonly table: TableName; readonly why: string }

export type DraftRequest = {
  readonly catalog: Catalog
  /** The tables in scope. */
  readonly tables: readonly TableName[]
  /** Tables that cannot have a rule as things are, and why, by `schema.name`. */
  readonly unfit: ReadonlyMap<string, string>
}

type Start = DraftStart & { readonly table: Table }

/** Drafts a rule for every table of which something says when its rows began. Reads nothing. */
export function draftPolicy({ catalog, tables, unfit }: DraftRequest): Draft {
  const found = tables.flatMap((name) => catalog.tables.get(printTable(name)) ?? [])
  const fit = found.filter((table) => rowKey(table) !== undefined && !unfit.has(printTable(table)))
  const own = fit.flatMap((table): readonly Start[] => ownStart(table))
  const starts = new Map(
    [...own, ...relatedStarts(fit, own)].map((each) => [printTable(each.table), each]),
  )
  const ids = new Set<string>()
  const rules = fit.flatMap((table): readonly DraftRule[] => {
    const start = starts.get(printTable(table))
    if (start === undefined) return []
    return [draftRule(start, idFor(table, ids), { starts, unfit, catalog })]
  })
  const gone = new Set(
    rules.flatMap(({ references }) =>
      references.flatMap(({ table, as }) => (as === 'with_parent' ? [printTable(table)] : [])),
    ),
  )
  const exempt = found
    .filter((table) => !starts.has(printTable(table)) && !gone.has(printTable(table)))
    .map((table) => ({ table, why: unfit.get(printTable(table)) ?? whyNone(table) }))
  const policy = idOf(catalog.database.name)
  return { policy, schemas: [...new Set(tables.map(({ schema }) => schema))], rules, exempt }
}

function ownStart(table: Table): readonly Start[] {
  const [column, ...others] = startCandidates(table).map(({ name }) => name)
  if (column !== undefined) return [{ table, source: null, column, unit: null, others }]
  const counts = table.columns.flatMap((each) => {
    const unit = epochUnit(each)
    return unit === null ? [] : [{ column: each.name, unit }]
  })
  const [first, ...more] = counts
  return first === undefined
    ? []
    : [{ table, source: null, ...first, others: more.map((other) => other.column) }]
}

/** A person without a date of their own: the period starts at the last of what refers to them. */
function relatedStarts(fit: readonly Table[], own: readonly Start[]): readonly Start[] {
  const dated = new Map(own.map((start) => [printTable(start.table), start]))
  return fit.flatMap((table): readonly Start[] => {
    if (dated.has(printTable(table)) || !hasPersonal(table)) return []
    const [first, ...more] = table.inbound.flatMap((key) => {
      const start = dated.get(printTable(key.from))
      return start === undefined || start.unit !== null || !key.enforced ? [] : [{ key, start }]
    })
    if (first === undefined) return []
    const by = new Map(
      first.key.fromColumns.map((from, position) => [from, first.key.toColumns[position] ?? '']),
    )
    return [
      {
        table,
        source: { table: first.start.table, by },
        column: first.start.column,
        unit: null,
        others: more.map(({ start }) => `${printTable(start.table)}.${printName(start.column)}`),
      },
    ]
  })
}

function hasPersonal(table: Table): boolean {
  return draftMasks(table, new Set()).some(({ kind }) => kind !== 'keep')
}

type Known = Pick<DraftRequest, 'catalog' | 'unfit'> & {
  readonly starts: ReadonlyMap<string, Start>
}

function draftRule(start: Start, id: string, known: Known): DraftRule {
  const { table } = start
  const { starts } = known
  const referred = table.inbound.some(
    ({ from }) => starts.has(printTable(from)) && !sameTable(from, table),
  )
  // What others refer to stays, without the person in it; a row nobody needs goes.
  const masks =
    (referred || start.source !== null) && hasPersonal(table)
      ? draftMasks(table, new Set(start.source === null ? [start.column] : []))
      : null
  const { references, children } = draftReferences(table, known)
  return {
    id,
    table,
    softDeleted: softDeletedOf(start),
    start,
    keep: draftPeriod(table),
    masks: masks?.every(({ kind }) => kind === 'keep') === true ? null : masks,
    references,
    triggers: [
      ...firedBy(table, firing(masks)).map(({ name }) => printName(name)),
      ...children.flatMap((child) =>
        firedBy(child, { event: 'delete', columns: [] }).map(
          ({ name }) => `${printTable(child)}.${printName(name)}`,
        ),
      ),
    ],
  }
}

function softDeletedOf({ table, source, column }: Start): string | null {
  const marks = table.columns.filter((each) => marksDeleted(each)).map(({ name }) => name)
  return source === null && marks.includes(column) ? null : (marks[0] ?? null)
}

function firing(masks: readonly DraftMask[] | null) {
  return masks === null
    ? { event: 'delete' as const, columns: [] }
    : {
        event: 'update' as const,
        columns: masks.filter(({ kind }) => kind !== 'keep').map(({ column }) => column),
      }
}

/** Every table with a foreign key to the governed one, and to those that go along with it. */
function draftReferences(
  root: Table,
  { starts, unfit, catalog }: Known,
): { readonly references: readonly DraftReference[]; readonly children: readonly Table[] } {
  const references = new Map<string, DraftReference>()
  const going: Table[] = [root]
  for (const parent of going) {
    for (const { from } of parent.inbound) {
      const name = printTable(from)
      if (references.has(name)) continue
      const child = catalog.tables.get(name)
      const as = starts.has(name) ? 'own_rule' : mayGo(child, unfit) ? 'with_parent' : 'block'
      references.set(name, { table: from, as })
      if (as === 'with_parent' && child !== undefined) going.push(child)
    }
  }
  return { references: [...references.values()], children: going.slice(1) }
}

/** Rows that cannot be named, and parts of another table, cannot go along. */
function mayGo(child: Table | undefined, unfit: ReadonlyMap<string, string>): boolean {
  return (
    child !== undefined &&
    rowKey(child) !== undefined &&
    child.partitionOf === null &&
    !unfit.has(printTable(child))
  )
}

function whyNone(table: Table): string {
  return rowKey(table) === undefined
    ? 'it has no primary key, so no rule can name its rows'
    : 'no column of it says when a period could start'
}

const PERIODS: readonly (readonly [RegExp, string, string])[] = [
  [
    /(invoice|facture|payment|paiement|order|commande|billing|account|compta|expense|bank|contract|contrat)/i,
    '10 years',
    'accounts are often kept for 10 years',
  ],
  [
    /(log|session|visit|visite|connection|connexion|event|audit|token|login|request)/i,
    '12 months',
    'traces of use are often kept for a year',
  ],
  [/(ticket|support|message|conversation|case)/i, '5 years', 'a claim may come for some years'],
]

function draftPeriod({ name, schema }: TableName): DraftRule['keep'] {
  const found =
    PERIODS.find(([pattern]) => pattern.test(name)) ??
    PERIODS.find(([pattern]) => pattern.test(schema))
  return { period: found?.[1] ?? '5 years', why: found?.[2] ?? 'nothing in its name says more' }
}

/** The name of the table as an id, with the schema before it where that is taken. */
function idFor({ schema, name }: TableName, taken: Set<string>): string {
  const id = [name, `${schema}-${name}`].map(idOf).find((each) => !taken.has(each))
  const unique = id ?? idOf(`${name}-${taken.size}`)
  taken.add(unique)
  return unique
}

function idOf(name: string): string {
  const id = name
    .normalize('NFD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 60)
  return id === '' ? 'table' : id
}
