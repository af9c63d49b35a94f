/** The rights that the rules need on governed tables, and why: checked when a rule is fitted, printed by `grants`. */
import { printTable, sameTable } from '../base/names.ts'
import { columnsRead, takesAway } from '../policy/policy.ts'
import type { Column, ForeignKey, Table } from './catalog.ts'
import { levelsOf, sourcesOf, type Level } from './chain.ts'
import { everyAbove, readColumns } from './fit-holds.ts'
import type { Cover, FittedRule, FittedSource, Held, Referral } from './fitted.ts'
import { sourcesToKeepWhole } from './partitions.ts'

export type Need = {
  readonly table: Table
  readonly right: 'select' | 'insert' | 'update' | 'delete'
  /** Empty: the right on the whole table. */
  readonly columns: readonly string[]
  readonly why: string
}

/** Everything a fitted rule needs, with repetitions; `actsOnly` leaves out what only acting needs. */
export function needsOf(fitted: FittedRule, acting: boolean): readonly Need[] {
  const all = [
    ...governedNeeds(fitted),
    ...startNeeds(fitted),
    ...fitted.held.flatMap(holdNeeds),
    ...fitted.holding.flatMap(({ covered, source }) => [
      select(
        covered,
        source.links.map(({ own }) => own.name),
        'to see whether what a hold source holds is there',
      ),
      ...sourceNeeds(source),
    ]),
    ...toClose(fitted).map((table) => close(table)),
    ...sourcesToKeepWhole(fitted.start).map((table) => keepWhole(table)),
    ...referenceNeeds(fitted),
    ...archiveNeeds(fitted),
  ]
  return acting ? all : all.filter((need) => need.right === 'select')
}

/** To move rows, and to see which of them would not be moved now. */
function archiveNeeds({ archive }: FittedRule): readonly Need[] {
  if (archive === null) return []
  const { moves, started } = archive
  return [
    ...moves.flatMap(({ from, to }): readonly Need[] => [
      select(from, names(from.columns), 'to move whole rows to the archive'),
      select(to, names(to.columns), 'to see that what was moved is there as it was'),
      { table: to, right: 'insert', columns: names(to.columns), why: 'to move rows here' },
    ]),
    ...startNeeds(started).filter(({ right }) => right === 'select'),
  ]
}

/** What is deleted from may be closed as well. */
function toClose({ closed, children }: FittedRule): readonly Table[] {
  return closed.filter((table) => !children.some((child) => child.table === table))
}

function referenceNeeds(fitted: FittedRule): readonly Need[] {
  const { blockers, children, declared, detached } = fitted
  return [
    ...declared.map(({ key, table }) =>
      select(table, linkColumns(key), 'to count the rows that refer to those of the rule'),
    ),
    ...blockers.map(({ key, table }) =>
      select(table, linkColumns(key), 'to see whether a row still refers to one that is due'),
    ),
    ...children.flatMap(({ table, key, foreignKeys }) => [
      select(
        table,
        [
          ...names(key),
          ...foreignKeys.flatMap(linkColumns),
          ...table.inbound.flatMap((each) => each.toColumns),
        ],
        'to count the rows that go along',
      ),
      lock(table, key, 'to lock the rows that go along'),
      { table, right: 'delete', columns: [], why: 'to purge the rows that go along' } as const,
    ]),
    ...detached.flatMap(({ table, key, foreignKeys }): readonly Need[] => [
      select(
        table,
        [...names(key), ...foreignKeys.flatMap(linkColumns)],
        'to find the rows that lose their link to one that goes',
      ),
      {
        table,
        right: 'update',
        columns: foreignKeys.flatMap(({ fromColumns }) => fromColumns),
        why: 'to set their link to one that goes to null',
      },
    ]),
  ]
}

function linkColumns({ fromColumns, filter }: Referral): readonly string[] {
  return [...fromColumns, ...columnsRead(filter?.condition ?? null)]
}

/**
 * What is granted: the needs, and what makes a run fast. A sweep goes by the place of rows in the
 * heap, and names each partition of a governed table by itself: a partition gets whatever the whole
 * gets, from other rules too. Without these rights a run goes by the key.
 */
