/**
 * What went, as PostgreSQL itself counts it: also what a cascade or a trigger took, of which the
 * statement that set it off says nothing.
 */
import { sql, type Transaction } from 'kysely'
import { RefusedError } from '../base/errors.ts'
import { printTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { OwnTables } from '../db/schema.ts'
import type { Part } from './act.ts'

type Trx = Transaction<OwnTables>

/** Rows of each table that this session deleted, by oid; a partitioned table is one table. */
export type Gone = ReadonlyMap<number, { readonly name: string; readonly rows: number }>

/**
 * Reads how many rows the session deleted so far, in this transaction and those whose numbers are
 * not handed over yet: only a difference within one transaction means anything. A row that moves to
 * another partition is counted as deleted there and as inserted here.
 */
export async function readGone(trx: Trx): Promise<Gone> {
  const { rows } = await sql<{ oid: string; schema: string; name: string; rows: string }>`
    select
      whole.oid::bigint as oid,
      space.nspname as schema,
      whole.relname as name,
      sum(
        pg_stat_get_xact_tuples_deleted(part.oid)
        - case when part.relispartition then pg_stat_get_xact_tuples_inserted(part.oid) else 0 end
      )::text as rows
    from pg_class as part
    join pg_class as whole on whole.oid = coalesce(pg_partition_root(part.oid), part.oid)
    join pg_namespace as space on space.oid = whole.relnamespace
    where part.relkind = 'r' and space.nspname not in ('pg_catalog', 'retentiond')
      and pg_stat_get_xact_tuples_deleted(part.oid) > 0
    group by whole.oid, space.nspname, whole.relname`.execute(trx)
  return new Map(
    rows.map(({ oid, rows: gone, ...table }) => [
      Number(oid),
      { name: printTable(table), rows: Number(gone) },
    ]),
  )
}

/**
 * Compares what went since `before` with what was decided. Other tables are left to triggers that the
 * policy acknowledges; where none fires, nothing may have gone there either.
 */
export async function proveNothingElseWent(
  trx: Trx,
  fitted: FittedRule,
  before: Gone,
  purged: readonly Part[],
): Promise<void> {
  await requireCounts(trx, fitted)
  const after = await readGone(trx)
  const decided = new Map(purged.map(({ table, rows }) => [table.oid, rows.keys.length]))
  const names = new Set(fitted.reaches.map((table) => printTable(table)))
  for (const oid of new Set([...after.keys(), ...decided.keys()])) {
    const own = purged.find(({ table }) => table.oid === oid)?.table
    const name = own === undefined ? (after.get(oid)?.name ?? '') : printTable(own)
    const gone = (after.get(oid)?.rows ?? 0) - (before.get(oid)?.rows ?? 0)
    const expected = decided.get(oid) ?? 0
    const isOurs = fitted.triggers.length === 0 || decided.has(oid) || names.has(name)
    if (gone === expected || !isOurs) continue
    throw new RefusedError(
      `rule ${fitted.rule.id}: ${gone} rows of ${name} went where ${expected} were decided`,
      {
        remedy:
          'the batch was rolled back; look at what the tables set off: triggers, and foreign keys with `on delete cascade`',
      },
    )
  }
}

/** Without its counts PostgreSQL says nothing of what a cascade took. */
async function requireCounts(trx: Trx, fitted: FittedRule): Promise<void> {
  const { rows } = await sql<{ counts: string }>`
    select current_setting('track_counts') as counts`.execute(trx)
  if (rows[0]?.counts === 'on') return
  throw new RefusedError(
    `rule ${fitted.rule.id}: track_counts is off, so that nobody could tell what else went`,
    { remedy: 'set track_counts on, which autovacuum needs as well' },
  )
}
