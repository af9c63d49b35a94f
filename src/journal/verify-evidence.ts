/** What a batch says of its rows against the tokens that are stored beside it. */
import type { Entry } from './entry.ts'
import { rootOfTokens, TOKEN_BYTES } from './evidence.ts'
import type { StoredTokens } from './reader.ts'

type BatchEntry = Extract<Entry, { type: 'batch' }>

/** Which evidence keys are in use, and of which batches no tokens are stored. */
export type EvidenceSeen = {
  readonly keys: Set<string>
  readonly missing: number[]
  readonly pruned: { readonly from: number; readonly to: number }[]
}

export function noEvidenceSeen(): EvidenceSeen {
  return { keys: new Set(), missing: [], pruned: [] }
}

/**
 * Checks an entry and the tokens of its batch; null if they agree. Of tokens that were not read
 * (undefined) nothing is said; those that are not stored (null) are judged at the end, when it is
 * known what was pruned.
 */
export function checkEvidence(
  seen: EvidenceSeen,
  entry: Entry,
  tokens: StoredTokens | undefined,
): string | null {
  if (entry.type === 'keys' && entry.use === 'evidence') seen.keys.add(entry.key)
  if (entry.type === 'evidence-pruned') seen.pruned.push({ from: entry.from, to: entry.to })
  if (entry.type === 'evidence-key-destroyed' && !seen.keys.delete(entry.key)) {
    return `no evidence key ${entry.key} is in use here`
  }
  if (entry.type !== 'batch')
    return tokens ? 'tokens are stored for an entry that is no batch' : null
  const { evidence, children, seq } = entry
  if (evidence.alg === 'count') {
    if (children.some(({ root }) => root !== undefined))
      return 'it roots tokens that it does not keep'
    return tokens ? 'tokens are stored that it does not name' : null
  }
  if (children.some(({ action, root }) => (root === undefined) !== (action === 'detach'))) {
    return 'a child that was purged has no root over its tokens, or one that stays has'
  }
  if (!seen.keys.has(evidence.key)) return `evidence key ${evidence.key} is not in use here`
  if (tokens === null) seen.missing.push(seq)
  return tokens ? checkTokens(entry, tokens) : null
}

/** Checks number and roots of the tokens of a batch; null if they are those that its entry names. */
export function checkTokens(entry: BatchEntry, tokens: NonNullable<StoredTokens>): string | null {
  const { evidence, rows, children } = entry
  if (evidence.alg === 'count') return 'it keeps no tokens'
  const parts = [
    { rows, root: evidence.root },
    ...children.filter(({ root }) => root !== undefined),
  ]
  const total = parts.reduce((sum, part) => sum + part.rows, 0)
  const length = Buffer.isBuffer(tokens) ? tokens.length : tokens.bytes
  if (length !== total * TOKEN_BYTES) {
    return `it acted on ${total} rows, and ${length / TOKEN_BYTES} tokens are stored`
  }
  if (!Buffer.isBuffer(tokens)) return null
  let at = 0
  for (const part of parts) {
    const end = at + part.rows * TOKEN_BYTES
    if (part.root?.equals(rootOfTokens(tokens.subarray(at, end))) !== true) {
      return 'the stored tokens are not those that it names'
    }
    at = end
  }
  return null
}

/** Batches whose tokens are neither stored nor said to be pruned. */
export function unexplained({ missing, pruned }: EvidenceSeen): readonly number[] {
  return missing.filter((seq) => !pruned.some(({ from, to }) => seq >= from && seq <= to))
}
