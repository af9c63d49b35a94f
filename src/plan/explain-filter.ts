/** Which part of a rule's filter leaves a record out: its author wrote them under different keys. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import type { FittedRule } from '../catalog/fitted.ts'
import { tableId } from '../db/governed.ts'
import type { Condition } from '../policy/policy.ts'
import { matches } from './condition.ts'

/** A key of the policy language that says which rows a rule speaks of. */
export type FilterPart = 'where' | 'where_sql' | 'soft_deleted'

/** The parts that the row does not match; none if the rule speaks of it. */
export async function partsLeavingOut(
  db: QueryExecutorProvider,
  { rule: { where }, table }: FittedRule,
  isRoot: RawBuilder<unknown>,
): Promise<readonly FilterPart[]> {
  const leaving: FilterPart[] = []
  for (const condition of where === null ? [] : partsOf(where)) {
    const { rows } = await sql`
      select 1 from ${tableId(table)} as row
      where ${isRoot} and ${matches(condition, table, 'row')} is not true`.execute(db)
    if (rows.length > 0) leaving.push(keyOf(condition))
  }
  return [...new Set(leaving)]
}

function partsOf(where: Condition): readonly Condition[] {
  return where.kind === 'all' ? where.conditions.flatMap(partsOf) : [where]
}

function keyOf({ kind }: Condition): FilterPart {
  if (kind === 'sql') return 'where_sql'
  return kind === 'soft_deleted' ? kind : 'where'
}
