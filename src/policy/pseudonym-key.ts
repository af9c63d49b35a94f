import { createHmac } from 'node:crypto'

/** Of SHA-256, to which a key of HMAC is filled up (RFC 2104). */
const BLOCK_BYTES = 64

/** What turns a value into its pseudonym. Printed or made into JSON it shows its id only. */
export class PseudonymKey {
  /** Names the key in plans; nothing of the key can be learnt from it. */
  readonly id: string
  readonly #secret: Uint8Array

  constructor(secret: Uint8Array) {
    this.#secret = secret
    this.id = createHmac('sha256', secret)
      .update('retentiond pseudonym key')
      .digest('hex')
      .slice(0, 16)
  }

  /**
   * The two blocks with which PostgreSQL, which has SHA-256 but no HMAC, makes one:
   * sha256(outer || sha256(inner || value)). They are as secret as the key.
   */
  pads(): { readonly inner: Buffer; readonly outer: Buffer } {
    const block = (mask: number): Buffer => {
      const pad = Buffer.alloc(BLOCK_BYTES, mask)
      for (const [at, byte] of this.#secret.entries()) pad[at] = byte ^ mask
      return pad
    }
    return { inner: block(0x36), outer: block(0x5c) }
  }
}
