import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from './sources.ts'

/** A row of a table: an id or a key, what goes wrong, and the test that holds it. */
type Tried = { readonly id: string; readonly file: string; readonly name: string }

const document = readFileSync(join(ROOT, 'docs/faults.md'), 'utf8')

const ROWS: readonly Tried[] = [
  ...document.matchAll(/^\| (\S.*?) +\| .*?\| `(test\/\S+)` +\| (\S.*?) +\|$/gm),
].map(([, id = '', file = '', name = '']) => ({ id, file, name }))

/** The ids of the first two ranks in each section, which are all but those after it. */
const SECTIONS: readonly (readonly [
  letter: string,
  last: number,
  ofSecondRank: readonly number[],
])[] = [
  ['P', 12, []],
  ['D', 12, [11]],
  ['J', 8, []],
  ['C', 15, []],
  ['L', 12, [12]],
  ['R', 6, [6]],
]

test('every fault of a section that is done has a test', () => {
  const ids = SECTIONS.flatMap(([letter, last, ofSecondRank]) =>
    Array.from({ length: last }, (_, at) => at + 1)
      .filter((number) => !ofSecondRank.includes(number))
      .map((number) => `${letter}${number}`),
  )
  const tried = new Set(ROWS.map(({ id }) => id))

  expect(ids.filter((id) => !tried.has(id))).toEqual([])
})

test('every test that the list of faults names is there, in these words', () => {
  const lines = document.split('\n').filter((line) => /^\|.*`test\//.test(line))
  const missing = ROWS.filter(({ file, name }) => !isThere(file, name))

  expect(missing).toEqual([])
  expect(ROWS.length).toBe(lines.length)
})

/** A test is named in quotes; a case of the parser by the first line of its file. */
function isThere(file: string, name: string): boolean {
  if (!existsSync(join(ROOT, file))) return false
  const text = readFileSync(join(ROOT, file), 'utf8')
  if (file.endsWith('.txt')) return text.startsWith(`${name}\n`)
  return [`'${name}'`, `"${name}"`, `\`${name}\``].some((quoted) => text.includes(quoted))
}
