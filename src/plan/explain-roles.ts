/** What a record is to other records: an event that starts their period, or the reason for a hold. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import type { Table } from '../catalog/catalog.ts'
import { levelsOf, sourcesOf } from '../catalog/chain.ts'
import type { Cover, CoverSource, FittedRule, Held } from '../catalog/fitted.ts'
import { keyEquals, tableId, type KeyColumn } from '../db/governed.ts'
import { holdsRow } from '../hold/held.ts'
import { matches } from './condition.ts'
import { isRelated, plainly, rowAt, wayFrom } from './related.ts'

export type ExplainedRoles = {
  /** Records of a rule whose period start is read from or through this one; itself left out. */
  readonly startsPeriods: readonly { readonly rule: string; readonly records: number }[]
  /** Rows of a table that this one holds. */
  readonly holdsRows: readonly { readonly table: string; readonly rows: number }[]
}

/** The record, and the keys of a query that names it: rows `key_1`, `key_2`, …. */
export type Subject = {
  readonly table: Table
  readonly key: readonly KeyColumn[]
  readonly given: RawBuilder<unknown>
}

export async function explainRoles(
  db: QueryExecutorProvider,
  rules: readonly FittedRule[],
  subject: Subject,
): Promise<ExplainedRoles> {
  return {
    startsPeriods: await periodsStarted(db, rules, subject),
    holdsRows: await rowsHeld(db, rules, subject),
  }
}

async function periodsStarted(
  db: QueryExecutorProvider,
  rules: readonly FittedRule[],
  subject: Subject,
): Promise<ExplainedRoles['startsPeriods']> {
  const started = new Map<string, number>()
  for (const fitted of rules) {
    for (const source of sourcesOf(fitted.start)) {
      for (const [level, { table }] of levelsOf(source).entries()) {
        if (!sameTable(table, subject.table)) continue
        const itself = sameTable(fitted.table, table)
          ? sql`and not ${isSubject(subject, 'row')}`
          : sql``
        const count = await countRows(
          db,
          sql`${tableId(fitted.table)} as row
          where exists (
            select from ${wayFrom(source, level, plainly)}
            where ${isSubject(subject, rowAt(level, plainly))} and ${isRelated(source, 'row', plainly)}
          ) ${itself}`,
        )
        const { id } = fitted.rule
        if (count > 0) started.set(id, Math.max(started.get(id) ?? 0, count))
      }
    }
  }
  return [...started].map(([rule, records]) => ({ rule, records }))
}

async function rowsHeld(
  db: QueryExecutorProvider,
  rules: readonly FittedRule[],
  subject: Subject,
): Promise<ExplainedRoles['holdsRows']> {
  const held = new Map<string, number>()
  for (const { covered, source } of coversBy(rules, subject.table)) {
    const count = await countRows(
      db,
      sql`${tableId(covered)} as covered
      where exists (
        select from ${tableId(source.table)} as holder
        where ${isSubject(subject, 'holder')} and ${holdsRow(source, 'holder', 'covered', matches)}
      )`,
    )
    if (count > 0) held.set(printTable(covered), count)
  }
  return [...held].map(([table, rows]) => ({ table, rows }))
}

/** Each table that the table's rows may hold, once. */
function coversBy(
  rules: readonly FittedRule[],
  table: Table,
): readonly { readonly covered: Table; readonly source: CoverSource }[] {
  const found = new Map<string, { covered: Table; source: CoverSource }>()
  const look = (cover: Cover): void => {
    for (const source of cover.sources) {
      if (sameTable(source.table, table)) {
        found.set(printTable(cover.table), { covered: cover.table, source })
      }
    }
  }
  const climb = (held: Cover & Pick<Held, 'above'>): void => {
    look(held)
    for (const above of held.above) climb(above)
  }
  for (const held of rules.flatMap((rule) => rule.held)) climb(held)
  return [...found.values()]
}

function isSubject({ key, given }: Subject, row: string): RawBuilder<boolean> {
  return sql<boolean>`exists (select from ${given} as given where ${keyEquals(key, row, 'given')})`
}

async function countRows(db: QueryExecutorProvider, from: RawBuilder<unknown>): Promise<number> {
  const { rows } = await sql<{ rows: string }>`select count(*)::text as rows from ${from}`.execute(
    db,
  )
  return Number(rows[0]?.rows ?? 0)
}
