/**
 * The SQL that `where_sql` may hold, as a value: nothing that is not here can be said. Everything in
 * it gives the same answer for the same row, at any time.
 */

/** Operators between two values, each by the name under which the grammar knows it. */
export const SQL_OPERATORS = [
  '=',
  '<>',
  '<',
  '<=',
  '>',
  '>=',
  '+',
  '-',
  '*',
  '/',
  '%',
  '||',
  '~~',
  '!~~',
  '~~*',
  '!~~*',
  '~',
  '!~',
  '~*',
  '!~*',
  '->',
  '->>',
  '@>',
  '<@',
  '?',
  '&&',
  'is distinct from',
  'is not distinct from',
] as const

export type SqlOperator = (typeof SQL_OPERATORS)[number]

/**
 * Functions of pg_catalog that are immutable, and two that depend on the time zone, which every session
 * of ours sets. A test asks the catalog.
 */
export const SQL_FUNCTIONS = [
  'lower',
  'upper',
  'length',
  'char_length',
  'octet_length',
  'btrim',
  'ltrim',
  'rtrim',
  'left',
  'right',
  'substr',
  'substring',
  'replace',
  'split_part',
  'position',
  'strpos',
  'starts_with',
  'abs',
  'mod',
  'div',
  'sign',
  'floor',
  'ceil',
  'round',
  'trunc',
  'extract',
  'date_trunc',
  'isfinite',
  'make_date',
  'cardinality',
  'array_length',
  'jsonb_typeof',
  'jsonb_array_length',
  'masklen',
  'family',
] as const

export type SqlFunction = (typeof SQL_FUNCTIONS)[number]

/** What the grammar has words for instead of functions. */
export type SqlForm = 'coalesce' | 'nullif' | 'greatest' | 'least'

/** Types that a value may be cast to, by their names in pg_type. */
export const SQL_TYPES = [
  'text',
  'varchar',
  'int2',
  'int4',
  'int8',
  'numeric',
  'float8',
  'bool',
  'date',
  'timestamp',
  'timestamptz',
  'uuid',
  'inet',
  'jsonb',
] as const

export type SqlType = (typeof SQL_TYPES)[number]

export type SqlExpression =
  | { readonly kind: 'column'; readonly column: string }
  /** `type` null: text that PostgreSQL reads as the type of what it stands beside. */
  | {
      readonly kind: 'constant'
      readonly type: 'int4' | 'int8' | 'numeric' | 'bool' | null
      readonly text: string
    }
  | {
      readonly kind: 'operator'
      readonly operator: SqlOperator
      readonly left: SqlExpression
      readonly right: SqlExpression
    }
  | { readonly kind: 'minus'; readonly of: SqlExpression }
  | {
      readonly kind: 'call'
      readonly name: SqlFunction | SqlForm
      readonly given: readonly SqlExpression[]
    }
  | { readonly kind: 'cast'; readonly to: SqlType; readonly of: SqlExpression }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly SqlExpression[] }
  | { readonly kind: 'not'; readonly of: SqlExpression }
  | { readonly kind: 'is'; readonly test: SqlTest; readonly of: SqlExpression }

export type SqlTest = 'null' | 'not null' | 'true' | 'not true' | 'false' | 'not false'

/** The parts of an expression, one level down. */
export function partsOf(expression: SqlExpression): readonly SqlExpression[] {
  switch (expression.kind) {
    case 'column':
    case 'constant':
      return []
    case 'operator':
      return [expression.left, expression.right]
    case 'call':
      return expression.given
    case 'and':
    case 'or':
      return expression.parts
    case 'minus':
    case 'cast':
    case 'not':
    case 'is':
      return [expression.of]
    default:
      return expression satisfies never
  }
}

/** The columns that an expression reads, each once. */
export function columnsIn(expression: SqlExpression): readonly string[] {
  const own = expression.kind === 'column' ? [expression.column] : []
  return [...new Set([...own, ...partsOf(expression).flatMap((part) => columnsIn(part))])]
}
