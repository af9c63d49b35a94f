/** What a batch shows of its rows: hashed in this process, while PostgreSQL works on them. */
import { setImmediate as turn } from 'node:timers/promises'
import type { BatchEvidence, ChildRows } from '../journal/entry.ts'
import { tokensOf, type EvidenceKey } from '../journal/evidence.ts'
import type { Hash } from '../journal/merkle.ts'
import type { Changes } from './act.ts'

/** Under what the rows of a rule are committed to; null where only their number is journalled. */
export type RowEvidence = { readonly key: EvidenceKey; readonly origin: string }

/** What goes into the entry, and what is stored beside it. */
export type BatchProof = {
  readonly evidence: BatchEvidence
  readonly children: readonly ChildRows[]
  /** Null: the batch keeps none. */
  readonly tokens: Buffer | null
}

/**
 * Commits to every row that a batch acts on: the governed ones, and those that go along. A row that
 * loses its link stays, and gets none. To be awaited together with the statements that act: it gives way
 * to them after every few rows, so that it costs little where the database has work to do.
 */
export async function proveRows(
  rowEvidence: RowEvidence | null,
  batch: string,
  { keys, going, children }: Pick<Changes, 'keys' | 'going' | 'children'>,
): Promise<BatchProof> {
  if (rowEvidence === null) return { evidence: { alg: 'count' }, children, tokens: null }
  const { key, origin } = rowEvidence
  // In the order in which the children are listed.
  const gone = [...going.values()].filter((rows) => rows.length > 0)
  const { tokens, roots } = await tokensOf(key, { origin, batch }, [keys, ...gone], turn)
  const [root, ...below] = roots as readonly [Hash, ...Hash[]]
  const went = children.filter(({ action }) => action !== 'detach')
  return {
    evidence: { alg: 'pj1', key: key.id, root },
    children: children.map((child) => {
      const at = went.indexOf(child)
      return at < 0 ? child : { ...child, root: below[at] as Hash }
    }),
    tokens,
  }
}
