/**
 * Evidence for each row, algorithm pj1: a commitment of 32 bytes to the key of the row, blinded under
 * a secret key. Whoever lacks the key learns nothing from it, not even by trying every key there is;
 * whoever has it can later show that one row was acted on, and shows nothing of the others.
 */
import {
  createCipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hash,
  type KeyObject,
} from 'node:crypto'
import { invariant } from '../base/errors.ts'
import {
  EMPTY_RANGE,
  extend,
  leafHash,
  nodesOf,
  proveInclusion,
  rootOf,
  type CompactRange,
  type Hash,
} from './merkle.ts'

/** The key of a row as text, one part for each column. The journal never holds it. */
export type RowKey = readonly string[]

export const TOKEN_BYTES = 32
export const TILE_TOKENS = 256
const TILE_BYTES = TILE_TOKENS * TOKEN_BYTES

/** The secret that blinds: it shows its id and check value only. Destroyed, nobody can open a token. */
export class EvidenceKey {
  readonly id: string
  /** Base64: tells a wrong key from a row that was not acted on. */
  readonly check: string
  readonly #secret: KeyObject

  constructor(id: string, secret: Uint8Array) {
    invariant(secret.length === 32, 'an evidence key has 32 bytes')
    this.id = id
    this.#secret = createSecretKey(secret)
    this.check = createHash('sha256').update('pj1/kcv\n').update(secret).digest('base64')
  }

  /** The blinds of one batch, 32 bytes for each of its rows: a key stream that is used once. */
  blinds({ origin, batch }: BatchName, rows: number): Buffer {
    const key = createHmac('sha256', this.#secret).update(`pj1/batch\n${origin}\n${batch}`).digest()
    return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(
      Buffer.alloc(rows * TOKEN_BYTES),
    )
  }
}

/** What makes the tokens of a batch differ from those of every other. */
export type BatchName = { readonly origin: string; readonly batch: string }

/** The tokens of one batch, table after table, and the root over the tokens of each table. */
export type BatchTokens = { readonly tokens: Buffer; readonly roots: readonly Hash[] }

/**
 * Commits to the keys of a batch: those of the governed table first, then those of each child.
 * Gives way to others after every tile.
 */
export async function tokensOf(
  key: EvidenceKey,
  name: BatchName,
  tables: readonly (readonly RowKey[])[],
  giveWay: () => Promise<unknown> = async () => {},
): Promise<BatchTokens> {
  const rows = tables.reduce((sum, keys) => sum + keys.length, 0)
  const blinds = key.blinds(name, rows)
  const tokens = Buffer.allocUnsafe(rows * TOKEN_BYTES)
  const roots: Hash[] = []
  let at = 0
  for (const keys of tables) {
    const from = at
    for (const each of keys) {
      if (at % TILE_BYTES === 0) await giveWay()
      tokens.write(tokenText(blinds.subarray(at, at + TOKEN_BYTES), each), at, 'latin1')
      at += TOKEN_BYTES
    }
    roots.push(rootOfTokens(tokens.subarray(from, at)))
  }
  return { tokens, roots }
}

/** The commitment to one row. */
export function tokenOf(blind: Uint8Array, key: RowKey): Buffer {
  return Buffer.from(tokenText(blind, key), 'latin1')
}

/** As a string of bytes: four times faster than a buffer, and this runs once for each row. */
function tokenText(blind: Uint8Array, key: RowKey): string {
  const bytes = commitment(key)
  bytes.set(blind, 1)
  return hash('sha256', bytes, 'binary')
}

/** What is hashed for a row, with room for its blind after the first byte. */
function commitment(key: RowKey): Buffer {
  const record = JSON.stringify(key)
  const bytes = Buffer.allocUnsafe(1 + TOKEN_BYTES + Buffer.byteLength(record))
  bytes[0] = 0
  bytes.write(record, 1 + TOKEN_BYTES, 'utf8')
  return bytes
}

/** RFC 6962 over tiles of 256 tokens: a proof is one tile and a few hashes. */
export function rootOfTokens(tokens: Uint8Array): Hash {
  let range: CompactRange = EMPTY_RANGE
  for (const tile of tilesOf(tokens)) range = extend(range, leafHash(tile))
  return rootOf(range)
}

function tilesOf(tokens: Uint8Array): readonly Uint8Array[] {
  return Array.from({ length: Math.ceil(tokens.length / TILE_BYTES) }, (_, index) =>
    tokens.subarray(index * TILE_BYTES, (index + 1) * TILE_BYTES),
  )
}

/** One row opened: what shows that the token at `position` of a table's tokens is its own. */
export type OpenedToken = {
  /** Position among the rows of its table in this batch. */
  readonly position: number
  readonly blind: Buffer
  /** The tokens around it; they tell the reader nothing. */
  readonly tile: Buffer
  /** From the tile to the root of the table's tokens. */
  readonly path: readonly Hash[]
}

/** Where a table's tokens lie in those of a batch, counted in rows. */
export type TablePart = { readonly from: number; readonly rows: number }

/** Looks for a row among the tokens of one table in a batch; null if it is not there. */
export async function openToken(
  blinds: Buffer,
  tokens: Buffer,
  { from, rows }: TablePart,
  key: RowKey,
): Promise<OpenedToken | null> {
  const attempt = commitment(key)
  for (let position = 0; position < rows; position += 1) {
    const at = (from + position) * TOKEN_BYTES
    const blind = blinds.subarray(at, at + TOKEN_BYTES)
    // Once for each row of the journal, so nothing is allocated that need not be.
    attempt.set(blind, 1)
    const token = hash('sha256', attempt, 'binary')
    if (token !== tokens.toString('latin1', at, at + TOKEN_BYTES)) continue
    const own = tokens.subarray(from * TOKEN_BYTES, (from + rows) * TOKEN_BYTES)
    const tiles = tilesOf(own)
    const tile = Math.floor(position / TILE_TOKENS)
    const path = await proveInclusion(nodesOf(tiles.map(leafHash)), tile, tiles.length)
    return { position, blind, tile: Buffer.from(tiles[tile] as Uint8Array), path }
  }
  return null
}
