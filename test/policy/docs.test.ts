import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parsePolicies } from '../../src/policy/parse.ts'
import { loadGrammar } from '../../src/policy/sql-grammar.ts'
import { policyJsonSchema } from '../../src/policy/json-schema.ts'
import { EXAMPLES, examplesIn } from '../support/examples.ts'

const root = join(import.meta.dirname, '../..')

await loadGrammar(EXAMPLES.map(({ text }) => text))

test.for(EXAMPLES)('the example at $place loads', ({ place, text }) => {
  const { problems } = parsePolicies([{ file: place, text }])

  expect(problems).toBeUndefined()
})

test('every example has tables in test/docs on which it is enforced, and no tables lack their example', () => {
  const files = readdirSync(join(root, 'test/docs')).filter((file) => file.endsWith('.sql'))

  const guide = examplesIn('docs/policy.md').map(({ name }) => name)
  expect(guide.filter((name, at) => guide.indexOf(name) !== at)).toEqual([])
  expect(files.toSorted()).toEqual(
    [...new Set(EXAMPLES.map(({ name }) => `${name}.sql`))].toSorted(),
  )
})

/** Every key of the language: those of all objects in its schema, at any depth. */
function keysOf(node: unknown): readonly string[] {
  if (Array.isArray(node)) return node.flatMap((item) => keysOf(item))
  if (node === null || typeof node !== 'object') return []
  return Object.entries(node).flatMap(([name, child]) => {
    const own =
      name === 'properties' && child !== null && typeof child === 'object' ? Object.keys(child) : []
    return [...own, ...keysOf(child)]
  })
}

test('the guide to policies explains every key, and shows it in an example', () => {
  const guide = readFileSync(join(root, 'docs/policy.md'), 'utf8')
  const code = [...guide.matchAll(/`[^`\n]+`/g)].map(([span]) => span).join(' ')
  const shown = examplesIn('docs/policy.md')
    .map(({ text }) => text)
    .join('')
  const keys = [...new Set(keysOf(policyJsonSchema()))]

  expect(keys).toContain('plausible_from')
  expect(keys.filter((key) => !new RegExp(`\\b${key}\\b`).test(code))).toEqual([])
  expect(keys.filter((key) => !new RegExp(`\\b${key}:`).test(shown))).toEqual([])
})
