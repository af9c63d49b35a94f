import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readCondition } from '../../src/policy/condition.ts'
import type { Condition, Scalar } from '../../src/policy/policy.ts'

type Row = Readonly<Record<string, Scalar | null>>

test.for([
  [{ a: 'x' }, { kind: 'equals', column: 'a', value: 'x' }],
  [{ a: null }, { kind: 'is_null', column: 'a' }],
  [{ a: [1, 2] }, { kind: 'one_of', column: 'a', values: [1, 2] }],
  [{ a: { gt: 1 } }, { kind: 'compares', column: 'a', operator: '>', value: 1 }],
  [{ '"any"': true }, { kind: 'equals', column: 'any', value: true }],
  [{ a: { not: null } }, { kind: 'not', condition: { kind: 'is_null', column: 'a' } }],
  [
    { a: { gte: 1, lt: 5 } },
    {
      kind: 'all',
      conditions: [
        { kind: 'compares', column: 'a', operator: '>=', value: 1 },
        { kind: 'compares', column: 'a', operator: '<', value: 5 },
      ],
    },
  ],
  [
    { a: 1, any: [{ b: 2 }, { c: 3 }] },
    {
      kind: 'all',
      conditions: [
        { kind: 'equals', column: 'a', value: 1 },
        {
          kind: 'any',
          conditions: [
            { kind: 'equals', column: 'b', value: 2 },
            { kind: 'equals', column: 'c', value: 3 },
          ],
        },
      ],
    },
  ],
] as const)('%j is a filter', ([raw, condition]) => {
  expect(readCondition(raw).value).toEqual(condition)
})

const columns = fc.constantFrom('a', 'b', 'c')
const scalars = fc.constantFrom<Scalar>(0, 1, 2)
const tests = fc.oneof(
  scalars,
  fc.constant(null),
  fc.array(scalars, { minLength: 1, maxLength: 2 }),
  fc.record({ not: fc.oneof(scalars, fc.constant(null), fc.array(scalars, { minLength: 1 })) }),
  fc.record(
    { lt: scalars, lte: scalars, gt: scalars, gte: scalars },
    { requiredKeys: ['lt'], noNullPrototype: true },
  ),
)
const { filter: filters } = fc.letrec<{ filter: unknown }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3 },
    fc.dictionary(columns, tests, { minKeys: 1 }),
    fc.record({ any: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ all: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('filter') }),
  ),
}))
const values = fc.constantFrom<Scalar | null>(null, 0, 1, 2)

test('a filter covers the rows that its words say', () => {
  fc.assert(
    fc.property(filters, fc.record({ a: values, b: values, c: values }), (raw, row) => {
      const { value } = readCondition(raw)

      expect(value && covers(value, row)).toBe(saysSo(raw, row))
    }),
    { numRuns: 1000 },
  )
})

function covers(condition: Condition, row: Row): boolean {
  switch (condition.kind) {
    case 'all':
      return condition.conditions.every((part) => covers(part, row))
    case 'any':
      return condition.conditions.some((part) => covers(part, row))
    case 'not':
      return !covers(condition.condition, row)
    case 'equals':
      return row[condition.column] === condition.value
    case 'one_of':
      return condition.values.some((value) => value === row[condition.column])
    case 'is_null':
      return row[condition.column] === null
    case 'compares':
      return compare(row[condition.column] ?? null, condition.operator, condition.value)
    case 'sql':
    case 'soft_deleted':
      throw new Error('a mapping of columns makes none of these')
    default:
      return condition satisfies never
  }
}

/** The filter read straight from its YAML, as the oracle. */
function saysSo(raw: unknown, row: Row): boolean {
  return Object.entries(raw as Record<string, unknown>).every(([key, test]) => {
    if (key === 'any') return (test as unknown[]).some((part) => saysSo(part, row))
    if (key === 'all') return (test as unknown[]).every((part) => saysSo(part, row))
    if (key === 'not') return !saysSo(test, row)
    return testSaysSo(test, row[key] ?? null)
  })
}

function testSaysSo(test: unknown, value: Scalar | null): boolean {
  if (Array.isArray(test)) return test.includes(value)
  if (typeof test !== 'object' || test === null) return test === value
  const signs = { lt: '<', lte: '<=', gt: '>', gte: '>=' } as const
  return Object.entries(test).every(([operator, operand]) => {
    if (operator === 'not') return !testSaysSo(operand, value)
    return compare(value, signs[operator as keyof typeof signs], operand as Scalar)
  })
}

function compare(value: Scalar | null, sign: '<' | '<=' | '>' | '>=', operand: Scalar): boolean {
  if (value === null) return false
  const order = Number(value) - Number(operand)
  return { '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[sign]
}
