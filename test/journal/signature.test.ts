import { createHash, generateKeyPairSync, verify as verifyBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseVerifierKey } from '../../src/journal/note.ts'
import { checkSignature, signerOf } from '../../src/journal/signature.ts'
import { ORIGIN, otherSigner, testSigner, TEST_PEM } from './builders.ts'

const body = Buffer.from('{"v":1}')

/** The public key of RFC 8032, section 7.1, test 1. */
const PUBLIC_KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'

function keyOf(vkey: string) {
  const key = parseVerifierKey(vkey)
  if (key === null) throw new Error('not a verifier key')
  return key
}

test('the key of RFC 8032 signs an entry with these 68 bytes', () => {
  const sig = testSigner.sign(ORIGIN, body)

  expect(sig.toString('hex')).toMatchInlineSnapshot(
    `"9aa0358e9a1dacdd95437675cf99a1218f68f059c86f433e5b6b06c72bfb0f42291b413173acde14e3f19c337c16e93f5d077a947f25f722e63a02a639164ba963a7b206"`,
  )
  expect(testSigner.vkey(ORIGIN)).toMatchInlineSnapshot(
    `"example.test/purge/1f0c77a2/entry+9aa0358e+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"`,
  )
})

test('a verifier key holds the public key of RFC 8032 and the id that the signed-note rule gives', () => {
  // The key itself may hold a plus; the name and the id may not.
  const [, name, id, base64] = /^(.*?)\+(.*?)\+(.*)$/.exec(testSigner.vkey(ORIGIN)) ?? []

  const key = Buffer.concat([Buffer.of(1), Buffer.from(PUBLIC_KEY, 'hex')])
  const text = Buffer.concat([Buffer.from(`${ORIGIN}/entry\n`), key])
  expect(name).toBe(`${ORIGIN}/entry`)
  expect(Buffer.from(base64 ?? '', 'base64')).toEqual(key)
  expect(id).toBe(createHash('sha256').update(text).digest('hex').slice(0, 8))
})

test('the verifier key in the documentation of signed notes is read, with its own key id', () => {
  const key = keyOf('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')

  const text = Buffer.from(
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  )
  const signed = Buffer.from(
    'x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=',
    'base64',
  )
  expect(key).toMatchObject({ name: 'PeterNeumann', keyId: signed.subarray(0, 4) })
  expect(verifyBytes(null, text, key.publicKey, signed.subarray(4))).toBe(true)
})

test('a signed entry is accepted under its origin and key, and under no other', () => {
  const sig = testSigner.sign(ORIGIN, body)
  const elsewhere = 'example.test/purge/00000000'

  const key = keyOf(testSigner.vkey(ORIGIN))
  expect(checkSignature(key, { origin: ORIGIN, body, sig })).toBe(true)
  expect(checkSignature(key, { origin: elsewhere, body, sig })).toBe(false)
  expect(checkSignature(keyOf(testSigner.vkey(elsewhere)), { origin: elsewhere, body, sig })).toBe(
    false,
  )
  expect(checkSignature(keyOf(otherSigner.vkey(ORIGIN)), { origin: ORIGIN, body, sig })).toBe(false)
})

test('a signature for another origin is refused even under the key id of this one', () => {
  const elsewhere = 'example.test/purge/00000000'
  const key = keyOf(testSigner.vkey(ORIGIN))
  const sig = Buffer.concat([key.keyId, testSigner.sign(elsewhere, body).subarray(4)])

  expect(checkSignature(key, { origin: elsewhere, body, sig })).toBe(false)
})

test('a verifier key of another algorithm is refused, whatever its key id', () => {
  const key = Buffer.concat([Buffer.of(2), Buffer.from(PUBLIC_KEY, 'hex')])
  // The id of the Ed25519 key with these bytes: only the type byte is another.
  const [id] = /(?<=\+)[0-9a-f]{8}(?=\+)/.exec(testSigner.vkey(ORIGIN)) ?? []

  expect(parseVerifierKey(`${ORIGIN}/entry+${id}+${key.toString('base64')}`)).toBeNull()
})

test('one changed bit of body or signature is refused', () => {
  const sig = testSigner.sign(ORIGIN, body)
  const key = keyOf(testSigner.vkey(ORIGIN))

  fc.assert(
    fc.property(fc.nat((body.length + sig.length) * 8 - 1), (bit) => {
      const both = Buffer.concat([body, sig])
      both.writeUInt8(both.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      const changed = { body: both.subarray(0, body.length), sig: both.subarray(body.length) }
      expect(checkSignature(key, { origin: ORIGIN, ...changed })).toBe(false)
    }),
  )
})

const VKEY = testSigner.vkey(ORIGIN)

test.for([
  ['another key id', VKEY.replace(/\+[0-9a-f]{8}\+/, '+00000000+')],
  ['another name', `x${VKEY}`],
  ['another algorithm', VKEY.replace('+Ad', '+Ag')],
  ['a key cut short', VKEY.slice(0, -4)],
  ['a space in the name', ` ${VKEY}`],
  ['a line break at the end', `${VKEY}\n`],
  ['nothing', ''],
])('a verifier key is refused for %s', ([, vkey]) => {
  expect(parseVerifierKey(vkey ?? '')).toBeNull()
})

test('only an Ed25519 key in PKCS#8 makes a signer', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })

  expect(signerOf(TEST_PEM)).not.toBeNull()
  expect(signerOf(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())).toBeNull()
  expect(signerOf(publicKey.export({ type: 'spki', format: 'pem' }).toString())).toBeNull()
  expect(signerOf('')).toBeNull()
})
