/**
 * What an auditor trusts, kept away from the database: a tlog-policy of C2SP. A `log` key called as
 * the origin signs checkpoints, one called `<origin>/entry` is the first entry key; witnesses and the
 * quorum say whose cosignatures a checkpoint needs.
 */
import { parseVerifierKey, samePublicKey, type NoteSigned, type VerifierKey } from './note.ts'
import { keyName } from './signature.ts'

export type Trust = {
  readonly origin: string
  /** Keys that sign checkpoints; never empty. */
  readonly log: readonly VerifierKey[]
  /** Null: entries are believed because a checkpoint covers them. */
  readonly entry: VerifierKey | null
  readonly witnesses: readonly VerifierKey[]
  /** Null: nobody else has to have seen a checkpoint. */
  readonly quorum: Quorum | null
}

/** One witness, or so many of some. */
export type Quorum =
  | { readonly kind: 'witness'; readonly key: VerifierKey }
  | { readonly kind: 'group'; readonly least: number; readonly of: readonly Quorum[] }

/** The trust that a file states, or what is wrong with it. */
export type ReadTrust =
  { readonly trust: Trust; readonly fault?: undefined } | { readonly fault: string }

/** What was read so far. */
type Reading = {
  readonly keys: VerifierKey[]
  readonly named: Map<string, Quorum>
  /** Undefined: no line has said it. */
  quorum: Quorum | null | undefined
}

/** Reads a trust file. A line that is not understood is refused: it might ask for more. */
export function parseTrust(text: string): ReadTrust {
  const reading: Reading = { keys: [], named: new Map(), quorum: undefined }
  for (const [at, line] of text.split('\n').entries()) {
    const words = line.trim().split(/\s+/)
    if (line.trim() === '' || line.trim().startsWith('#')) continue
    const fault = readLine(reading, words)
    if (fault !== null) return { fault: `line ${at + 1} ${fault}` }
  }
  const log = reading.keys.filter(({ name }) => !name.endsWith('/entry'))
  const origin = log[0]?.name
  if (origin === undefined) return { fault: 'it names no checkpoint key' }
  const others = reading.keys.filter((key) => !log.includes(key))
  const foreign = [
    ...log.map(({ name }) => name !== origin),
    ...others.map(({ name }) => name !== keyName(origin)),
  ]
  if (foreign.includes(true)) return { fault: 'its keys belong to more than one journal' }
  if (others.length > 1) return { fault: 'it names more than one entry key; keep the first' }
  const witnesses = [...reading.named.values()].flatMap(keysOf)
  if (reading.quorum === undefined && witnesses.length > 0) {
    return { fault: 'it names witnesses, and no line says which quorum is needed' }
  }
  const quorum = reading.quorum ?? null
  return { trust: { origin, log, entry: others[0] ?? null, witnesses, quorum } }
}

function readLine(reading: Reading, [word = '', ...rest]: readonly string[]): string | null {
  switch (word) {
    case 'log': {
      const key = parseVerifierKey(rest[0] ?? '')
      if (key?.algorithm !== 'ed25519') return 'names no verifier key'
      reading.keys.push(key)
      return null
    }
    case 'witness':
      return readWitness(reading, rest)
    case 'group':
      return readGroup(reading, rest)
    case 'quorum': {
      if (reading.quorum !== undefined) return 'asks for a second quorum'
      const [name = ''] = rest
      const quorum = name === 'none' ? null : reading.named.get(name)
      if (quorum === undefined) return 'asks for a quorum that no line above it names'
      reading.quorum = quorum
      return null
    }
    default:
      return 'is none of log, witness, group and quorum'
  }
}

/** `witness NAME VKEY [URL]` */
function readWitness(reading: Reading, [name = '', vkey = '']: readonly string[]): string | null {
  const key = parseVerifierKey(vkey)
  if (key?.algorithm !== 'cosignature') return 'names no verifier key of a witness'
  const known = [...reading.named.values()].flatMap(keysOf)
  if (known.some((other) => samePublicKey(other, key))) return 'names a witness a second time'
  return nameIt(reading, name, { kind: 'witness', key })
}

/** `group NAME any|all|NUMBER MEMBER…` */
function readGroup(
  reading: Reading,
  [name = '', many = '', ...members]: readonly string[],
): string | null {
  const of = members.flatMap((member) => reading.named.get(member) ?? [])
  if (of.length < members.length || new Set(members).size < members.length) {
    return 'has a member that no line above it names, or one twice'
  }
  const least = many === 'any' ? 1 : many === 'all' ? of.length : Number(many)
  if (!Number.isSafeInteger(least) || least < 1 || least > of.length) {
    return 'asks for more members than it has, or for none'
  }
  return nameIt(reading, name, { kind: 'group', least, of })
}

function nameIt(reading: Reading, name: string, quorum: Quorum): string | null {
  if (name === '' || name === 'none' || reading.named.has(name)) return 'gives a name twice'
  reading.named.set(name, quorum)
  return null
}

function keysOf(quorum: Quorum): readonly VerifierKey[] {
  // The members of a group are named for themselves.
  return quorum.kind === 'witness' ? [quorum.key] : []
}

/** True if those who signed are enough; without a quorum nobody has to. */
export function hasQuorum(
  { quorum }: Pick<Trust, 'quorum'>,
  signed: readonly NoteSigned[],
): boolean {
  return quorum === null || meets(quorum, signed)
}

function meets(quorum: Quorum, signed: readonly NoteSigned[]): boolean {
  return quorum.kind === 'witness'
    ? signed.some(({ key }) => key.algorithm === 'cosignature' && samePublicKey(key, quorum.key))
    : quorum.of.filter((member) => meets(member, signed)).length >= quorum.least
}
