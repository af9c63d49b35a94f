import { z } from 'zod'
import { closest } from '../base/nearest.ts'
import { below, isMapping, quote, refuse, refuseKind } from './fault.ts'
import type { Fault, Read } from './fault.ts'
import { readColumn } from './name.ts'
import type { Condition, Scalar } from './policy.ts'

const COMPARISONS = { lt: '<', lte: '<=', gt: '>', gte: '>=' } as const
const OPERATORS = ['not', ...Object.keys(COMPARISONS)]

/** A literal of a policy, as YAML gives it. */
export const ScalarShape = z.union([z.string(), z.number(), z.boolean()], {
  error: () => 'expected text, a number, true or false',
})

const ComparedShape = z.union([z.string(), z.number()]).optional()

const TestShape = z
  .union([
    ScalarShape,
    z.null(),
    z.array(ScalarShape).min(1),
    z.strictObject({
      not: z
        .union([ScalarShape, z.null(), z.array(ScalarShape).min(1)])
        .optional()
        .describe('Every row but these; a row without a value is one of them.'),
      lt: ComparedShape.describe('Less than.'),
      lte: ComparedShape.describe('Less than or equal to.'),
      gt: ComparedShape.describe('Greater than.'),
      gte: ComparedShape.describe('Greater than or equal to.'),
    }),
  ])
  .describe('What the column holds: a value, null, a list of values, or comparisons.')

/** A filter as written; what it refuses, `readCondition` explains. */
export type ConditionShape = {
  readonly [column: string]: unknown
}

export const ConditionShape: z.ZodType<ConditionShape> = z
  .object({
    get any() {
      return z.array(ConditionShape).min(1).optional().describe('At least one of these holds.')
    },
    get all() {
      return z.array(ConditionShape).min(1).optional().describe('All of these hold.')
    },
    get not() {
      return ConditionShape.optional().describe('This does not hold.')
    },
  })
  .catchall(TestShape)
  .meta({
    id: 'condition',
    title: 'Filter',
    description: 'Columns and what they hold. Several keys of one mapping must hold together.',
    minProperties: 1,
  })

/**
 * Reads a filter. What could only be a mistake is refused: a filter that covers every row, one that
 * covers none because it compares with null, and SQL text.
 */
export function readCondition(raw: unknown): Read<Condition> {
  if (typeof raw === 'string') {
    const message = `a filter is a mapping of columns, not SQL: ${quote(raw)}`
    return refuse('filter_is_text', message, 'write for example { status: closed }')
  }
  if (typeof raw === 'boolean') {
    const message = `a filter names columns; ${raw} would cover ${raw ? 'every row' : 'none'}`
    return refuse('filter_is_constant', message, raw ? 'leave the filter out' : 'drop the rule')
  }
  if (!isMapping(raw)) return refuseKind('a filter as a mapping of columns', raw)
  if (Object.keys(raw).length === 0) {
    const message = 'an empty filter would cover every row'
    return refuse('filter_is_empty', message, 'leave it out, or name a column')
  }
  return together(Object.entries(raw).map(([key, value]) => readMember(key, value)))
}

function readMember(key: string, value: unknown): Read<Condition> {
  if (key === 'any' || key === 'all') return readMany(key, value)
  if (key === 'not') {
    const inner = readCondition(value)
    if (inner.value === undefined) return { faults: below([key], inner.faults) }
    return { value: { kind: 'not', condition: inner.value } }
  }
  const column = readColumn(key)
  if (column.value === undefined) {
    return { faults: below([key], column.faults).map((fault) => ({ ...fault, on: 'key' })) }
  }
  const test = readTest(column.value, value)
  return test.value === undefined ? { faults: below([key], test.faults) } : test
}

function readMany(kind: 'any' | 'all', raw: unknown): Read<Condition> {
  if (!Array.isArray(raw)) {
    const { faults = [] } = refuseKind('a list of filters', raw)
    return { faults: below([kind], faults) }
  }
  if (raw.length === 0) {
    const covers = kind === 'all' ? 'every row' : 'no row'
    const message = `an empty list of filters under ${kind} would cover ${covers}`
    return { faults: below([kind], refuse('filter_is_empty', message).faults ?? []) }
  }
  const parts = raw.map((item: unknown) => readCondition(item))
  const faults = parts.flatMap((part, index) => below([kind, index], part.faults ?? []))
  if (faults.length > 0) return { faults }
  const conditions = parts.flatMap((part) => (part.value === undefined ? [] : [part.value]))
  const [only] = conditions
  return { value: conditions.length === 1 && only !== undefined ? only : { kind, conditions } }
}

