import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { encodeEntry } from '../../src/journal/entry.ts'
import { EMPTY_RANGE, extend, NO_ENTRY, rootOf } from '../../src/journal/merkle.ts'
import type { StoredEntry } from '../../src/journal/reader.ts'
import { verify } from '../../src/journal/verify.ts'
import { deep } from '../support/deep.ts'
import { batch, genesis, policy, positionOf, runStart, sealed } from './builders.ts'

const ENTRIES = deep(1500, 10_000_000)
const HEAD = [genesis(), policy, runStart]

/** An ordinary garbage collector runs when it likes. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') collect()
}

test('J7: verifying holds nothing of the entries that it has read, however many there are', async () => {
  const read: WeakRef<Buffer>[] = []
  let held = Infinity
  let range = EMPTY_RANGE
  let prev = NO_ENTRY
  let most = 0
  async function* entries(): AsyncGenerator<StoredEntry, void> {
    for (let seq = 0; seq < ENTRIES; seq += 1) {
      const entry = sealed(seq, encodeEntry(HEAD[seq] ?? batch(), positionOf({ seq, prev })))
      prev = entry.leafHash
      range = extend(range, prev)
      if (seq % 1000 === 0) most = Math.max(most, process.memoryUsage.rss())
      if (seq < 1000) read.push(new WeakRef(entry.body))
      yield entry
    }
    // What a WeakRef was made of in this turn lives until its end.
    await turn()
    collectGarbage()
    held = read.filter((body) => body.deref() !== undefined).length
  }
  const before = process.memoryUsage.rss()
  const report = await verify(
    { size: async () => ENTRIES, entries },
    { trustKey: null, expected: null },
  )

  expect(report).toMatchObject({ findingCount: 0, head: { size: ENTRIES, root: rootOf(range) } })
  expect(held).toBeLessThan(10)
  expect(most - before).toBeLessThan(100 * 2 ** 20)
}, 14_400_000)
