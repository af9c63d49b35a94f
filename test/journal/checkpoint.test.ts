import { expect, test } from 'vitest'
import {
  openCheckpoint,
  parseCheckpoint,
  printCheckpoint,
  signCheckpoint,
} from '../../src/journal/checkpoint.ts'
import { leafHash } from '../../src/journal/merkle.ts'
import {
  noteSignerOf,
  openNote,
  parseNote,
  parseVerifierKey,
  printNote,
  type NoteSigner,
  type VerifierKey,
} from '../../src/journal/note.ts'
import { ORIGIN, OTHER_PEM, testSigner, TEST_PEM } from './builders.ts'

function noteSigner(pem: string): NoteSigner {
  const signer = noteSignerOf(pem)
  if (signer === null) throw new Error('the test key is no Ed25519 key')
  return signer
}

function keyOf(vkey: string): VerifierKey {
  const key = parseVerifierKey(vkey)
  if (key === null) throw new Error('not a verifier key')
  return key
}

const signer = noteSigner(OTHER_PEM)
const key = keyOf(signer.vkey(ORIGIN))
const head = { size: 57, root: leafHash(Buffer.from('root')) }

/** The example of the specification of checkpoints. */
const EXAMPLE = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`

test('the example of the specification of checkpoints is read, and printed as it was', () => {
  const note = parseNote(EXAMPLE)
  const checkpoint = parseCheckpoint(note?.text ?? '')

  expect(checkpoint).toEqual({
    origin: 'example.com/behind-the-sofa',
    size: 20_852_163,
    root: Buffer.from('CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=', 'base64'),
    extensions: [],
  })
  expect(checkpoint === null ? '' : printCheckpoint(checkpoint.origin, checkpoint)).toBe(note?.text)
  // The eight bytes before the signature of the witness are the time in its example.
  expect(note?.signatures[1]?.bytes.readBigUInt64BE(4)).toBe(1_679_315_147n)
})

test('a checkpoint is signed in these bytes, under the origin', () => {
  expect(signCheckpoint(signer, ORIGIN, head)).toMatchInlineSnapshot(`
    "example.test/purge/1f0c77a2
    57
    PAb5plclr2BSYfY2ZyyWINQJcx2JpFHXRV/pxK4WeCk=

    — example.test/purge/1f0c77a2 pm5cbvK3OmBHcdMB6oMS+HKPbvVSJWcVBwGG5EvtR2VrXdD+k7voXvw9muRlCTKz7eiW4Dw5pVDFkU3TY0d4ohSt1Qs=
    "
  `)
})

test('a signed checkpoint is opened with its key and with no other', () => {
  const note = signCheckpoint(signer, ORIGIN, head)

  expect(openCheckpoint(note, [key])).toMatchObject({
    checkpoint: { origin: ORIGIN, ...head, extensions: [] },
    signed: [{ key, time: null }],
  })
  expect(openCheckpoint(note, [])).toEqual({ fault: 'unknown' })
  expect(openCheckpoint(note, [keyOf(noteSigner(TEST_PEM).vkey(ORIGIN))])).toEqual({
    fault: 'unknown',
  })
  expect(openCheckpoint(note.replace('57', '58'), [key])).toEqual({ fault: 'forged' })
})

test('a checkpoint that is not signed under its own origin is worth nothing', () => {
  const text = printCheckpoint('example.test/purge/00000000', head)
  const note = printNote({
    text,
    signatures: [{ name: ORIGIN, bytes: signer.sign(ORIGIN, Buffer.from(text)) }],
  })

  expect(openNote(note, [key]).fault).toBeUndefined()
  expect(openCheckpoint(note, [key])).toEqual({ fault: 'unknown' })
})

test('the signature of an entry never opens a checkpoint, and the other way round', () => {
  const entryKey = keyOf(testSigner.vkey(ORIGIN))
  const body = Buffer.from('{"v":1}')
  const text = `${ORIGIN}/entry\n${body.toString()}\n`
  const note = printNote({
    text,
    signatures: [{ name: `${ORIGIN}/entry`, bytes: testSigner.sign(ORIGIN, body) }],
  })

  expect(openNote(note, [entryKey]).fault).toBeUndefined()
  expect(openCheckpoint(note, [entryKey])).toEqual({ fault: 'malformed' })
})

test('a checkpoint with a line more is read, and the line is not believed', () => {
  const text = `${printCheckpoint(ORIGIN, head)}more\n`

  expect(parseCheckpoint(text)).toMatchObject({ ...head, extensions: ['more'] })
})

const ROOT = head.root.toString('base64')

test.for([
  ['a leading zero in the size', `${ORIGIN}\n057\n${ROOT}\n`],
  ['a size with a sign', `${ORIGIN}\n+57\n${ROOT}\n`],
  ['a size past the safe integers', `${ORIGIN}\n9007199254740993\n${ROOT}\n`],
  ['no origin', `\n57\n${ROOT}\n`],
  ['a root of 31 bytes', `${ORIGIN}\n57\n${Buffer.alloc(31).toString('base64')}\n`],
  ['trailing bits in the root', `${ORIGIN}\n57\n${ROOT.slice(0, -2)}1=\n`],
  ['a line left out', `${ORIGIN}\n57\n`],
  ['an empty line at the end', `${ORIGIN}\n57\n${ROOT}\n\n`],
  ['no line feed at the end', `${ORIGIN}\n57\n${ROOT}`],
  ['carriage returns', `${ORIGIN}\r\n57\r\n${ROOT}\r\n`],
])('a checkpoint is refused for %s', ([, text]) => {
  expect(parseCheckpoint(text ?? '')).toBeNull()
})
