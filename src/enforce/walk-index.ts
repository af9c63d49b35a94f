/** The walk of the index: slices of period starts with a batch of rows each, the earliest first. */
import { sql } from 'kysely'
import { invariant } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import { bound, columnId, tableId, type TypeName } from '../db/governed.ts'
import { inSnapshot } from '../db/transaction.ts'
import { pastValues } from '../plan/moment.ts'
import type { Stretch } from './stretch.ts'
import type { Part, Walk, WalkOrder } from './walk.ts'

/** Of the column by whose index the rows are found. */
type Starts = {
  readonly column: string
  readonly type: TypeName
  readonly from: string
  readonly before: string
}

export class IndexWalk implements Walk {
  readonly #db: Db
  readonly #parts: readonly Part[]
  readonly #starts: Starts
  #part = 0
  #from: string
  /** Slices are cut one after the other, whoever asks. */
  #cutting: Promise<unknown> = Promise.resolve()

  constructor(db: Db, { fitted, boundary }: WalkOrder, parts: readonly Part[]) {
    const { start } = fitted
    invariant(start.kind === 'column', 'an index walk needs a start column')
    const past = pastValues(start.moment.frame, boundary)
    invariant(past !== null, 'an index walk needs a start that compares by its own value')
    this.#db = db
    this.#parts = parts
    this.#starts = { column: start.moment.column, ...past }
    this.#from = past.from
  }

  async next(rows: number): Promise<Stretch | null> {
    const slice = this.#cutting.then(async () => this.#cut(rows))
    this.#cutting = slice.catch(() => {})
    return slice
  }

  learn(): void {}

  /** A slice ends before the start of the row that is one too many for a batch. */
  async #cut(rows: number): Promise<Stretch | null> {
    const part = this.#parts[this.#part]
    if (part === undefined) return null
    const from = this.#from
    const end = await this.#endOf(part, from, rows)
    this.#part += end === null ? 1 : 0
    this.#from = end ?? this.#starts.from
    // Sorted by their place within the slice, so that a page is visited once in a batch.
    const range = { kind: 'starts', ...this.#starts, from, before: end ?? this.#starts.before }
    return { part: part.table, range: range as Stretch['range'], fits: true, order: 'place' }
  }

  /** Null: what is left is one slice. */
  async #endOf({ table }: Part, from: string, most: number): Promise<string | null> {
    const { column, type, before } = this.#starts
    const start = columnId('row', column)
    return inSnapshot(this.#db, async (trx) => {
      const { rows } = await sql<{ at: string; same: boolean }>`
        select ${start}::text as at, ${start} = ${bound(from, type)} as same
        from ${tableId(table)} as row
        where ${start} >= ${bound(from, type)} and ${start} < ${bound(before, type)}
        order by ${start}
        offset ${most}::int limit 1`.execute(trx)
      const [row] = rows
      if (row === undefined || !row.same) return row?.at ?? null
      // More rows than a batch start at once: the slice is larger, and takes several.
      const { rows: later } = await sql<{ at: string | null }>`
        select min(${start})::text as at
        from ${tableId(table)} as row
        where ${start} > ${bound(from, type)} and ${start} < ${bound(before, type)}`.execute(trx)
      return later[0]?.at ?? null
    })
  }
}
