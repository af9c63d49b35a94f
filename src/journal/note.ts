/**
 * Signed notes of C2SP with Ed25519: a text, an empty line, and a line for each signature. Entries
 * and checkpoints are signed in this form, so that the tools of other transparency logs read ours.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign as signBytes,
  verify as verifyBytes,
  type KeyObject,
} from 'node:crypto'

/** A private key under any name; it gives out only what it signed and its public half. */
export interface NoteSigner {
  /** Signs a text under this name: key id (4 bytes), then the signature (64 bytes). */
  sign(name: string, text: Uint8Array): Buffer
  /** The public key in the spelling of signed notes: `name+key id+key`. */
  vkey(name: string): string
}

/** The key of a witness: it signs a text together with the time at which it saw it. */
export interface Cosigner {
  /** Key id (4 bytes), time (8 bytes), then the signature (64 bytes). */
  cosign(name: string, text: Uint8Array, time: number): Buffer
  vkey(name: string): string
}

/** What a key signs: the text itself, or the text with the time at which a witness saw it. */
export type Algorithm = 'ed25519' | 'cosignature'

/** A public key with the name it signs under. */
export type VerifierKey = {
  readonly name: string
  readonly algorithm: Algorithm
  readonly keyId: Buffer
  readonly publicKey: KeyObject
}

/** One line below a note: who claims to have signed, and the key id with the signature. */
export type NoteSignature = { readonly name: string; readonly bytes: Buffer }

export type Note = {
  /** With its last line feed. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** Who signed a note; a witness says when, in seconds since 1970. */
export type NoteSigned = { readonly key: VerifierKey; readonly time: number | null }

/**
 * What a note is worth: signed by known keys, or `malformed`, `unknown` (no known key signed it),
 * or `forged` (a line claims a known key, and that key did not sign).
 */
export type OpenedNote =
  | {
      readonly text: string
      readonly signed: readonly NoteSigned[]
      readonly fault?: undefined
    }
  | { readonly fault: 'malformed' | 'unknown' | 'forged' }

/** The type bytes of the algorithms in key ids and verifier keys. */
const TYPE_BYTE: Readonly<Record<Algorithm, Buffer>> = {
  ed25519: Buffer.of(1),
  cosignature: Buffer.of(4),
}
const KEY_ID_BYTES = 4
const PUBLIC_KEY_BYTES = 32
const TIME_BYTES = 8
/** More than anybody needs; each costs a verification. */
const MOST_SIGNATURES = 100

/** Makes a signer of a PKCS#8 PEM, or gives null if that does not hold an Ed25519 key. */
export function noteSignerOf(pem: string): NoteSigner | null {
  const privateKey = readPrivateKey(pem)
  if (privateKey?.asymmetricKeyType !== 'ed25519') return null
  const publicBytes = bytesOf(createPublicKey(privateKey))
  return {
    sign: (name, text) =>
      Buffer.concat([keyIdOf(name, 'ed25519', publicBytes), signBytes(null, text, privateKey)]),
    vkey: (name) => spelled(name, 'ed25519', publicBytes),
  }
}

/** As `noteSignerOf`, for a witness. */
export function cosignerOf(pem: string): Cosigner | null {
  const privateKey = readPrivateKey(pem)
  if (privateKey?.asymmetricKeyType !== 'ed25519') return null
  const publicBytes = bytesOf(createPublicKey(privateKey))
  return {
    cosign: (name, text, time) => {
      const seconds = Buffer.alloc(TIME_BYTES)
      seconds.writeBigUInt64BE(BigInt(time))
      const signature = signBytes(null, cosignedText(text, time), privateKey)
      return Buffer.concat([keyIdOf(name, 'cosignature', publicBytes), seconds, signature])
    },
    vkey: (name) => spelled(name, 'cosignature', publicBytes),
  }
}

function cosignedText(text: Uint8Array, time: number): Buffer {
  return Buffer.concat([Buffer.from(`cosignature/v1\ntime ${time}\n`), text])
}

function spelled(name: string, algorithm: Algorithm, publicBytes: Uint8Array): string {
  const key = Buffer.concat([TYPE_BYTE[algorithm], publicBytes]).toString('base64')
  return `${name}+${keyIdOf(name, algorithm, publicBytes).toString('hex')}+${key}`
}

/** Reads a verifier key in its only spelling, or gives null; a key id that is not the key's own is refused. */
export function parseVerifierKey(vkey: string): VerifierKey | null {
  const [, name = '', hex = '', base64 = ''] =
    /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(vkey) ?? []
  const key = Buffer.from(base64, 'base64')
  const publicBytes = key.subarray(1)
  if (key.toString('base64') !== base64 || publicBytes.length !== PUBLIC_KEY_BYTES) return null
  const algorithm = key[0] === 1 ? 'ed25519' : key[0] === 4 ? 'cosignature' : null
  if (algorithm === null) return null
  const keyId = keyIdOf(name, algorithm, publicBytes)
  if (keyId.toString('hex') !== hex) return null
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicBytes.toString('base64url') }
  return { name, algorithm, keyId, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) }
}

