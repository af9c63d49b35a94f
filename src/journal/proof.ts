/**
 * The proof that one row was acted on: a file that is checked without a database and without the
 * evidence key. It opens one token, and leads from it to a checkpoint that somebody kept.
 */
import { openCheckpoint } from './checkpoint.ts'
import { parseEntry, type Entry } from './entry.ts'
import { TILE_TOKENS, TOKEN_BYTES, tokenOf, type OpenedToken, type RowKey } from './evidence.ts'
import { checkInclusion, leafHash, type Hash, type TreeHead } from './merkle.ts'
import { closed, list, one, shaped, some, text, upTo, whole, type Of, type Shape } from './shape.ts'
import { checkSignature } from './signature.ts'
import type { NoteSigned } from './note.ts'
import { hasQuorum, type Trust } from './trust.ts'

type BatchEntry = Extract<Entry, { type: 'batch' }>

/** An entry with its way to the root of the checkpoint. */
export type ProvedEntry = {
  readonly seq: number
  readonly body: Buffer
  readonly sig: Buffer
  readonly path: readonly Hash[]
}

export type Proof = {
  readonly key: RowKey
  /** Whose row it was: 0 the governed table, from 1 on the children of the batch. */
  readonly part: number
  readonly opened: OpenedToken
  readonly batch: ProvedEntry
  /** The policy entry that the batch rests on. */
  readonly policy: ProvedEntry
  /** The signed note. */
  readonly checkpoint: string
}

export type ProofCode = 'KEY' | 'QUORUM' | 'SIGNATURE' | 'ENCODING' | 'ROOT' | 'POLICY' | 'EVIDENCE'

/** What a proof that holds says. */
export type Proved = {
  readonly key: RowKey
  readonly target: string
  readonly action: string
  readonly batch: BatchEntry
  readonly policy: Extract<Entry, { type: 'policy' }>
  readonly head: TreeHead
  /** Who of those that are trusted signed the checkpoint, and when witnesses saw it. */
  readonly signed: readonly NoteSigned[]
}

/** What a proof is worth: what it proves, or why it proves nothing. */
export type CheckedProof =
  | { readonly proved: Proved; readonly fault?: undefined }
  | {
      readonly fault: { readonly code: ProofCode; readonly message: string }
      readonly proved?: undefined
    }

const string: Shape<string> = (value, at) =>
  typeof value === 'string' ? value : one('')(value, at)

/** Base64 in its only spelling: no bits are left over at its end. */
const base64: Shape<string> = (value, at) => {
  const given = string(value, at)
  return given !== '' && spelt(bytes(given)) === given ? given : one('=')(given, at)
}
const hash = text(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/)

const wireProvedEntry = closed({
  seq: whole(0),
  body: upTo(65_535),
  sig: base64,
  path: list(hash),
})

const wireProof = closed({
  v: one(1),
  type: one('proof'),
  row: closed({
    key: some(string),
    part: whole(0),
    position: whole(0),
    blind: hash,
    tile: base64,
    path: list(hash),
  }),
  batch: wireProvedEntry,
  policy: wireProvedEntry,
  checkpoint: upTo(65_535),
})

/** Prints a proof as the file that is handed out. */
export function printProof(proof: Proof): string {
  const { key, part, opened, batch, policy, checkpoint } = proof
  const { position, blind, tile, path } = opened
  const row = { key, part, position, blind: spelt(blind), tile: spelt(tile), path: path.map(spelt) }
  return printed({
    v: 1,
    type: 'proof',
    row,
    batch: toWire(batch),
    policy: toWire(policy),
    checkpoint,
  })
}

/** Reads a proof in its only spelling, or gives null. It believes nothing of it. */
export function parseProof(file: string): Proof | null {
  const json = parseJson(file)
  const read = shaped(wireProof, json)
  if (read.fault !== undefined || printed(read.value) !== file) return null
  const { value } = read
  const { key, part, position, blind, tile, path } = value.row
  return {
    key,
    part,
    opened: { position, blind: bytes(blind), tile: bytes(tile), path: path.map(bytes) },
    batch: fromWire(value.batch),
    policy: fromWire(value.policy),
    checkpoint: value.checkpoint,
  }
}

