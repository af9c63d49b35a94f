import { expect, test } from 'vitest'
import { sources } from './sources.ts'

/** The names of the tests of a file, as they are written. */
function testNames(text: string): readonly string[] {
  const named = /(?:^|\n) *(?:test|it)\(\s*(['"`])((?:\\.|(?!\1)[^\\])+)\1/g
  // `test.for([…])('name'` and its like: the name opens the second call.
  const tabled = /\)\(\s*(['"`])((?:\\.|(?!\1)[^\\])+)\1,\s*(?:async )?\(/g
  return [named, tabled].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, , name = '']) => name),
  )
}

const NAMED = sources('test/**/*.test.ts').flatMap(({ path, text }) =>
  testNames(text).map((name) => ({ path, name })),
)

test('no two tests have one name', () => {
  const twice = NAMED.filter(
    ({ name }, index) => NAMED.findIndex((other) => other.name === name) !== index,
  )

  expect(twice).toEqual([])
})

test('a test states a fact, not a wish', () => {
  expect(NAMED.filter(({ name }) => /\bshould\b/i.test(name))).toEqual([])
  expect(NAMED.length).toBeGreaterThan(200)
})

test('no test is left out, alone, or waits by the clock', () => {
  const offending = sources('test/**/*.test.ts').filter(({ text }) =>
    /\b(?:test|it|describe)\.(?:skip|only|todo|fails)\b|\bsetTimeout\(resolve/.test(text),
  )

  expect(offending.map(({ path }) => path)).toEqual([])
})
