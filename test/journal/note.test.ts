import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  noteSignerOf,
  openNote,
  parseNote,
  parseVerifierKey,
  printNote,
  printVerifierKey,
  type NoteSigner,
  type VerifierKey,
} from '../../src/journal/note.ts'
import { OTHER_PEM, TEST_PEM } from './builders.ts'

function signerOf(pem: string): NoteSigner {
  const signer = noteSignerOf(pem)
  if (signer === null) throw new Error('the test key is no Ed25519 key')
  return signer
}

function keyOf(vkey: string): VerifierKey {
  const key = parseVerifierKey(vkey)
  if (key === null) throw new Error('not a verifier key')
  return key
}

/** The note in the documentation of golang.org/x/mod/sumdb/note. */
const GO_KEY = keyOf('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')
const GO_NOTE = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`

/** The example of the specification of signed notes, whose key it does not give. */
const C2SP_NOTE = `Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
`

test('the note in the documentation of Go is opened with its key', () => {
  expect(openNote(GO_NOTE, [GO_KEY])).toMatchObject({
    text: GO_NOTE.slice(0, GO_NOTE.indexOf('\n\n') + 1),
    signed: [{ key: GO_KEY, time: null }],
  })
})

test('the example of the specification is read: its text has an empty line of its own', () => {
  const note = parseNote(C2SP_NOTE)

  expect(note?.text.endsWith('\n\ned è subito sera.\n')).toBe(true)
  expect(note?.signatures.map(({ name, bytes }) => [name, bytes.length])).toEqual([
    ['quasimodo.example/salvatore', 68],
  ])
  expect(note === null ? '' : printNote(note)).toBe(C2SP_NOTE)
})

const ours = signerOf(TEST_PEM)
const other = signerOf(OTHER_PEM)
const TEXT = 'example.test/log\nwords\n'

function noteOf(...signers: readonly (readonly [string, NoteSigner])[]): string {
  const signatures = signers.map(([name, signer]) => {
    return { name, bytes: signer.sign(name, Buffer.from(TEXT)) }
  })
  return printNote({ text: TEXT, signatures })
}

test('a note signed by a known and by an unknown key is opened by the known one', () => {
  const note = noteOf(['ours', ours], ['other', other])

  expect(openNote(note, [keyOf(ours.vkey('ours'))])).toMatchObject({
    text: TEXT,
    signed: [{ key: { name: 'ours' } }],
  })
  expect(openNote(note, [keyOf(ours.vkey('ours')), keyOf(other.vkey('other'))])).toMatchObject({
    signed: [{ key: { name: 'ours' } }, { key: { name: 'other' } }],
  })
})

test('a note that only unknown keys signed is worth nothing', () => {
  const note = noteOf(['other', other])

  expect(openNote(note, [keyOf(ours.vkey('ours'))])).toEqual({ fault: 'unknown' })
  expect(openNote(note, [])).toEqual({ fault: 'unknown' })
  // The same key under another name is another key.
  expect(openNote(note, [keyOf(other.vkey('elsewhere'))])).toEqual({ fault: 'unknown' })
})

test('a broken signature of a known key spoils the note, whoever else signed it', () => {
  const keys = [keyOf(ours.vkey('ours')), keyOf(other.vkey('other'))]
  const broken = noteOf(['ours', ours], ['other', other]).replace('words', 'Words')
  const good = noteOf(['ours', ours], ['other', other])
  const spoilt = good.replace(/(— other \S{40})./, (_, start: string) => `${start}!`)

  expect(openNote(broken, keys)).toEqual({ fault: 'forged' })
  expect(openNote(spoilt, keys)).toEqual({ fault: 'malformed' })
  const flipped = good.replace(/(— other \S{40})(.)/, (_, start: string, letter: string) =>
    start.concat(letter === 'A' ? 'B' : 'A'),
  )
  expect(openNote(flipped, keys)).toEqual({ fault: 'forged' })
})

/** A witness signs what it saw, and when. */
function cosigned(time: bigint): { readonly note: string; readonly key: VerifierKey } {
  const name = 'witness.test/w1'
  const [, , , base64 = ''] = /^(.*?)\+(.*?)\+(.*)$/.exec(other.vkey(name)) ?? []
  const publicBytes = Buffer.from(base64, 'base64').subarray(1)
  const body = Buffer.concat([Buffer.of(4), publicBytes])
  const id = createHash('sha256').update(`${name}\n`).update(body).digest().subarray(0, 4)
  const said = Buffer.from(`cosignature/v1\ntime ${time}\n${TEXT}`)
  const seconds = Buffer.alloc(8)
  seconds.writeBigUInt64BE(time)
  const bytes = Buffer.concat([id, seconds, other.sign(name, said).subarray(4)])
  return {
    note: printNote({ text: TEXT, signatures: [{ name, bytes }] }),
    key: keyOf(`${name}+${id.toString('hex')}+${body.toString('base64')}`),
  }
}

test('a cosignature of a witness says when the witness saw it', () => {
  const { note, key } = cosigned(1_679_315_147n)

  expect(openNote(note, [key])).toMatchObject({ signed: [{ key, time: 1_679_315_147 }] })
  expect(printVerifierKey(key)).toMatch(/^witness\.test\/w1\+[0-9a-f]{8}\+B/)
})

test('a cosignature with its time changed is forged', () => {
  const { note, key } = cosigned(1_679_315_147n)
  const parsed = parseNote(note)
  const [signature] = parsed?.signatures ?? []
  signature?.bytes.writeBigUInt64BE(1_679_315_148n, 4)

  expect(parsed === null ? null : openNote(printNote(parsed), [key])).toEqual({ fault: 'forged' })
})

test('a verifier key is spelled as it was read', () => {
  expect(printVerifierKey(GO_KEY)).toBe(
    'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  )
})

const GOOD = noteOf(['ours', ours])

test.for([
  ['nothing', ''],
  ['no signature', TEXT],
  ['no signature after the empty line', `${TEXT}\n`],
  ['no line feed at the end', GOOD.slice(0, -1)],
  ['carriage returns', GOOD.replaceAll('\n', '\r\n')],
  ['a tab in the text', GOOD.replace('words', 'wor\tds')],
  ['a hyphen for the dash', GOOD.replace('—', '-')],
  ['two spaces after the dash', GOOD.replace('— ', '—  ')],
  ['a plus in the name', GOOD.replace('— ours', '— ou+rs')],
  ['padding left out', GOOD.replace(/=+\n$/, '\n')],
  ['a signature of four bytes', GOOD.replace(/ours \S+/, 'ours AAAAAA==')],
  ['text after the signatures', `${GOOD}more\n`],
  [
    'a hundred and one signatures',
    GOOD + `— x ${Buffer.alloc(8).toString('base64')}\n`.repeat(100),
  ],
])('a note is refused for %s', ([, note]) => {
  expect(openNote(note ?? '', [keyOf(ours.vkey('ours'))])).toEqual({ fault: 'malformed' })
})
