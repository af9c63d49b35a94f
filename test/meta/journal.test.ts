import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from './sources.ts'

const LINES = readFileSync(join(ROOT, 'docs/journal.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| J-T'))

/** The file and the words of the test that a line names. */
function named(line: string): { readonly file: string; readonly name: string } {
  const [, , , , file = '', name = ''] = line.split(' | ').flatMap((cell, at) => {
    return at === 0 ? ['', cell] : [cell]
  })
  return { file: file.replaceAll(/[` ]/g, ''), name: name.replace(/\s*\|$/, '') }
}

test('every test that the list of attempts on a journal names is there, in these words', () => {
  const missing = LINES.map(named).filter(
    ({ file, name }) =>
      !existsSync(join(ROOT, file)) ||
      !readFileSync(join(ROOT, file), 'utf8').includes(`'${name}'`),
  )

  expect(missing).toEqual([])
})

test('every attempt on a journal that it was designed against is in the list', () => {
  const ids = new Set(LINES.map((line) => line.split(' ')[1]))
  const designed = [...Array.from({ length: 60 }, (_, at) => `J-T${at + 1}`), 'J-T12b']

  expect(designed.filter((id) => !ids.has(id))).toEqual([])
})
