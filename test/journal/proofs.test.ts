import { expect, test } from 'vitest'
import {
  checkConsistency,
  checkInclusion,
  EMPTY_RANGE,
  extend,
  leafHash,
  nodeHash,
  nodesOf,
  proveConsistency,
  proveInclusion,
  rangeAt,
  rootOf,
  type Hash,
  type TreeHead,
} from '../../src/journal/merkle.ts'

/** The leaves of the test suite of certificate-transparency. */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => leafHash(Buffer.from(hex, 'hex')))

const A = '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7'
const B = '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e'
const C = '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4'
const D = 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b'
const E = 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0'
const F = 'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7'

const hex = (path: readonly Hash[]) => path.map((hash) => hash.toString('hex'))

/** The heads of every size, by size; of size 0 too. */
function headsOf(leaves: readonly Hash[]): readonly TreeHead[] {
  let range = EMPTY_RANGE
  return [
    { size: 0, root: rootOf(range) },
    ...leaves.map((leaf) => {
      range = extend(range, leaf)
      return { size: range.size, root: rootOf(range) }
    }),
  ]
}

const head = (heads: readonly TreeHead[], size: number): TreeHead => {
  const found = heads[size]
  if (found === undefined) throw new Error(`no head of size ${size}`)
  return found
}

test('the audit paths of certificate-transparency are made to the byte', async () => {
  const read = nodesOf(LEAVES)

  expect(hex(await proveInclusion(read, 0, 1))).toEqual([])
  expect(hex(await proveInclusion(read, 0, 8))).toEqual([A, B, C])
  expect(hex(await proveInclusion(read, 5, 8))).toEqual([D, E, F])
  expect(hex(await proveInclusion(read, 2, 3))).toEqual([
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  ])
  expect(hex(await proveInclusion(read, 1, 5))).toEqual([
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    B,
    D,
  ])
})

test('the consistency proofs of certificate-transparency are made to the byte', async () => {
  const read = nodesOf(LEAVES)

  expect(hex(await proveConsistency(read, 1, 1))).toEqual([])
  expect(hex(await proveConsistency(read, 1, 8))).toEqual([A, B, C])
  expect(hex(await proveConsistency(read, 6, 8))).toEqual([
    '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    E,
    F,
  ])
  expect(hex(await proveConsistency(read, 2, 5))).toEqual([B, D])
})

test('the proofs of the example tree of RFC 6962, section 2.1.3, are those it lists', async () => {
  const d = Array.from({ length: 7 }, (_, index) => leafHash(Buffer.from(`d${index}`)))
  const at = (index: number) => d[index] as Hash
  const [g, h, i, j] = [0, 2, 4, 6].map((first) =>
    first === 6 ? at(6) : nodeHash(at(first), at(first + 1)),
  ) as [Hash, Hash, Hash, Hash]
  const [k, l] = [nodeHash(g, h), nodeHash(i, j)]
  const read = nodesOf(d)

  expect(await proveInclusion(read, 0, 7)).toEqual([at(1), h, l])
  expect(await proveInclusion(read, 3, 7)).toEqual([at(2), g, l])
  expect(await proveInclusion(read, 4, 7)).toEqual([at(5), j, k])
  expect(await proveInclusion(read, 6, 7)).toEqual([i, k])
  expect(await proveConsistency(read, 3, 7)).toEqual([at(2), at(3), g, l])
  expect(await proveConsistency(read, 4, 7)).toEqual([l])
  expect(await proveConsistency(read, 6, 7)).toEqual([i, j, k])
})

const MANY = Array.from({ length: 300 }, (_, index) => leafHash(Buffer.from(String(index))))
const HEADS = headsOf(MANY)

test('every leaf of every tree to 300 leaves is proved, and no other in its place', async () => {
  const read = nodesOf(MANY)
  const wrong: string[] = []
  for (let size = 1; size <= 300; size += 1) {
    const { root } = head(HEADS, size)
    for (let index = 0; index < size; index += 1) {
      const path = await proveInclusion(read, index, size)
      const proof = { leaf: MANY[index] as Hash, index, size, root, path }
      if (!checkInclusion(proof)) wrong.push(`${index} of ${size} is not proved`)
      if (size > 1 && checkInclusion({ ...proof, index: (index + 1) % size })) {
        wrong.push(`${index} of ${size} passes for its neighbour`)
      }
    }
  }

  expect(wrong).toEqual([])
})

test('every tree to 300 leaves is proved to continue every older one', async () => {
  const read = nodesOf(MANY)
  const wrong: string[] = []
  for (let size = 1; size <= 300; size += 1) {
    for (let older = 1; older <= size; older += 1) {
      const path = await proveConsistency(read, older, size)
      const [was, is] = [head(HEADS, older), head(HEADS, size)]
      if (!checkConsistency(was, is, path)) wrong.push(`${older} to ${size} is not proved`)
      if (checkConsistency({ size: older, root: MANY[0] as Hash }, is, path) && older > 1) {
        wrong.push(`${older} to ${size} is proved for another root`)
      }
    }
  }

  expect(wrong).toEqual([])
})

test('a proof with a hash changed, left out, added or moved proves nothing', async () => {
  const read = nodesOf(MANY)
  const [was, is] = [head(HEADS, 83), head(HEADS, 211)]
  const consistency = await proveConsistency(read, 83, 211)
  const inclusion = await proveInclusion(read, 83, 211)
  const spoilt = (path: readonly Hash[]) => [
    ...path.map((_, index) => path.toSpliced(index, 1, leafHash(Buffer.from('other')))),
    ...path.map((_, index) => path.toSpliced(index, 1)),
    [...path, leafHash(Buffer.from('more'))],
    path.toReversed(),
    [],
  ]

  expect(checkConsistency(was, is, consistency)).toBe(true)
  for (const path of spoilt(consistency)) expect(checkConsistency(was, is, path)).toBe(false)
  for (const path of spoilt(inclusion)) {
    expect(
      checkInclusion({ leaf: MANY[83] as Hash, index: 83, size: 211, root: is.root, path }),
    ).toBe(false)
  }
})

test('a tree continues neither an empty tree nor a larger one nor another of its own size', async () => {
  const [five, nine] = [head(HEADS, 5), head(HEADS, 9)]
  const path = await proveConsistency(nodesOf(MANY), 5, 9)

  expect(checkConsistency(head(HEADS, 0), nine, [])).toBe(false)
  expect(checkConsistency(nine, five, path)).toBe(false)
  expect(checkConsistency(five, { size: 5, root: nine.root }, [])).toBe(false)
  expect(checkConsistency(five, five, path)).toBe(false)
})

test('the range of any size read from nodes is the one that grew leaf by leaf', async () => {
  const read = nodesOf(MANY)
  let range = EMPTY_RANGE
  for (const leaf of MANY) {
    range = extend(range, leaf)
    expect(await rangeAt(read, range.size)).toEqual(range)
  }
})
