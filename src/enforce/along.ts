/** The rows that a batch changes beside the governed rows: found, and locked before it decides. */
import { sql, type RawBuilder, type Transaction } from 'kysely'
import { sameTable } from '../base/names.ts'
import { isTangled, type Child, type FittedRule, type Referral } from '../catalog/fitted.ts'
import {
  columnId,
  disjunction,
  keyAlias,
  keyEquals,
  keySet,
  keyTexts,
  readKey,
  tableId,
  type Key,
} from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import type { Boundary } from '../plan/boundary.ts'
import { viewOf } from '../plan/due.ts'
import { isActionable } from '../plan/hindrance.ts'
import { refersTo } from '../plan/refer.ts'
import { isMember, seedOf, unitOf } from '../plan/unit.ts'
import { linkTexts } from './related.ts'
import { isNotAmong, type Given } from './statements.ts'
import { takesAway } from '../policy/policy.ts'

type Trx = Transaction<OwnTables>
type Row = Readonly<Record<string, unknown>>

/** Keys of the rows that go along, by table; each table after those it refers to, but for cycles. */
export type Going = ReadonlyMap<Child, readonly Key[]>

/** The rows that go along with the given ones, and those that are detached from any of them. */
export type Changing = { readonly going: Going; readonly detached: Going }

/** `lock`: only what no other session has locked, and then nobody else can. */
export type Manner = 'read' | 'lock'

/** Finds the rows that change with the given governed rows. */
export async function findChanging(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
  manner: Manner,
): Promise<Changing> {
  const going = await findGoing(trx, fitted, keys, manner)
  const detached = new Map<Child, readonly Key[]>()
  for (const child of fitted.detached) {
    detached.set(
      child,
      await referring(trx, { child, given: parents(fitted, child, keys, going) }, manner),
    )
  }
  return { going, detached }
}

async function findGoing(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
  manner: Manner,
): Promise<Going> {
  if (isTangled(fitted)) return findUnits(trx, fitted, keys, manner)
  const found = new Map<Child, readonly Key[]>()
  for (const child of fitted.children) {
    found.set(
      child,
      await referring(trx, { child, given: parents(fitted, child, keys, found) }, manner),
    )
  }
  return found
}

async function findUnits(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
  manner: Manner,
): Promise<Going> {
  const { rows } = await selectUnits(fitted, keys).execute(trx)
  const found = new Map<Child, readonly Key[]>()
  for (const [at, child] of fitted.children.entries()) {
    const members = rows.flatMap(({ part, key }) => (part === at + 1 ? [key] : []))
    const locked = manner === 'read' ? null : await lockGiven(child, members).execute(trx)
    found.set(child, locked?.rows.map((row) => readKey(row, child.key)) ?? members)
  }
  return found
}

/** Rows that refer by one link each to rows that are acted on. */
export type Detaching = {
  readonly child: Child
  readonly key: Referral
  readonly keys: readonly Key[]
}

/** Finds, link by link, the rows to be detached; records that go themselves need not be. */
export async function findDetaching(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
  going: Going,
): Promise<readonly Detaching[]> {
  const found: Detaching[] = []
  const spelled = new Set(keys.map((key) => JSON.stringify(key)))
  for (const child of fitted.detached) {
    const goesItself = takesAway(fitted.rule) && sameTable(child.table, fitted.table)
    for (const each of parents(fitted, child, keys, going)) {
      const rows = await referring(trx, { child, given: [each] }, 'read')
      const staying = rows.filter((row) => !goesItself || !spelled.has(JSON.stringify(row)))
      found.push({ child, key: each.key, keys: staying })
    }
  }
  return found
}

/** Of the given rows, those of whose units every record is among them. */
export async function onlyWhole(
  trx: Trx,
  fitted: FittedRule,
  keys: readonly Key[],
): Promise<readonly Key[]> {
  if (!isTangled(fitted)) return keys
  let whole = keys
  for (;;) {
    const { rows } = await selectWhole(fitted, whole).execute(trx)
    if (rows.length === whole.length) return whole
    whole = rows.map((row) => readKey(row, fitted.key))
  }
}

/**
 * Locks the records that have to go in one batch with the given ones: those of their units, and due
 * records that would be detached first and purged afterwards.
 */
export async function gather(
  trx: Trx,
  fitted: FittedRule,
  boundary: Boundary,
  rows: readonly Row[],
): Promise<readonly Row[]> {
  const keysOf = (of: readonly Row[]): readonly Key[] => of.map((row) => readKey(row, fitted.key))
  let all = rows
  if (isTangled(fitted)) {
    all = [...all, ...(await lockUnits(fitted, keysOf(all)).execute(trx)).rows]
  }
  const own = fitted.detached.find(({ table }) => sameTable(table, fitted.table))
  if (own === undefined || !takesAway(fitted.rule)) return all
  for (;;) {
    const keys = keysOf(all)
    const given = parents(fitted, own, keys, await findGoing(trx, fitted, keys, 'read'))
    const { rows: more } = await lockReferring(fitted, boundary, { keys, given }).execute(trx)
    if (more.length === 0) return all
    all = [...all, ...more]
  }
}

