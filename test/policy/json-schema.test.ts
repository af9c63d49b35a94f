import { expect, test } from 'vitest'
import { policyJsonSchema } from '../../src/policy/json-schema.ts'

type Schema = { readonly [key: string]: unknown }

const schema = policyJsonSchema() as Schema

function* mappings(value: unknown): Generator<Schema> {
  if (typeof value !== 'object' || value === null) return
  if ('properties' in value) yield value
  for (const part of Object.values(value)) yield* mappings(part)
}

test('editors are told the draft they read, and what each key means', () => {
  expect(schema['$schema']).toBe('http://json-schema.org/draft-07/schema#')
  expect(JSON.stringify(schema)).not.toContain('$defs')
  for (const mapping of mappings(schema)) {
    for (const [key, value] of Object.entries(mapping['properties'] as Schema)) {
      expect({ key, description: (value as Schema)['description'] }).toEqual({
        key,
        description: expect.any(String),
      })
    }
  }
})

test('editors accept no key that the parser refuses', () => {
  const closed = [...mappings(schema)].map((mapping) => mapping['additionalProperties'])

  // The filter is the one mapping whose other keys are columns.
  expect(closed.filter((value) => value !== false)).toHaveLength(1)
})

test('editors ask for what the parser needs', () => {
  const { rule } = schema['definitions'] as { readonly rule: Schema }

  expect(schema['required']).toEqual(['version', 'policy', 'owner', 'timezone', 'rules'])
  expect(rule['required']).toEqual(['id', 'table', 'start', 'then'])
})
