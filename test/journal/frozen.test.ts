import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { leafHash, parseTreeHead } from '../../src/journal/merkle.ts'
import { parseVerifierKey } from '../../src/journal/note.ts'
import type { StoredEntry } from '../../src/journal/reader.ts'
import { verify } from '../../src/journal/verify.ts'
import { readerOf } from './builders.ts'

async function read(name: string): Promise<string> {
  return readFile(new URL(`../../docs/journal-v1/${name}`, import.meta.url), 'utf8')
}

async function frozenEntries(): Promise<readonly StoredEntry[]> {
  const bodies = (await read('entries.jsonl')).trimEnd().split('\n')
  const signatures = new Map(
    (await read('signatures.txt'))
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([seq, sig]) => [Number(seq), Buffer.from(sig ?? '', 'base64')]),
  )
  return bodies.map((text, seq) => {
    const body = Buffer.from(text)
    return { seq, body, sig: signatures.get(seq) ?? Buffer.alloc(0), leafHash: leafHash(body) }
  })
}

test('a journal in the first format verifies for ever, as published beside the documentation', async () => {
  const trustKey = parseVerifierKey((await read('entry-key.txt')).trimEnd())
  const expected = parseTreeHead((await read('head.txt')).trimEnd())
  expect(trustKey).not.toBeNull()
  expect(expected).not.toBeNull()

  const report = await verify(readerOf(await frozenEntries()), { trustKey, expected })

  expect(report).toMatchObject({ verdict: 'verified', findings: [], remarks: [], key: 'given' })
})
