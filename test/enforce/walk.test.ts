import { array, assert, asyncProperty, nat } from 'fast-check'
import { expect, test } from 'vitest'
import { HeapWalk } from '../../src/enforce/walk-heap.ts'
import type { Stretch } from '../../src/enforce/stretch.ts'

/** Pages of a stretch, `from` and `before`. */
function pagesOf({ range }: Stretch): { readonly from: number; readonly before: number | null } {
  if (range.kind !== 'pages') throw new Error('not a stretch of the heap')
  return range
}

test('a sweep visits every page of every partition once, in their order, whatever is due on them', async () => {
  await assert(
    asyncProperty(
      array(nat(3000), { minLength: 1, maxLength: 4 }),
      array(nat(20_000), { minLength: 1, maxLength: 50 }),
      nat(1_000_000),
      async (sizes, met, due) => {
        const parts = sizes.map((pages, at) => {
          return { table: { schema: 's', name: `part_${at}`, only: true }, pages }
        })
        const walk = new HeapWalk(parts, due)
        const visited = parts.map(() => 0)
        for (let turn = 0; ; turn += 1) {
          const stretch = await walk.next(5000)
          if (stretch === null) break
          const at = parts.findIndex(({ table }) => table === stretch.part)
          const { from, before } = pagesOf(stretch)
          expect(from).toBe(visited[at])
          visited[at] = before ?? Infinity
          walk.learn(stretch, met[turn % met.length] ?? 0)
        }
        expect(visited).toEqual(parts.map(() => Infinity))
      },
    ),
  )
})

test('a stretch holds about a batch of due rows, and fits itself to what it meets', async () => {
  const part = { table: { schema: 's', name: 't', only: true }, pages: 100_000 }
  const walk = new HeapWalk([part], 1_000_000)

  const first = await walk.next(5000)
  if (first === null) throw new Error('no stretch')
  walk.learn(first, 40_000)
  const dense = await walk.next(5000)

  expect(pagesOf(first)).toMatchObject({ from: 0, before: 400 })
  expect(dense === null ? null : pagesOf(dense)).toMatchObject({ from: 400, before: 440 })
})