/** Rows of the table that a link leads to. */
type GivenParents = { readonly key: Referral; readonly rows: Given }

type Referring = { readonly child: Child; readonly given: readonly GivenParents[] }

async function referring(trx: Trx, asked: Referring, manner: Manner): Promise<readonly Key[]> {
  const statement =
    manner === 'lock'
      ? sql<Row>`${selectReferring(asked)} for update of child skip locked`
      : selectReferring(asked)
  const { rows } = await statement.execute(trx)
  return rows.map((row) => readKey(row, asked.child.key))
}

/** The rows that a table's links lead to, out of those that are known to be acted on. */
function parents(
  fitted: FittedRule,
  child: Child,
  keys: readonly Key[],
  going: Going,
): readonly GivenParents[] {
  return child.foreignKeys.map((key) => {
    if (sameTable(key.to, fitted.table)) return { key, rows: { columns: fitted.key, keys } }
    const [parent, known] = [...going].find(([each]) => sameTable(each.table, key.to)) ?? []
    return { key, rows: { columns: parent?.key ?? [], keys: known ?? [] } }
  })
}

function selectReferring({ child, given }: Referring): RawBuilder<Row> {
  return sql`
    select ${keyTexts(child.key, 'child')}
    from ${tableId(child.table)} as child
    where ${refersToGiven('child', given)}`
}

function refersToGiven(row: string, given: readonly GivenParents[]): RawBuilder<boolean> {
  return disjunction(
    given.map(
      ({ key, rows }) => sql`exists (
        select from ${tableId(key.to)} as parent
        join ${keySet(rows.columns, rows.keys)} as given on ${keyEquals(rows.columns, 'parent', 'given')}
        where ${refersTo(key, row, 'parent')}
      )`,
    ),
  )
}

function lockGiven({ table, key }: Child, keys: readonly Key[]): RawBuilder<Row> {
  return sql`
    select ${keyTexts(key, 'child')}
    from ${tableId(table)} as child
    where exists (
      select from ${keySet(key, keys)} as given where ${keyEquals(key, 'child', 'given')}
    )
    for update of child skip locked`
}

/** The units of the given rows, as the common table `unit`. */
function unitsOf(fitted: FittedRule, keys: readonly Key[]): RawBuilder<unknown> {
  const parts = fitted.key.map((_, at) => sql`cast(${columnId('given', keyAlias(at))} as text)`)
  const seed = sql`select 0, array[${sql.join(parts)}] from ${keySet(fitted.key, keys)} as given`
  return unitOf({ fitted, level: 0 }, seed)
}

function selectUnits(
  fitted: FittedRule,
  keys: readonly Key[],
): RawBuilder<{ readonly part: number; readonly key: Key }> {
  return sql`with recursive ${unitsOf(fitted, keys)} select part, key from unit`
}

function lockUnits(fitted: FittedRule, keys: readonly Key[]): RawBuilder<Row> {
  const { table, key, start } = fitted
  return sql`
    with recursive ${unitsOf(fitted, keys)}
    select ${keyTexts(key, 'row')}${linkTexts(start)}
    from unit join ${tableId(table)} as row on ${isMember({ fitted, level: 0 }, null, 'row')}
    where ${isNotAmong({ columns: key, keys }, 'row')}
    for update of row skip locked`
}

function selectWhole(fitted: FittedRule, keys: readonly Key[]): RawBuilder<Row> {
  const { table, key } = fitted
  const place = { fitted, level: 0 }
  return sql`
    select ${keyTexts(key, 'row')}
    from ${tableId(table)} as row
    join ${keySet(key, keys)} as given on ${keyEquals(key, 'row', 'given')}
    where not exists (
      with recursive ${unitOf(place, seedOf(fitted, 'row'))}
      select from unit join ${tableId(table)} as member on ${isMember(place, null, 'member')}
      where ${isNotAmong({ columns: key, keys }, 'member')}
    )`
}

/** Locks records that may be acted on and refer to the given ones. */
function lockReferring(
  fitted: FittedRule,
  boundary: Boundary,
  { keys, given }: { readonly keys: readonly Key[]; readonly given: readonly GivenParents[] },
): RawBuilder<Row> {
  const { table, key, start } = fitted
  return sql`
    select ${keyTexts(key, 'row')}${linkTexts(start)}
    from ${tableId(table)} as row
    where ${refersToGiven('row', given)}
      and ${isNotAmong({ columns: key, keys }, 'row')}
      and ${isActionable(viewOf(fitted, boundary))}
    for update of row skip locked`
}