/** Reads what one column is tested for. */
function readTest(column: string, raw: unknown): Read<Condition> {
  if (raw === null) return { value: { kind: 'is_null', column } }
  if (Array.isArray(raw)) return readList(column, raw)
  if (isMapping(raw)) return readOperators(column, raw)
  const scalar = readScalar(raw)
  if (scalar.value === undefined) return scalar
  return { value: { kind: 'equals', column, value: scalar.value } }
}

function readList(column: string, raw: readonly unknown[]): Read<Condition> {
  if (raw.length === 0) {
    return refuse('filter_is_empty', 'an empty list of values covers no row', 'name the values')
  }
  const values: Scalar[] = []
  const faults: Fault[] = []
  for (const [index, item] of raw.entries()) {
    const scalar = item === null ? refuseNullInList(column) : readScalar(item)
    if (scalar.value === undefined) faults.push(...below([index], scalar.faults))
    else values.push(scalar.value)
  }
  return faults.length > 0 ? { faults } : { value: { kind: 'one_of', column, values } }
}

function refuseNullInList(column: string): Read<never> {
  const remedy = `write any: [{ ${column}: [values] }, { ${column}: null }]`
  return refuse('null_in_list', 'null in a list never equals anything', remedy)
}

function readOperators(column: string, raw: Readonly<Record<string, unknown>>): Read<Condition> {
  if (Object.keys(raw).length === 0) {
    return refuse('filter_is_empty', 'an empty test would cover every row', 'write a value')
  }
  return together(
    Object.entries(raw).map(([operator, value]): Read<Condition> => {
      const read = readOperator(column, operator, value)
      return read.value === undefined ? { faults: below([operator], read.faults) } : read
    }),
  )
}

function readOperator(column: string, operator: string, raw: unknown): Read<Condition> {
  if (operator === 'not') {
    if (isMapping(raw)) {
      const message = 'not takes a value, null or a list of values here'
      return refuse('wrong_kind', message, `write not: { column: … } one level up`)
    }
    const test = readTest(column, raw)
    return test.value === undefined ? test : { value: { kind: 'not', condition: test.value } }
  }
  if (!isComparison(operator)) return { faults: [unknownOperator(operator)] }
  if (raw === null) {
    const message = `a comparison with null is never true`
    return refuse('comparison_with_null', message, 'write { column: null } or { not: null }')
  }
  if (typeof raw !== 'string' && typeof raw !== 'number') {
    return refuseKind('a value to compare with, text or number', raw)
  }
  return { value: { kind: 'compares', column, operator: COMPARISONS[operator], value: raw } }
}

function unknownOperator(operator: string): Fault {
  const near = closest(operator, OPERATORS)
  return {
    code: 'unknown_operator',
    message: `${quote(operator)} is not an operator`,
    remedy: near === undefined ? `write one of ${OPERATORS.join(', ')}` : `did you mean ${near}?`,
    path: [],
    on: 'key',
  }
}

function isComparison(operator: string): operator is keyof typeof COMPARISONS {
  return Object.hasOwn(COMPARISONS, operator)
}

function readScalar(raw: unknown): Read<Scalar> {
  if (typeof raw === 'string' || typeof raw === 'boolean') return { value: raw }
  if (typeof raw === 'number' && Number.isFinite(raw)) return { value: raw }
  return refuseKind('a value (text, a number, true or false)', raw)
}

/** Joins parts that must hold together; one part stands for itself. */
function together(parts: readonly Read<Condition>[]): Read<Condition> {
  const faults = parts.flatMap((part) => part.faults ?? [])
  if (faults.length > 0) return { faults }
  const conditions = parts.flatMap((part) => (part.value === undefined ? [] : [part.value]))
  const [only] = conditions
  if (conditions.length === 1 && only !== undefined) return { value: only }
  return { value: { kind: 'all', conditions } }
}
