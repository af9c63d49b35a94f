/** What may stand in the way of a row, by name: for `explain`, and for the places where rules meet. */
import { sql, type RawBuilder } from 'kysely'
import { printTable } from '../base/names.ts'
import type { StartedRule } from '../catalog/fitted.ts'
import { conjunction, tableId } from '../db/governed.ts'
import { holdsRow } from '../hold/held.ts'
import { matches } from './condition.ts'
import { alias, type View } from './due.ts'
import { alongOf, anyAmong } from './going.ts'
import { anyOf, keepers, staysFor, superseding, waits } from './hindrance.ts'
import { refersTo } from './refer.ts'
import type { Asked } from './unit.ts'

/** What could stand in the way of a row, each by the name of the table or the rule that does. */
export function hindrancesOf(view: View): {
  readonly superseding: readonly Named[]
  readonly keepers: readonly Named[]
  readonly blockers: readonly Counted[]
  readonly readers: readonly Counted[]
  /** Tables of rows that it holds. */
  readonly holding: readonly Counted[]
} {
  const { fitted } = view
  const named = (asked: readonly Asked[], others: readonly StartedRule[]): readonly Named[] =>
    others.map(({ rule }, at) => ({
      name: rule.id,
      condition: anyOf(view, asked.slice(at, at + 1)),
    }))
  const [blocker, waiting] = [alias(view, 'blocker'), alias(view, 'reader')]
  return {
    superseding: named(superseding(view), fitted.superseding),
    keepers: named(keepers(view), fitted.rivals),
    blockers: fitted.blockers.map((each) => ({
      name: printTable(each.table),
      from: sql`${tableId(each.key.from)} as ${sql.id(blocker)}`,
      along: alongOf(fitted, each.key.to),
      of: (row) => conjunction([refersTo(each.key, blocker, row), staysFor(view, each, row)]),
    })),
    readers: fitted.readers.map((reader) => ({
      name: reader.reader.rule.id,
      from: sql`${tableId(reader.reader.table)} as ${sql.id(waiting)}`,
      along: alongOf(fitted, reader.on),
      of: (row) => {
        const { tables, condition } = waits(view, reader, row)
        return sql`exists (select from (select) as one${tables} where ${condition})`
      },
    })),
    holding: fitted.holding.map(({ covered, source, on }) => ({
      name: printTable(covered),
      from: sql`${tableId(covered)} as covered`,
      along: alongOf(fitted, on),
      of: (row) => holdsRow(source, row, 'covered', matches),
    })),
  }
}

type Named = { readonly name: string; readonly condition: RawBuilder<unknown> }

/** Rows of another table (`from`) that stand in the way of those rows `of` is true of. */
export type Counted = Asked & { readonly name: string; readonly from: RawBuilder<unknown> }

/** True of a row that any of those stand in the way of. */
export function hinders(view: View, { from, along, of }: Counted): RawBuilder<unknown> {
  return anyAmong(view, along, (row) => sql`exists (select from ${from} where ${of(row)})`)
}

/** Counts what stands in the way of the governed row that `isRoot` is true of, or of what goes along. */
export function countHindering(
  view: View,
  { from, along, of }: Counted,
  isRoot: RawBuilder<unknown>,
): RawBuilder<{ rows: string }> {
  return sql`
    select count(*)::text as rows from ${from}
    where exists (
      select from ${tableId(view.fitted.table)} as ${sql.id(view.row)}
      where ${isRoot} and ${anyAmong(view, along, of)}
    )`
}
