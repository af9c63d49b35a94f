/** Where a record stands that a rule has moved out of the application's reach. */
import { sql, type QueryExecutorProvider } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import type { Table } from '../catalog/catalog.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { keyEquals, keySet, tableId, type Key } from '../db/governed.ts'
import { countArchived } from './archived.ts'
import { readBoundary } from './boundary.ts'

export type ExplainedArchive = {
  /** The table in which it stands now. */
  readonly archive: string
  /** The rule that moved it, or could have. */
  readonly rule: string
  /** Its period runs again or is open: it should not be blocked. */
  readonly reopened: boolean
}

/** Finds the row in the archives of its table; null if it stands in none. */
export async function findArchived(
  db: QueryExecutorProvider,
  request: {
    readonly rules: readonly FittedRule[]
    readonly table: Table
    readonly values: Key
    readonly at: string
  },
): Promise<{ readonly table: Table; readonly said: ExplainedArchive } | null> {
  const { rules, table, values, at } = request
  for (const { rule, start, archive } of rules) {
    const move = archive?.moves.find(({ from }) => sameTable(from, table))
    if (archive === null || move === undefined) continue
    const isIt = sql`exists (
      select from ${keySet(move.key, [values])} as given where ${keyEquals(move.key, 'row', 'given')}
    )`
    const { rows } = await sql`select from ${tableId(move.to)} as row where ${isIt}`.execute(db)
    if (rows.length === 0) continue
    const said = { archive: printTable(move.to), rule: rule.id, reopened: false }
    if (!sameTable(move.from, rule.table)) return { table: move.to, said }
    const beside = { rule, start, rivals: [], superseding: [] }
    const boundary = await readBoundary(db, beside, { kind: 'instant', at })
    const { reopened } = await countArchived(db, archive, boundary, {
      only: isIt,
      of: 'single rows',
    })
    return { table: move.to, said: { ...said, reopened: reopened > 0 } }
  }
  return null
}
