import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Problem } from '../../src/base/problem.ts'
import { parsePolicies } from '../../src/policy/parse.ts'
import { loadGrammar } from '../../src/policy/sql-grammar.ts'

const folder = join(import.meta.dirname, 'cases')

/**
 * A case is a file: a sentence, the policy files after `--- name.yaml`, and after `--- problems` one
 * line for each problem: place, code, path, and the remedy if there is one.
 */
type Case = {
  readonly sentence: string
  readonly files: readonly { readonly file: string; readonly text: string }[]
  readonly problems: string
}

const cases = readdirSync(folder)
  .toSorted()
  .map((name) => ({ name, ...readCase(readFileSync(join(folder, name), 'utf8')) }))

await loadGrammar(cases.flatMap(({ files }) => files.map(({ text }) => text)))

test.for(cases)('$sentence', ({ files, problems }) => {
  const parsed = parsePolicies(files)

  expect((parsed.problems ?? []).map(line).join('')).toBe(problems)
})

function readCase(text: string): Case {
  const [sentence = '', ...sections] = text.split(/^--- (?=[a-z-]+(?:\.yaml)?\n)/m)
  const parts = sections.map((section) => {
    const end = section.indexOf('\n') + 1
    return { file: section.slice(0, end - 1), text: section.slice(end) }
  })
  return {
    sentence: sentence.trim().replace(/\.$/, ''),
    files: parts.filter(({ file }) => file !== 'problems'),
    problems: parts.find(({ file }) => file === 'problems')?.text ?? '',
  }
}

function line({ at, code, path, message, remedy }: Problem): string {
  const first = [at, code, path].filter((part) => part !== '').join(' ')
  return `${first}\n  ${message}\n${remedy === undefined ? '' : `  > ${remedy}\n`}`
}