export function grantsOf(
  rules: readonly FittedRule[],
  acts: (fitted: FittedRule) => boolean,
): readonly Need[] {
  const needs = rules.flatMap((fitted) => {
    const places = select(fitted.table, ['ctid'], 'to go through the table as it lies on disk')
    const writers = select(fitted.table, ['xmin'], 'to know again the rows that a run has written')
    const anonymises = fitted.rule.action.kind === 'anonymise'
    const fast = anonymises ? [places, writers] : [places]
    return [...needsOf(fitted, acts(fitted)), ...(acts(fitted) ? fast : [])]
  })
  const governed = new Set(rules.map(({ table }) => printTable(table)))
  return [
    ...needs,
    ...needs
      .filter(({ table }) => governed.has(printTable(table)))
      .flatMap((need) =>
        need.table.leaves.map(({ schema, name }): Need => {
          const why = `${need.why} (as a partition; new ones need the same)`
          return { ...need, table: { ...need.table, schema, name }, why }
        }),
      ),
  ]
}

/** What tells whether a row, or one that it refers to, is held. */
function holdNeeds(held: Held): readonly Need[] {
  const covers: readonly Cover[] = [held, ...everyAbove(held.above)]
  const above = everyAbove(held.above)
  return [
    ...covers.flatMap((cover) => [
      select(
        cover.table,
        [...names(cover.key), ...readColumns(cover)],
        'to see whether a hold covers a row',
      ),
      ...cover.sources.flatMap((source) => sourceNeeds(source)),
    ]),
    ...[held, ...above].flatMap(({ table, above: next }) =>
      next.flatMap(({ foreignKey, repeats }) =>
        [foreignKey, ...repeats].map(({ fromColumns }) =>
          select(table, fromColumns, 'to find the rows above, which a hold may be on'),
        ),
      ),
    ),
    ...above.flatMap(({ table, foreignKey, repeats, key, moves }) => [
      ...[foreignKey, ...repeats].map(({ toColumns }) =>
        select(table, toColumns, 'to find the rows above, which a hold may be on'),
      ),
      ...(repeats.length > 0
        ? [select(table, names(key), 'to follow the rows above to the end')]
        : []),
      ...(moves ? [lock(table, key, 'to lock a row on which a hold may come or go')] : []),
    ]),
  ]
}

function sourceNeeds({
  table,
  links,
  while: condition,
}: Cover['sources'][number]): readonly Need[] {
  const columns = [...links.map(({ source }) => source.name), ...columnsRead(condition)]
  return [select(table, columns, 'to see which rows it holds')]
}

/** What whoever places a hold must see: whether the row, or the subject, is there. */
export function keeperNeeds(fitted: FittedRule): readonly Need[] {
  return fitted.held.map(({ table, key, subjects }) =>
    select(table, [...names(key), ...subjects], 'to see whether what is held is there'),
  )
}

function governedNeeds(fitted: FittedRule): readonly Need[] {
  const { rule, table, key, masks, start } = fitted
  const own =
    start.kind === 'column'
      ? [start.moment.column]
      : [
          ...start.sources.flatMap(({ links }) => names(links.map((link) => link.own))),
          ...start.own.map((moment) => moment.column),
        ]
  const fallback = start.kind === 'event' && start.none !== null ? [start.none.column] : []
  const referenced = [
    ...table.inbound.flatMap((each: ForeignKey) => each.toColumns),
    ...fitted.declared.flatMap(({ key: { to, toColumns } }) =>
      sameTable(to, table) ? toColumns : [],
    ),
    ...fitted.together.flatMap(linkColumns),
  ]
  const read = [
    ...names(key),
    ...own,
    ...fallback,
    ...columnsRead(rule.where),
    ...referenced,
    ...masks.map((mask) => mask.column.name),
  ]
  const act: Need = takesAway(rule)
    ? { table, right: 'delete', columns: [], why: `to ${rule.action.kind} what is due` }
    : {
        table,
        right: 'update',
        columns: masks.map((mask) => mask.column.name),
        why: 'to anonymise what is due',
      }
  return [
    select(table, read, 'to find what is due'),
    lock(
      table,
      key,
      'to lock the rows of a batch (select … for update needs the right to update one column)',
    ),
    act,
  ]
}

function startNeeds({ start }: Pick<FittedRule, 'start'>): readonly Need[] {
  return sourcesOf(start).flatMap((source) => [
    select(
      source.table,
      [source.moment.column, ...columnsRead(source.open)],
      'to read when the period starts',
    ),
    ...levelsOf(source).flatMap((level, at) => levelNeeds(source, level, at)),
    ...parentNeeds(source),
  ])
}

function levelNeeds(source: FittedSource, { table, links, closed }: Level, at: number) {
  const linked = links.map((link) => link.source)
  const below = source.hops[at - 1]?.links.map((link) => link.own) ?? []
  const read = select(table, names([...linked, ...below]), 'to find the related rows')
  const why =
    at === 0
      ? 'to lock the rows that decide (select … for share needs the right to update one column)'
      : 'to lock the rows between those that decide and the record'
  return [read, closed ? close(table) : lock(table, linked, why)]
}

