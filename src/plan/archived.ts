/** Rows that a rule has blocked: how many stand in its archive, and which of them it would not block now. */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import type { FittedArchive } from '../catalog/fitted.ts'
import { tableId } from '../db/governed.ts'
import type { Boundary } from './boundary.ts'
import { hasEnded } from './due.ts'
import { eventsOf, hasNoStart } from './events.ts'

/** Which rows of the archive are asked about. */
type Asked = {
  readonly only: RawBuilder<unknown>
  readonly of: 'whole table' | 'single rows'
}

export type Archived = { readonly rows: number; readonly reopened: number }

/**
 * Counts the rows of the archive that `only` is true of. `reopened` are those whose period runs
 * again, or is open: something came to the record since, or it should never have been moved. What has
 * lost everything that said when its period starts is not among them.
 */
export async function countArchived(
  db: QueryExecutorProvider,
  { started }: Pick<FittedArchive, 'started'>,
  boundary: Boundary,
  { only, of }: Asked = { only: sql`true`, of: 'whole table' },
): Promise<Archived> {
  const { start, rule, table } = started
  const law = { rule, boundary }
  const ended = hasEnded({ fitted: started, boundary, row: 'row', level: 0 })
  const { rows } = await sql<{ rows: string; reopened: string }>`
    select count(*)::text as rows,
      count(*) filter (where ${ended} is not true and not ${hasNoStart(start, law)})::text as reopened
    from ${tableId(table)} as row
    ${eventsOf(start, law, of)}
    where ${only}`.execute(db)
  return { rows: Number(rows[0]?.rows ?? 0), reopened: Number(rows[0]?.reopened ?? 0) }
}
