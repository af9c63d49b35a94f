/**
 * What an auditor trusts, kept away from the database: the `log` lines of a tlog-policy of C2SP. A
 * key called as the origin signs checkpoints, one called `<origin>/entry` is the first entry key.
 */
import { parseVerifierKey, type VerifierKey } from './note.ts'
import { keyName } from './signature.ts'

export type Trust = {
  readonly origin: string
  /** Keys that sign checkpoints; never empty. */
  readonly log: readonly VerifierKey[]
  /** Null: entries are believed because a checkpoint covers them. */
  readonly entry: VerifierKey | null
}

/** The trust that a file states, or what is wrong with it. */
export type ReadTrust =
  { readonly trust: Trust; readonly fault?: undefined } | { readonly fault: string }

/** Reads a trust file. A line that is not understood is refused: it might ask for a witness. */
export function parseTrust(text: string): ReadTrust {
  const keys: VerifierKey[] = []
  for (const [at, line] of text.split('\n').entries()) {
    const words = line.trim().split(/\s+/)
    if (line.trim() === '' || line.startsWith('#') || words.join(' ') === 'quorum none') continue
    if (words[0] !== 'log') return { fault: `line ${at + 1} is neither log VKEY nor quorum none` }
    const key = parseVerifierKey(words[1] ?? '')
    if (key?.algorithm !== 'ed25519') return { fault: `line ${at + 1} names no verifier key` }
    keys.push(key)
  }
  const log = keys.filter(({ name }) => !name.endsWith('/entry'))
  const origin = log[0]?.name
  if (origin === undefined) return { fault: 'it names no checkpoint key' }
  const others = keys.filter((key) => !log.includes(key))
  const foreign = [
    ...log.map(({ name }) => name !== origin),
    ...others.map(({ name }) => name !== keyName(origin)),
  ]
  if (foreign.includes(true)) return { fault: 'its keys belong to more than one journal' }
  if (others.length > 1) return { fault: 'it names more than one entry key; keep the first' }
  return { trust: { origin, log, entry: others[0] ?? null } }
}
