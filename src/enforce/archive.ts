/**
 * Moving rows to their archives, within the batch that takes them from their tables: copied and
 * compared while both rows stand there, parents first, then deleted like any row that goes.
 */
import { sql, type RawBuilder, type Transaction } from 'kysely'
import { RefusedError } from '../base/errors.ts'
import { printTable, sameTable } from '../base/names.ts'
import { openArchives } from '../catalog/fit-archive.ts'
import type { Child, FittedRule, Move } from '../catalog/fitted.ts'
import { inspectReaders } from '../catalog/inspect-readers.ts'
import { columnId, conjunction, keyEquals, keySet, tableId, type Key } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import { exactly } from './prove.ts'

/** The rows of a batch: keys of the governed table, and of each that goes along. */
export type Leaving = {
  readonly keys: readonly Key[]
  readonly children: ReadonlyMap<Child, readonly Key[]>
}

/** Closes an archive to changes of its shape, with the lock that copying takes anyway. */
export function closeArchive({ from, to }: Move): RawBuilder<unknown> {
  const columns = columnsOf(from)
  return sql`
    insert into ${tableId({ ...to, only: false })} (${names(columns)})
    select ${values(columns, 'row')} from ${tableId(from)} as row where (select false)`
}

/** Copies each row, and reads it back: every column as it was, byte by byte. */
export async function copyToArchive(
  trx: Transaction<OwnTables>,
  fitted: FittedRule,
  leaving: Leaving,
): Promise<void> {
  await proveOutOfReach(trx, fitted)
  for (const { move, keys } of movesOf(fitted, leaving)) {
    await exactly(trx, fitted, copyRows(move, keys), keys.length)
    const { rows } = await countSame(move, keys).execute(trx)
    if (rows[0]?.rows === String(keys.length)) continue
    throw new RefusedError(
      `rule ${fitted.rule.id}: of ${keys.length} rows copied to ${printTable(move.to)} ${rows[0]?.rows ?? '?'} are there as they were`,
      {
        remedy: 'the batch was rolled back; see what changes rows that are written to the archive',
      },
    )
  }
}

/** Looks, after the rows went from their tables, whether each is in its archive, once. */
export async function proveArchived(
  trx: Transaction<OwnTables>,
  fitted: FittedRule,
  leaving: Leaving,
): Promise<void> {
  for (const { move, keys } of movesOf(fitted, leaving)) {
    const { rows } = await countThere(move, keys).execute(trx)
    if (rows[0]?.rows === String(keys.length)) continue
    throw new RefusedError(
      `rule ${fitted.rule.id}: of ${keys.length} rows moved to ${printTable(move.to)} ${rows[0]?.rows ?? '?'} are there`,
      { remedy: 'the batch was rolled back; see what removes rows from the archive' },
    )
  }
}

/** Rights may have been given since the plan: an archive that the application reads is none. */
async function proveOutOfReach(
  trx: Transaction<OwnTables>,
  { rule, archive }: FittedRule,
): Promise<void> {
  const moves = archive?.moves ?? []
  const pairs = moves.map(({ from, to }) => ({ table: from, archive: to }))
  const [open] = openArchives(rule, moves, { readers: await inspectReaders(trx, pairs) })
  if (open === undefined) return
  throw new RefusedError(`rule ${rule.id}: ${open.message}`, {
    remedy: open.remedy ?? 'take the right back',
  })
}

function movesOf(
  { archive, table }: FittedRule,
  { keys, children }: Leaving,
): readonly { readonly move: Move; readonly keys: readonly Key[] }[] {
  return (archive?.moves ?? []).flatMap((move) => {
    const [, going = []] = [...children].find(([child]) => sameTable(child.table, move.from)) ?? []
    const own = sameTable(move.from, table) ? keys : going
    return own.length === 0 ? [] : [{ move, keys: own }]
  })
}

/** THE statement that copies: exactly the given rows, every column by its name. */
function copyRows({ from, to, key }: Move, keys: readonly Key[]): RawBuilder<unknown> {
  const columns = columnsOf(from)
  return sql`
    insert into ${tableId({ ...to, only: false })} (${names(columns)})
    select ${values(columns, 'row')}
    from ${tableId(from)} as row
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'row', 'given')}`
}

/** As PostgreSQL stores them: types without an equality, and values that are only equal, count too. */
function countSame(move: Move, keys: readonly Key[]): RawBuilder<{ rows: string }> {
  const { from, to, key } = move
  const columns = columnsOf(from)
  const sameKey = conjunction(
    key.map(({ name }) => sql`${columnId('moved', name)} = ${columnId('row', name)}`),
  )
  return sql`
    select count(*)::text as rows
    from ${tableId(from)} as row
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'row', 'given')}
    join ${tableId(to)} as moved on ${sameKey}
    where record_image_eq(row(${values(columns, 'row')}), row(${values(columns, 'moved')}))`
}

function countThere({ to, key }: Move, keys: readonly Key[]): RawBuilder<{ rows: string }> {
  return sql`
    select count(*)::text as rows
    from ${tableId(to)} as moved
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'moved', 'given')}`
}

function columnsOf(from: Move['from']): readonly string[] {
  return from.columns.map(({ name }) => name)
}

function names(columns: readonly string[]): RawBuilder<unknown> {
  return sql.join(columns.map((column) => sql.id(column)))
}

function values(columns: readonly string[], alias: string): RawBuilder<unknown> {
  return sql.join(columns.map((column) => columnId(alias, column)))
}
