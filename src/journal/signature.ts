/**
 * Signatures of single entries, in the form of C2SP signed notes with Ed25519. The signed text has
 * two lines, `<origin>/entry` and the body, so it can never be read as a checkpoint, which has
 * three or more.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign as signBytes,
  verify as verifyBytes,
  type KeyObject,
} from 'node:crypto'

/** Makes entry signatures. Holds the private key; gives out only what it signed and its public half. */
export interface Signer {
  /** Signs one body: key id (4 bytes), then the signature (64 bytes). */
  sign(origin: string, body: Uint8Array): Buffer
  /** The public key in the spelling of signed notes: `name+key id+key`. */
  vkey(origin: string): string
}

/** The public half of an entry key, with the name it signs under. */
export type VerifierKey = {
  readonly name: string
  readonly keyId: Buffer
  readonly publicKey: KeyObject
}

export type SignedEntry = {
  readonly origin: string
  readonly body: Uint8Array
  readonly sig: Buffer
}

/** The type byte of Ed25519 in key ids and verifier keys. */
const ED25519 = Buffer.of(1)
const KEY_ID_BYTES = 4
const PUBLIC_KEY_BYTES = 32

/** Makes a signer of a PKCS#8 PEM, or gives null if that does not hold an Ed25519 key. */
export function signerOf(pem: string): Signer | null {
  const privateKey = readPrivateKey(pem)
  if (privateKey?.asymmetricKeyType !== 'ed25519') return null
  const publicBytes = bytesOf(createPublicKey(privateKey))
  return {
    sign: (origin, body) => {
      const name = keyName(origin)
      const signature = signBytes(null, signedText(name, body), privateKey)
      return Buffer.concat([keyIdOf(name, publicBytes), signature])
    },
    vkey: (origin) => {
      const name = keyName(origin)
      const key = Buffer.concat([ED25519, publicBytes]).toString('base64')
      return `${name}+${keyIdOf(name, publicBytes).toString('hex')}+${key}`
    },
  }
}

/** The name under which the entries of a journal are signed. */
export function keyName(origin: string): string {
  return `${origin}/entry`
}

/** Reads a verifier key in its only spelling, or gives null; a key id that is not the key's own is refused. */
export function parseVerifierKey(vkey: string): VerifierKey | null {
  const [, name = '', hex = '', base64 = ''] =
    /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(vkey) ?? []
  const key = Buffer.from(base64, 'base64')
  const publicBytes = key.subarray(ED25519.length)
  if (key.toString('base64') !== base64 || publicBytes.length !== PUBLIC_KEY_BYTES) return null
  if (!key.subarray(0, ED25519.length).equals(ED25519)) return null
  const keyId = keyIdOf(name, publicBytes)
  if (keyId.toString('hex') !== hex) return null
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicBytes.toString('base64url') }
  return { name, keyId, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) }
}

/** True if `key` is the entry key of this origin and signed this body. */
export function checkSignature(key: VerifierKey, { origin, body, sig }: SignedEntry): boolean {
  const name = keyName(origin)
  return (
    key.name === name &&
    sig.subarray(0, KEY_ID_BYTES).equals(key.keyId) &&
    verifyBytes(null, signedText(name, body), key.publicKey, sig.subarray(KEY_ID_BYTES))
  )
}

function signedText(name: string, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${name}\n`), body, Buffer.from('\n')])
}

function keyIdOf(name: string, publicBytes: Uint8Array): Buffer {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(ED25519)
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