/** Checks a proof against the keys that its reader trusts, and nothing else. */
export function checkProof(proof: Proof, trust: Trust): CheckedProof {
  const note = openCheckpoint(proof.checkpoint, [...trust.log, ...trust.witnesses])
  if (note.fault !== undefined) {
    return note.fault === 'unknown'
      ? no('KEY', 'no trusted key signed the checkpoint')
      : no('SIGNATURE', `the checkpoint is ${note.fault}`)
  }
  const head = note.checkpoint
  for (const entry of [proof.batch, proof.policy]) {
    const fault = checkEntry(entry, head, trust)
    if (fault !== null) return fault
  }
  const batch = parseEntry(proof.batch.body).entry
  const policy = parseEntry(proof.policy.body).entry
  if (batch?.type !== 'batch') return no('ENCODING', `entry ${proof.batch.seq} is no batch`)
  if (policy?.type !== 'policy' || !restsOn(batch, policy)) {
    return no('POLICY', 'the policy entry is not the one that the batch names')
  }
  const table = tablesOf(batch)[proof.part]
  if (table === undefined || !isOpened(proof, table)) {
    return no('EVIDENCE', 'the row has no token at this place of the batch')
  }
  if (!hasQuorum(trust, note.signed)) {
    return no('QUORUM', 'the checkpoint lacks the cosignatures that the trust file asks for')
  }
  const { target, action } = table
  const { size, root } = head
  const { signed } = note
  return { proved: { key: proof.key, target, action, batch, policy, head: { size, root }, signed } }
}

function checkEntry({ seq, body, sig, path }: ProvedEntry, head: TreeHead, trust: Trust) {
  const { entry, fault } = parseEntry(body)
  if (entry === undefined) return no('ENCODING', `entry ${seq} ${fault}`)
  if (entry.seq !== seq) return no('ENCODING', `the body says that it is entry ${entry.seq}`)
  if (!checkInclusion({ leaf: leafHash(body), index: seq, path, ...head })) {
    return no('ROOT', `entry ${seq} is not in the tree of the checkpoint`)
  }
  // Entries after a rotation carry another key; that the checkpoint covers them proves them.
  const known = trust.entry !== null && sig.subarray(0, 4).equals(trust.entry.keyId)
  return known && !checkSignature(trust.entry, { origin: trust.origin, body, sig })
    ? no('SIGNATURE', `the signature of entry ${seq} is not that of the entry key`)
    : null
}

function restsOn(batch: BatchEntry, policy: Extract<Entry, { type: 'policy' }>): boolean {
  const { rule, sha256, seq } = batch.policy
  return seq === policy.seq && rule === policy.rule && sha256 === policy.sha256
}

/** The tables of a batch in the order of its tokens; those whose rows stay have no root. */
export function tablesOf({ target, action, rows, evidence, children }: BatchEntry) {
  const root = evidence.alg === 'pj1' ? evidence.root : undefined
  return [{ target, action, rows, ...(root !== undefined && { root }) }, ...children]
}

function isOpened(
  { key, opened }: Proof,
  table: { readonly rows: number; readonly root?: Hash },
): boolean {
  const { position, blind, tile, path } = opened
  const index = Math.floor(position / TILE_TOKENS)
  const inTile = Math.min(TILE_TOKENS, table.rows - index * TILE_TOKENS)
  if (table.root === undefined || position >= table.rows) return false
  if (tile.length !== inTile * TOKEN_BYTES) return false
  const at = (position % TILE_TOKENS) * TOKEN_BYTES
  const size = Math.ceil(table.rows / TILE_TOKENS)
  return (
    tokenOf(blind, key).equals(tile.subarray(at, at + TOKEN_BYTES)) &&
    checkInclusion({ leaf: leafHash(tile), index, size, root: table.root, path })
  )
}

function no(code: ProofCode, message: string) {
  return { fault: { code, message } }
}

function toWire({ seq, body, sig, path }: ProvedEntry): Of<typeof wireProvedEntry> {
  return { seq, body: body.toString(), sig: spelt(sig), path: path.map(spelt) }
}

function fromWire({ seq, body, sig, path }: Of<typeof wireProvedEntry>): ProvedEntry {
  return { seq, body: Buffer.from(body), sig: bytes(sig), path: path.map(bytes) }
}

function printed(proof: Of<typeof wireProof>): string {
  return `${JSON.stringify(proof, null, 2)}\n`
}

function spelt(given: Buffer): string {
  return given.toString('base64')
}

function bytes(given: string): Buffer {
  return Buffer.from(given, 'base64')
}

function parseJson(file: string): unknown {
  try {
    return JSON.parse(file)
  } catch {
    // The parser's message would quote the row's key.
    return undefined
  }
}
