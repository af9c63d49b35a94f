import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { witnessSink, type Send } from '../../src/anchor/witness-sink.ts'
import { openWitness, witnessApp, type Witness } from '../../src/anchor/witness.ts'
import { signCheckpoint } from '../../src/journal/checkpoint.ts'
import { openNote, parseVerifierKey, cosignerOf, noteSignerOf } from '../../src/journal/note.ts'
import { fixedClock, headOf, ORIGIN, TEST_PEM } from '../journal/builders.ts'
import { entriesOf, logKey, signed, sourceOf, temporaryFolder } from './journal.ts'

const ENTRIES = entriesOf(9)
const JOURNAL = sourceOf(ENTRIES)
const FORK = entriesOf(9, 99)
const NAME = 'witness.example.org'

const key = cosignerOf(TEST_PEM)
if (key === null) throw new Error('no key')
const known = parseVerifierKey(key.vkey(NAME))
if (known === null) throw new Error('no key')

async function openAt(state: string): Promise<Witness> {
  return openWitness({ name: NAME, key: key as never, logs: [logKey()], state, clock: fixedClock })
}

/** By the HTTP face of the witness, without a port. */
function sinkOf(witness: Witness, sent: string[] = []) {
  const app = witnessApp(witness)
  const send: Send = async (url, body) => {
    sent.push(body)
    return app.request(new URL(url).pathname, { method: 'POST', body })
  }
  const options = { name: 'parent', required: true, url: 'https://witness.example.org', key: known }
  return witnessSink({ ...options, key: known as never }, send)
}

async function request(
  old: number,
  entries = ENTRIES,
  { proof, note }: { proof?: readonly string[]; note?: string } = {},
): Promise<string> {
  const path = old === 0 ? [] : await sourceOf(entries).consistency(old, entries.length)
  const lines = proof ?? path.map((hash) => hash.toString('base64'))
  return [`old ${old}`, ...lines, '', note ?? signed(entries).note].join('\n')
}

test('a witness signs a journal that grew, and its signature is checked by whoever knows its key', async () => {
  const state = join(await temporaryFolder(), 'state')
  const sink = sinkOf(await openAt(state))
  let from = 0
  for (const size of [1, 3, 4, 4, 9]) {
    const head = signed(ENTRIES, size)
    const { receipt } = await sink.accept(head, from, JOURNAL)

    const opened = openNote(`${head.note}${receipt}`, [logKey(), known])
    expect(opened.fault).toBeUndefined()
    const seconds = fixedClock.now().getTime() / 1000
    expect(opened).toMatchObject({ signed: [{ time: null }, { time: Math.floor(seconds) }] })
    from = size
  }
})

test('J-T28: a witness that knows another size says which, and is asked again from there', async () => {
  const state = join(await temporaryFolder(), 'state')
  const witness = await openAt(state)
  await sinkOf(witness).accept(signed(ENTRIES, 4), 0, JOURNAL)
  const sent: string[] = []

  expect(await witness.addCheckpoint(await request(0))).toEqual({ status: 409, text: '4\n' })
  expect(
    await witness.addCheckpoint(await request(0, [], { note: signed(ENTRIES).note, proof: [] })),
  ).toMatchObject({ status: 409 })
  const larger = `old 12\n\n${signed(ENTRIES).note}`
  expect(await witness.addCheckpoint(larger)).toMatchObject({ status: 400 })
  await sinkOf(witness, sent).accept(signed(ENTRIES), 0, JOURNAL)
  expect(sent.map((body) => body.slice(0, 5))).toEqual(['old 0', 'old 4'])
})

