import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { assert, asyncProperty, integer } from 'fast-check'
import { expect, test } from 'vitest'
import { gathering, gatheringOf } from '../../src/journal/certificate.ts'
import { encodeEntry } from '../../src/journal/entry.ts'
import { Leaves } from '../../src/journal/leaves.ts'
import { leafHash, nodesOf, proveInclusion } from '../../src/journal/merkle.ts'
import { deep } from '../support/deep.ts'
import { batch, positionOf, readerOf } from './builders.ts'

test('a row of leaves proves what a tree of them proves, at any size that it had', async () => {
  const hashes = Array.from({ length: 1500 }, (_, n) => leafHash(Buffer.from(String(n))))
  const leaves = new Leaves()
  for (const hash of hashes) leaves.push(hash)

  await assert(
    asyncProperty(integer({ min: 1, max: 1500 }), integer({ min: 0 }), async (size, at) => {
      const index = at % size
      const tree = nodesOf(hashes.slice(0, size))
      const expected = await proveInclusion(tree, index, size)
      expect(await proveInclusion(leaves.nodes, index, size)).toEqual(expected)
    }),
    { numRuns: 50 },
  )
  await expect(leaves.nodes([{ level: 1, index: 750 }])).rejects.toThrow('no such node')
})

/** Bytes that are in use, without those that nobody needs any more. */
function used(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test('a certificate of a period keeps of each entry a hash and a time, however many there are', async () => {
  const body = encodeEntry(batch(), positionOf({ seq: 3 }))
  const entries = deep(20_000, 1_000_000)
  const gathered = gatheringOf({ kind: 'period', from: '2026-01-01', to: '2026-12-31' })
  const reader = {
    ...readerOf([]),
    entries: async function* list() {
      for (let seq = 0; seq < entries; seq += 1) {
        yield { seq, body, sig: Buffer.alloc(64), leafHash: leafHash(body) }
      }
    },
  }
  const before = used()

  let read = 0
  for await (const { seq } of gathering(reader, gathered).entries()) read = seq

  expect([read + 1, gathered.leaves.size]).toEqual([entries, entries])
  // In an array of buffers each hash takes two thousand.
  expect((used() - before) / entries).toBeLessThan(400)
})
