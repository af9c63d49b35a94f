/** Keys that are used again after the row that had them was blocked: an archive holds one row of each. */
import { sql, type RawBuilder } from 'kysely'
import { printTable } from '../base/names.ts'
import type { FittedRule, Move } from '../catalog/fitted.ts'
import { tableId } from '../db/governed.ts'
import { alias, type View } from './due.ts'
import { alongOf, anyAmong } from './going.ts'
import { sameRow } from './refer.ts'
import type { Asked } from './unit.ts'

/** Each archive in which a row may stand already by the key of one that would be moved there. */
export function takenKeys(view: View): readonly (Asked & { readonly archive: string })[] {
  return movesOf(view.fitted).map(({ from, to, key }) => {
    const archived = alias(view, 'archived')
    return {
      archive: printTable(to),
      along: alongOf(view.fitted, from),
      of: (row) => sql`exists (
        select from ${tableId(to)} as ${sql.id(archived)} where ${sameRow(key, archived, row)}
      )`,
    }
  })
}

/** Counts the rows of the governed table that an archive cannot take. */
export function countTaken(view: View): RawBuilder<{ readonly rows: string }> {
  const taken = takenKeys(view).map(({ along, of }) => anyAmong(view, along, of))
  return sql`
    select count(*)::text as rows
    from ${tableId(view.fitted.table)} as ${sql.id(view.row)}
    where ${sql.join(taken, sql` or `)}`
}

function movesOf({ archive }: FittedRule): readonly Move[] {
  return archive?.moves ?? []
}
