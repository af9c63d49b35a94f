/** What a person should know of a rule's tables before approving it. A remark stops nothing. */
import { printTable, sameTable, type TableName } from '../base/names.ts'
import { columnOf, type Table } from '../catalog/catalog.ts'
import { levelsOf, sourcesOf } from '../catalog/chain.ts'
import type { FittedRule, FittedStart } from '../catalog/fitted.ts'
import type { Storage } from '../catalog/inspect-storage.ts'
import { quoted } from '../catalog/needs.ts'
import type { Archived } from './archived.ts'
import type { Remark } from './plan.ts'
import { sqlOf } from './where-sql.ts'
import { takesAway } from '../policy/policy.ts'

/** A guess: less than this is read in a few hundredths of a second, with an index or without. */
const WORTH_AN_INDEX = 8 * 1024 * 1024

type Stored = ReadonlyMap<string, Storage>

/** The remarks on a rule; `stored` knows every table that the rule reaches. */
export function remarksOn(fitted: FittedRule, stored: Stored): readonly Remark[] {
  return [
    ...filteredBySql(fitted),
    ...nullableStart(fitted),
    ...startUnindexed(fitted, stored),
    ...linksUnindexed(fitted.start, stored),
    ...foreignKeysUnindexed(fitted, stored),
    ...unlogged(fitted, stored),
  ]
}

/** A filter that no check of ours understands: somebody has to read it. */
function filteredBySql({ rule }: FittedRule): readonly Remark[] {
  const condition = sqlOf(rule.where)
  if (condition === null) return []
  return [
    {
      code: 'filtered_by_sql',
      message: `SQL of the policy says which rows are meant: ${condition.text}`,
      remedy: 'read it in review, and hold the count of rows outside of the class against it',
    },
  ]
}

/** Days in text are read row by row: no index would help. */
function startUnindexed({ start, table }: FittedRule, stored: Stored): readonly Remark[] {
  if (start.kind !== 'column' || start.moment.frame.kind === 'text') return []
  return unindexed(stored, {
    code: 'start_not_indexed',
    table,
    columns: [start.moment.column],
    why: 'every plan and run reads the whole table to find what is due',
  })
}

function nullableStart({ start, table }: FittedRule): readonly Remark[] {
  if (start.kind !== 'column') return []
  const { column } = start.moment
  if (columnOf(table, column)?.notNull !== false) return []
  return [
    {
      code: 'start_nullable',
      message: `${column} may be null: such a record counts as still open and is kept for ever`,
      remedy:
        'see the records counted as open; if null is not meant to be an open end, set not null',
    },
  ]
}

function linksUnindexed(start: FittedStart, stored: Stored): readonly Remark[] {
  return sourcesOf(start).flatMap((source) =>
    levelsOf(source).flatMap(({ table, links }) =>
      unindexed(stored, {
        code: 'link_not_indexed',
        table,
        columns: links.map((link) => link.source.name),
        why: 'every batch reads the whole table to find what decides',
      }),
    ),
  )
}

/** PostgreSQL looks for rows that refer to a purged one itself, once for each purged row. */
function foreignKeysUnindexed(fitted: FittedRule, stored: Stored): readonly Remark[] {
  const { rule, table: governed, declared } = fitted
  // A row that stays is not looked for, but what is detached from it is.
  const sought = declared.filter(
    ({ key, as }) => as !== 'own_rule' || takesAway(rule) || !sameTable(key.to, governed),
  )
  return sought.flatMap(({ table, key }) =>
    unindexed(stored, {
      code: 'foreign_key_not_indexed',
      table,
      columns: key.fromColumns,
      why: key.logical
        ? 'every plan and batch reads the whole table to find what refers to a record'
        : `each purged row of ${printTable(key.to)} makes PostgreSQL read the whole table (foreign key ${key.name})`,
    }),
  )
}

type Wanted = {
  readonly code: string
  readonly table: Table
  readonly columns: readonly string[]
  readonly why: string
}

function unindexed(stored: Stored, { code, table, columns, why }: Wanted): readonly Remark[] {
  const storage = stored.get(printTable(table))
  if (storage === undefined || storage.bytes < WORTH_AN_INDEX) return []
  if (storage.indexes.some((index) => leads(index, columns))) return []
  return [
    {
      code,
      message: `${printTable(table)} has no index on ${columns.join(', ')}: ${why}`,
      remedy: createIndex(table, columns),
    },
  ]
}

/** True if the index begins with the columns, in any order. */
function leads(index: readonly string[], columns: readonly string[]): boolean {
  const first = index.slice(0, columns.length)
  return columns.every((column) => first.includes(column))
}

function createIndex(table: Table, columns: readonly string[]): string {
  const on = `${quoted(table.schema)}.${quoted(table.name)} (${columns.map((column) => quoted(column)).join(', ')})`
  return table.kind === 'partitioned table'
    ? `create index concurrently on each partition, then: create index on ${on}`
    : `create index concurrently on ${on}`
}

function unlogged(fitted: FittedRule, stored: Stored): readonly Remark[] {
  const names = new Set(fitted.reaches.map((table: TableName) => printTable(table)))
  return [...names]
    .filter((name) => stored.get(name)?.unlogged === true)
    .map((name) => ({
      code: 'table_unlogged',
      message: `${name} is unlogged: a crash of the server empties it, and the journal does not say so`,
      remedy: `if its rows have to be kept: alter table ${name} set logged`,
    }))
}

/** Rows that wait for each other, each of which has to be gone before another one may. */
export function circleRemarks({ table }: FittedRule, circles: number): readonly Remark[] {
  if (circles === 0) return []
  const name = printTable(table)
  return [
    {
      code: 'rows_in_circles',
      message: `rows of ${name} wait for each other in ${circles === 1 ? 'a circle' : `${circles} circles`}, so that none of them can go first: they stay, and so does what waits for them`,
      remedy: `see one with explain; write \`${name}: with_parent\`, so that they go together, or end the circle in the data`,
    },
  ]
}

/** Rows whose key was used before by a row that is blocked now. */
export function takenRemarks({ archive }: FittedRule, taken: number): readonly Remark[] {
  const [move] = archive?.moves ?? []
  if (move === undefined || taken === 0) return []
  return [
    {
      code: 'key_taken_in_archive',
      message: `of ${taken} rows the key, or that of a row that goes along, stands already in the archive, ${printTable(move.to)}: they cannot be blocked`,
      remedy: 'let no key be used again, or see what becomes of the archived row with explain',
    },
  ]
}

/** What stands in an archive and should not, or will stand there for ever. */
export function archiveRemarks(
  { rule, archive }: FittedRule,
  archived: Archived | null,
): readonly Remark[] {
  const [move] = archive?.moves ?? []
  if (move === undefined || archived === null) return []
  const [from, to] = [printTable(move.from), printTable(move.to)]
  const reopened: readonly Remark[] =
    archived.reopened === 0
      ? []
      : [
          {
            code: 'blocked_although_open',
            message: `${archived.reopened} rows stand in ${to} although their period is open or runs again: nothing more is done to them`,
            remedy: `see which with explain; move a row back by hand (insert into ${from} select … from ${to}; delete from ${to}), or end what is open`,
          },
        ]
  const isLast = rule.phase === null || rule.phase.number === rule.phase.of
  if (!isLast) return reopened
  const message = `nothing becomes of what stands in ${to}: it is out of reach, and there for ever`
  const remedy = 'write phases: block, and after that anonymise or purge'
  return [...reopened, { code: 'archive_without_end', message, remedy }]
}
