import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  EMPTY_RANGE,
  extend,
  leafHash,
  nodeHash,
  NO_ENTRY,
  parseTreeHead,
  printTreeHead,
  rootOf,
  type CompactRange,
  type Hash,
} from '../../src/journal/merkle.ts'

/** The leaves of the test suite of certificate-transparency, and the root after each. */
const VECTORS: readonly (readonly [leaf: string, root: string])[] = [
  ['', '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'],
  ['00', 'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125'],
  ['10', 'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77'],
  ['2021', 'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7'],
  ['3031', '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4'],
  ['40414243', '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef'],
  ['5051525354555657', 'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c'],
  [
    '606162636465666768696a6b6c6d6e6f',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ],
]

/** RFC 6962, section 2.1, word for word: split at the largest power of two below the size. */
function treeHash(leaves: readonly Hash[]): Hash {
  if (leaves.length === 0) return rootOf(EMPTY_RANGE)
  const [only] = leaves
  if (leaves.length === 1 && only !== undefined) return only
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return nodeHash(treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)))
}

function rangeOf(leaves: readonly Hash[]): CompactRange {
  return leaves.reduce(extend, EMPTY_RANGE)
}

test('the root of no entries is the hash of nothing', () => {
  expect(rootOf(EMPTY_RANGE).toString('hex')).toBe(
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
})

test('the tree has the roots that certificate-transparency published for its eight leaves', () => {
  let range = EMPTY_RANGE
  for (const [leaf, root] of VECTORS) {
    range = extend(range, leafHash(Buffer.from(leaf, 'hex')))
    expect(rootOf(range).toString('hex')).toBe(root)
  }
})

test('a tree of any size to 100 has the root of the recursive definition', () => {
  const leaves = Array.from({ length: 100 }, (_, index) => leafHash(Buffer.from(String(index))))
  let range = EMPTY_RANGE
  for (const [index, leaf] of leaves.entries()) {
    range = extend(range, leaf)
    expect(range.size).toBe(index + 1)
    expect(rootOf(range)).toEqual(treeHash(leaves.slice(0, index + 1)))
  }
})

test('what a tree of 20,000 entries needs to grow is fifteen hashes at most', () => {
  const leaf = leafHash(Buffer.from('x'))
  const range = rangeOf(Array.from({ length: 20_000 }, () => leaf))

  expect(range.roots.length).toBeLessThanOrEqual(15)
})

test('extending a tree leaves the smaller tree as it was', () => {
  const small = rangeOf(['a', 'b', 'c'].map((text) => leafHash(Buffer.from(text))))
  const before = rootOf(small)

  extend(small, leafHash(Buffer.from('d')))

  expect(rootOf(small)).toEqual(before)
})

test('the prev of the first entry is SHA-256 of one zero byte', () => {
  expect(NO_ENTRY.toString('base64')).toBe('bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=')
})

test('a tree head is read as it was printed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (size, root) => {
        const head = { size, root: Buffer.from(root) }
        expect(parseTreeHead(printTreeHead(head))).toEqual(head)
      },
    ),
  )
})

const ROOT = NO_ENTRY.toString('base64')

test.for([
  ['an empty tree, which every journal agrees with', `0:${ROOT}`],
  ['a leading zero', `07:${ROOT}`],
  ['a sign', `+7:${ROOT}`],
  ['a size past the safe integers', `9007199254740993:${ROOT}`],
  ['a root of 31 bytes', `7:${Buffer.alloc(31).toString('base64')}`],
  ['trailing bits in the padding', `7:${ROOT.slice(0, -2)}1=`],
  ['base64url', `7:${ROOT.replace('/', '_').replace('+', '-')}`],
  ['a line break', `7:${ROOT}\n`],
  ['no root', '7'],
])('a tree head is refused for %s', ([, text]) => {
  expect(parseTreeHead(text ?? '')).toBeNull()
})
