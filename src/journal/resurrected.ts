/**
 * Rows that the journal says were deleted, and that are there: somebody journalled a deletion that
 * never was, or restored what was deleted, or inserted it again under the same key.
 */
import { parseEntry, type Entry } from './entry.ts'
import { openToken, type EvidenceKey, type RowKey } from './evidence.ts'
import { tablesOf } from './proof.ts'
import type { ProofSource } from './prove.ts'
import type { Finding, Remark } from './verify.ts'

type BatchEntry = Extract<Entry, { type: 'batch' }>

/** The keys of some rows that are in a table now, at most so many; null if it cannot be read. */
export type AliveKeys = (target: string, most: number) => Promise<readonly RowKey[] | null>

/** Each row that is compared with each token costs a hash: so many take about five seconds. */
const MOST_HASHES = 8_000_000
/** Rows of one table that are looked for. */
const MOST_KEYS = 100

export type Searched = {
  readonly findings: readonly Finding[]
  readonly remarks: readonly Remark[]
}

/**
 * Looks for rows of today among the tokens of deleted ones, from the newest batch back, until the
 * effort is spent: a sample, and the remark says how large it was.
 */
export async function findResurrected(
  source: Pick<ProofSource, 'backwards' | 'tokens'>,
  evidence: readonly EvidenceKey[],
  origin: string,
  aliveKeys: AliveKeys,
): Promise<Searched> {
  const findings: Finding[] = []
  const alive = new Map<string, readonly RowKey[]>()
  let left = MOST_HASHES
  let batches = 0
  for await (const { seq, body } of source.backwards()) {
    const { entry } = parseEntry(body)
    const key = entry === undefined ? undefined : keyOf(entry, evidence)
    const tokens = key === undefined ? null : await source.tokens(seq)
    if (entry?.type !== 'batch' || key === undefined || tokens === null) continue
    const kept = tablesOf(entry).filter(({ root }) => root !== undefined)
    const rows = kept.reduce((sum, table) => sum + table.rows, 0)
    const blinds = key.blinds({ origin, batch: entry.batch }, rows)
    let from = 0
    for (const { target, action, rows: own } of kept) {
      const keys = action === 'purge' ? await keysIn(alive, target, aliveKeys) : []
      for (const each of keys.slice(0, Math.floor(left / own))) {
        left -= own
        if ((await openToken(blinds, tokens, { from, rows: own }, each)) === null) continue
        const message = `a row of ${target} that it deleted is there: the deletion never was, or the row came back`
        findings.push({ code: 'RESURRECTED', seq, message })
        break
      }
      from += own
    }
    batches += 1
    if (left < rows) break
  }
  const sample = [...alive].map(([target, keys]) => `${keys.length} of ${target}`).join(', ')
  const message = `rows that are there (${sample || 'none'}) were looked for in the newest ${batches} batches with evidence`
  return { findings, remarks: [{ code: 'SAMPLED', seq: 0, message }] }
}

function keyOf(entry: Entry, evidence: readonly EvidenceKey[]): EvidenceKey | undefined {
  if (entry.type !== 'batch' || entry.action !== 'purge' || entry.evidence.alg !== 'pj1') {
    return undefined
  }
  const { key: id } = entry.evidence
  return evidence.find((key) => key.id === id)
}

async function keysIn(
  alive: Map<string, readonly RowKey[]>,
  target: BatchEntry['target'],
  aliveKeys: AliveKeys,
): Promise<readonly RowKey[]> {
  const known = alive.get(target) ?? (await aliveKeys(target, MOST_KEYS)) ?? []
  alive.set(target, known)
  return known
}