test('J-T29: a proof, a key or a journal that a witness does not know changes nothing it remembers', async () => {
  const state = join(await temporaryFolder(), 'state')
  const witness = await openAt(state)
  await sinkOf(witness).accept(signed(ENTRIES, 5), 0, JOURNAL)
  const before = await readFile(state, 'utf8')
  const unknown = noteSignerOf(TEST_PEM)
  if (unknown === null) throw new Error('no key')
  const head = headOf(ENTRIES)
  const sameSize = signed(FORK.slice(0, 5))
  const status = async (body: string) => (await witness.addCheckpoint(body)).status

  expect(await status(await request(5, FORK))).toBe(422)
  expect(await status(await request(5, ENTRIES, { proof: [] }))).toBe(422)
  expect(await status(`old 5\n\n${sameSize.note}`)).toBe(422)
  expect(
    await status(await request(5, ENTRIES, { note: signCheckpoint(unknown, ORIGIN, head) })),
  ).toBe(403)
  const elsewhere = signCheckpoint(unknown, 'example.test/other/1f0c77a2', head)
  expect(await status(await request(5, ENTRIES, { note: elsewhere }))).toBe(404)
  for (const body of ['', 'old 5\n', 'old 05\n\nx', 'old 5\nAAAA\n\nx', `old 5\n\n${ORIGIN}\n`]) {
    expect(await status(body)).toBe(400)
  }
  const app = witnessApp(witness)
  const long = await app.request('/add-checkpoint', { method: 'POST', body: 'x'.repeat(80_000) })
  expect(long.status).toBe(413)
  expect(await readFile(state, 'utf8')).toBe(before)
})

test('J-T30: of two requests at once for one size one is signed, and what is remembered never goes back', async () => {
  const state = join(await temporaryFolder(), 'state')
  const witness = await openAt(state)
  await sinkOf(witness).accept(signed(ENTRIES, 2), 0, JOURNAL)
  const six = ENTRIES.slice(0, 6)

  const answers = await Promise.all([
    witness.addCheckpoint(await request(2)),
    witness.addCheckpoint(await request(2, six)),
    witness.addCheckpoint(await request(2)),
  ])

  expect(answers.map(({ status }) => status)).toEqual([200, 409, 409])
  expect(await readFile(state, 'utf8')).toContain(` ${ENTRIES.length}:`)
  const again = await openAt(state)
  expect(await again.addCheckpoint(await request(2, six))).toEqual({ status: 409, text: '9\n' })
})

test('a journal that a witness has seen longer, or otherwise, stops enforcement', async () => {
  const state = join(await temporaryFolder(), 'state')
  const sink = sinkOf(await openAt(state))
  await sink.accept(signed(ENTRIES), 0, JOURNAL)
  const shorter = ENTRIES.slice(0, 6)

  await expect(sink.accept(signed(shorter), 5, sourceOf(shorter))).rejects.toMatchObject({
    code: 'ROLLED_BACK',
  })
  await expect(sink.accept(signed(FORK), 9, sourceOf(FORK))).rejects.toMatchObject({
    code: 'FORKED',
  })
  // One that somebody else has overtaken meanwhile is no sign of anything.
  await expect(sink.accept(signed(shorter), 5, JOURNAL)).rejects.toMatchObject({
    code: 'SINK_FAILED',
  })
})

test('an answer without the signature of the known witness is worth nothing', async () => {
  const head = signed(ENTRIES)
  const options = { name: 'parent', required: true, url: 'http://w', key: known as never }
  const answering = (text: string, status = 200) =>
    witnessSink(options, async () => new Response(text, { status }))
  const line = `— ${NAME} ${(key as never as { cosign: (n: string, t: Buffer, s: number) => Buffer }).cosign(NAME, Buffer.from('x'), 1).toString('base64')}\n`

  for (const text of ['', 'nonsense', line]) {
    await expect(answering(text).accept(head, 0, JOURNAL)).rejects.toThrow('without a signature')
  }
  await expect(answering('', 404).accept(head, 0, JOURNAL)).rejects.toThrow('(404)')
  const silent = witnessSink(options, async () => Promise.reject(new TypeError('fetch failed')))
  await expect(silent.accept(head, 0, JOURNAL)).rejects.toMatchObject({ code: 'SINK_FAILED' })
})

test('a witness with a state that it cannot read does not begin anew', async () => {
  const state = join(await temporaryFolder(), 'state')
  await writeFile(state, 'something else\n')

  await expect(openAt(state)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})
