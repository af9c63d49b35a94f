/** How many rows refer to the rows of a rule, by which link, and what becomes of them. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { printTable, sameTable } from '../base/names.ts'
import type { Child } from '../catalog/fitted.ts'
import type { ReferenceKind } from '../policy/policy.ts'
import type { Verdict } from './census.ts'
import { isDue, stated, type View } from './due.ts'
import { countReferring } from './going.ts'
import { isActionable } from './hindrance.ts'
import { takesAway } from '../policy/policy.ts'

/** `purge`: they go along; `detach`: they stay, and their link becomes null. */
export type ChildRows = {
  readonly table: string
  readonly action: 'purge' | 'block' | 'detach'
  readonly rows: number
}

/**
 * Rows of `from` that refer to rows of `to`: to those that go (with_parent, detach), or to those whose
 * retention has ended (own_rule, block).
 */
export type ReferenceRows = {
  readonly from: string
  readonly to: string
  /** Name of the foreign key, or the columns of a logical link. */
  readonly key: string
  readonly as: ReferenceKind
  readonly rows: number
}

/** Counts the rows of other tables that change with rows which may be acted on. */
export async function countChildren(
  db: QueryExecutorProvider,
  view: View,
): Promise<readonly ChildRows[]> {
  const { children, detached } = view.fitted
  const counted: ChildRows[] = []
  const gone = view.fitted.archive === null ? 'purge' : 'block'
  for (const child of children) {
    counted.push({ ...(await countRows(db, view, child)), action: gone })
  }
  for (const child of detached) {
    counted.push({ ...(await countRows(db, view, child, staysIn(child))), action: 'detach' })
  }
  return counted
}

async function countRows(
  db: QueryExecutorProvider,
  view: View,
  child: Pick<Child, 'table' | 'foreignKeys'>,
  only?: Only,
): Promise<{ readonly table: string; readonly rows: number }> {
  const { rows } = await stated(view, (within) =>
    countReferring(within, child, isActionable(within), only?.(within)),
  ).execute(db)
  return { table: printTable(child.table), rows: Number(rows[0]?.rows ?? 0) }
}

/** What else has to be true of a row that is counted. */
type Only = (view: View) => (row: string) => RawBuilder<unknown>

/** A record that goes itself is not detached from another one. */
function staysIn(child: Pick<Child, 'table'>): Only {
  return (view) => {
    const { fitted } = view
    if (!takesAway(fitted.rule) || !sameTable(child.table, fitted.table)) {
      return () => sql`true`
    }
    return (row) => sql`(${isActionable({ ...view, row, level: view.level + 1 })}) is not true`
  }
}

/** Counts the rows that refer to rows of the rule, link by link to the end of the graph. */
export async function countReferences(
  db: QueryExecutorProvider,
  view: View,
  counts: Partial<Readonly<Record<Verdict, number>>>,
): Promise<readonly ReferenceRows[]> {
  const counted: ReferenceRows[] = []
  for (const { as, key, table } of view.fitted.declared) {
    const acts = as === 'with_parent' || as === 'detach'
    const some = acts ? (counts.due ?? 0) > 0 : SPARED.some((verdict) => (counts[verdict] ?? 0) > 0)
    const from = { table, foreignKeys: [key] }
    const { rows } = some
      ? await stated(view, (within) =>
          countReferring(
            within,
            from,
            acts ? isActionable(within) : isDue(within),
            as === 'detach' ? staysIn(from)(within) : undefined,
          ),
        ).execute(db)
      : { rows: [] }
    const names = { from: printTable(key.from), to: printTable(key.to), key: key.name }
    counted.push({ ...names, as, rows: Number(rows[0]?.rows ?? 0) })
  }
  return counted
}

/** Verdicts on rows whose retention has ended. */
const SPARED = ['due', 'held', 'superseded', 'kept', 'blocked', 'deciding', 'done'] as const