/** Spells a verifier key as it was read. */
export function printVerifierKey({ name, algorithm, publicKey }: VerifierKey): string {
  return spelled(name, algorithm, bytesOf(publicKey))
}

/** True if two keys are one key, whatever their names: what one holder can sign, so can the other. */
export function samePublicKey(one: VerifierKey, other: VerifierKey): boolean {
  return one.publicKey.equals(other.publicKey)
}

/**
 * The time at which `key` signed this text, null if the algorithm states none, or `false` if it did
 * not sign.
 */
export function checkNoteSignature(
  key: VerifierKey,
  text: Uint8Array,
  bytes: Buffer,
): number | null | false {
  const signature = bytes.subarray(KEY_ID_BYTES)
  if (!bytes.subarray(0, KEY_ID_BYTES).equals(key.keyId)) return false
  if (key.algorithm === 'ed25519') {
    return verifyBytes(null, text, key.publicKey, signature) ? null : false
  }
  if (signature.length <= TIME_BYTES) return false
  const time = Number(signature.readBigUInt64BE())
  const said = cosignedText(text, time)
  const signed = verifyBytes(null, said, key.publicKey, signature.subarray(TIME_BYTES))
  return signed && Number.isSafeInteger(time) ? time : false
}

/** Prints a note: the text, which ends with a line feed, and its signatures. */
export function printNote({ text, signatures }: Note): string {
  const lines = signatures.map(({ name, bytes }) => `— ${name} ${bytes.toString('base64')}\n`)
  return `${text}\n${lines.join('')}`
}

/** Reads a note without believing it; null if it is not in the form. */
export function parseNote(note: string): Note | null {
  // Of the control characters a note has the line feed only.
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0009\u000b-\u001f]/.test(note)) return null
  const end = note.lastIndexOf('\n\n')
  if (end < 0 || !note.endsWith('\n')) return null
  const lines = note.slice(end + 2, -1).split('\n')
  const signatures = lines.map(parseSignature).filter((each) => each !== null)
  return signatures.length < lines.length || lines.length > MOST_SIGNATURES
    ? null
    : { text: note.slice(0, end + 1), signatures }
}

function parseSignature(line: string): NoteSignature | null {
  const [, name = '', base64 = ''] = /^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? []
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length > KEY_ID_BYTES && bytes.toString('base64') === base64 ? { name, bytes } : null
}

/** Reads a note that must be signed by at least one of these keys; other keys are passed over. */
export function openNote(note: string, keys: readonly VerifierKey[]): OpenedNote {
  const parsed = parseNote(note)
  if (parsed === null) return { fault: 'malformed' }
  const text = Buffer.from(parsed.text)
  const signed: NoteSigned[] = []
  for (const { name, bytes } of parsed.signatures) {
    const id = bytes.subarray(0, KEY_ID_BYTES)
    const key = keys.find((known) => known.name === name && known.keyId.equals(id))
    if (key === undefined) continue
    const time = checkNoteSignature(key, text, bytes)
    if (time === false) return { fault: 'forged' }
    signed.push({ key, time })
  }
  return signed.length === 0 ? { fault: 'unknown' } : { text: parsed.text, signed }
}

function keyIdOf(name: string, algorithm: Algorithm, publicBytes: Uint8Array): Buffer {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(TYPE_BYTE[algorithm])
    .update(publicBytes)
    .digest()
    .subarray(0, KEY_ID_BYTES)
}

function bytesOf(publicKey: KeyObject): Buffer {
  // SubjectPublicKeyInfo ends with the key itself (RFC 8410, section 4).
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-PUBLIC_KEY_BYTES)
}

function readPrivateKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey({ key: pem, format: 'pem', type: 'pkcs8' })
  } catch {
    // Node says only that it could not decode; which file it was, the caller knows.
    return null
  }
}
