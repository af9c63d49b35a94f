/**
 * The ways through a table. A walk hands out stretches one after the other, to as many connections as
 * ask: no two of them get the same rows, and between them they get the whole table.
 */
import { inspectLeaves } from '../catalog/inspect-storage.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import type { TableRef } from '../db/governed.ts'
import { inSnapshot } from '../db/transaction.ts'
import type { Boundary } from '../plan/boundary.ts'
import type { WalkKind } from '../policy/walk.ts'
import type { Stretch } from './stretch.ts'
import { HeapWalk } from './walk-heap.ts'
import { IndexWalk } from './walk-index.ts'

export interface Walk {
  /** The next stretch, of about as many due rows as that at most; null: there is none any more. */
  next(rows: number): Promise<Stretch | null>
  /** Told how many rows a batch found, and whether it came to the end, so that later ones fit. */
  learn(stretch: Stretch, rows: number): void
}

export type WalkOrder = {
  readonly fitted: FittedRule
  readonly boundary: Boundary
  readonly walk: WalkKind
}

/** A part of the table with its size when the walk began. */
export type Part = { readonly table: TableRef; readonly pages: number }

/** Begins a walk in which about `due` rows are expected. */
export async function openWalk(db: Db, order: WalkOrder, due: number): Promise<Walk> {
  const { fitted, walk } = order
  if (walk === 'key') return keyWalk(fitted)
  const leaves = await inSnapshot(db, async (trx) => inspectLeaves(trx, fitted.table))
  // A partition that came since the plan was made, before its rights.
  if (leaves === null) return keyWalk(fitted)
  const parts = leaves.map(({ schema, name, pages }): Part => {
    return { table: { schema, name, only: true }, pages }
  })
  return walk === 'heap' ? new HeapWalk(parts, due) : new IndexWalk(db, order, parts)
}

/** The whole table at once, in the order of the key: each batch goes on behind the one before. */
function keyWalk({ table }: FittedRule): Walk {
  const stretches: Stretch[] = [
    { part: table, range: { kind: 'whole' }, fits: false, order: 'key' },
  ]
  return { next: async () => stretches.pop() ?? null, learn: () => {} }
}