function parentNeeds({ guard }: FittedSource): readonly Need[] {
  if (guard.kind !== 'common parent') return []
  const { table, pairs } = guard
  const parents = pairs.map((pair) => pair.parent)
  return [
    select(table, names(parents), 'to find the common parent'),
    lock(table, parents, 'to lock the common parent, which keeps new related rows away'),
  ]
}

function select(table: Table, columns: readonly string[], why: string): Need {
  return { table, right: 'select', columns: [...new Set(columns)], why }
}

function close(table: Table): Need {
  return {
    table,
    right: 'update',
    columns: [],
    why: 'to close the table to writers for the length of a batch: no foreign key keeps new related rows away',
  }
}

function keepWhole(table: Table): Need {
  return {
    table,
    right: 'update',
    columns: [],
    why: 'to keep partitions from being attached for the length of a batch: they may bring related rows',
  }
}

function lock(table: Table, columns: readonly Pick<Column, 'name'>[], why: string): Need {
  return { table, right: 'update', columns: columns.slice(0, 1).map((column) => column.name), why }
}

function names(columns: readonly { readonly name: string }[]): readonly string[] {
  return columns.map((column) => column.name)
}

/** True if our role already has what is needed. */
export function isMet({ table, right, columns }: Need): boolean {
  const { privileges } = table
  if (!privileges.schemaUsage) return false
  if (right === 'delete') return privileges.delete
  if (columns.length === 0) return privileges.lockShare
  const granted = privileges[right]
  // A lock is content with any column; a select and a mask need each of theirs.
  return columns.every((column) => granted.includes(column))
}

/** Merges needs into one grant for each table and right, in the order of the tables' names. */
export function renderGrants(needs: readonly Need[], role: string): string {
  const tables = new Map(needs.map(({ table }) => [printTable(table), table]))
  const schemas = new Set([...tables.values()].map((table) => table.schema))
  const lines = [...schemas]
    .toSorted()
    .map((schema) => `grant usage on schema ${quoted(schema)} to ${quoted(role)};`)
  for (const [name] of [...tables].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    lines.push('', `-- ${name}`)
    for (const right of ['select', 'insert', 'update', 'delete'] as const) {
      lines.push(
        ...grantLines(
          needs.filter((need) => printTable(need.table) === name && need.right === right),
          role,
        ),
      )
    }
  }
  return `${lines.join('\n')}\n`
}

function grantLines(needs: readonly Need[], role: string): readonly string[] {
  const [first] = needs
  if (first === undefined) return []
  const { table, right } = first
  const whole = needs.some((need) => need.columns.length === 0)
  const columns = [...new Set(needs.flatMap((need) => need.columns))].toSorted()
  const on = `${quoted(table.schema)}.${quoted(table.name)}`
  const list = whole ? '' : ` (${columns.map((column) => quoted(column)).join(', ')})`
  const reasons = [...new Set(needs.map((need) => need.why))]
  return [
    ...reasons.map((why) => `--   ${right}: ${why}`),
    `grant ${right}${list} on ${on} to ${quoted(role)};`,
  ]
}

/** The grant that is missing, as one statement for an error's remedy. */
export function grantFor(need: Need, role: string): string {
  const { table, right, columns } = need
  const list =
    columns.length === 0 ? '' : ` (${columns.map((column) => quoted(column)).join(', ')})`
  const grant = `grant ${right}${list} on ${quoted(table.schema)}.${quoted(table.name)} to ${quoted(role)};`
  return table.privileges.schemaUsage
    ? grant
    : `grant usage on schema ${quoted(table.schema)} to ${quoted(role)}; ${grant}`
}

/** Quotes a name for text that a person will paste into psql; statements of ours use `sql.id`. */
export function quoted(name: string): string {
  const plain = /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name)
  return plain ? name : `"${name.replaceAll('"', '""')}"`
}

/** The words of SQL that PostgreSQL takes for no column, schema or role unless they are quoted. */
const RESERVED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check
  collate collation column concurrently constraint create cross current_catalog current_date
  current_role current_schema current_time current_timestamp current_user default deferrable desc
  distinct do else end except false fetch for foreign freeze from full grant group having ilike in
  initially inner intersect into is isnull join lateral leading left like limit localtime
  localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
  references returning right select session_user similar some symmetric system_user table
  tablesample then to trailing true union unique user using variadic verbose when where window
  with`.split(/\s+/),
)
