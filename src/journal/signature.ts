/**
 * Signatures of single entries: signed notes whose text has two lines, `<origin>/entry` and the
 * body, so it can never be read as a checkpoint, which has three or more.
 */
import type { Memory } from './memory.ts'
import { checkNoteSignature, noteSignerOf, type VerifierKey } from './note.ts'

/** Makes entry signatures. Holds the private key; gives out only what it signed and its public half. */
export interface Signer {
  /** Signs one body: key id (4 bytes), then the signature (64 bytes). */
  sign(origin: string, body: Uint8Array): Buffer
  /** The public key in the spelling of signed notes: `name+key id+key`. */
  vkey(origin: string): string
  /** What the process that signs remembers of the journal: what it appends, continues that. */
  readonly memory?: Memory
}

export type SignedEntry = {
  readonly origin: string
  readonly body: Uint8Array
  readonly sig: Buffer
}

/** Makes a signer of a PKCS#8 PEM, or gives null if that does not hold an Ed25519 key. */
export function signerOf(pem: string): Signer | null {
  const signer = noteSignerOf(pem)
  if (signer === null) return null
  return {
    sign: (origin, body) => signer.sign(keyName(origin), signedText(keyName(origin), body)),
    vkey: (origin) => signer.vkey(keyName(origin)),
  }
}

/** The name under which the entries of a journal are signed. */
export function keyName(origin: string): string {
  return `${origin}/entry`
}

/** True if `key` is the entry key of this origin and signed this body. */
export function checkSignature(key: VerifierKey, { origin, body, sig }: SignedEntry): boolean {
  const name = keyName(origin)
  return (
    key.name === name &&
    key.algorithm === 'ed25519' &&
    checkNoteSignature(key, signedText(name, body), sig) !== false
  )
}

function signedText(name: string, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${name}\n`), body, Buffer.from('\n')])
}
