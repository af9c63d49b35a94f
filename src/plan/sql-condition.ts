/**
 * The SQL of a policy as a fragment of ours. It is built from the expression that was read, never
 * from its text: names as identifiers, literals as parameters, and the words from this file.
 */
import { sql, type RawBuilder } from 'kysely'
import { columnId } from '../db/governed.ts'
import type {
  SqlExpression,
  SqlForm,
  SqlFunction,
  SqlOperator,
  SqlTest,
} from '../policy/sql-expression.ts'

/** The expression over the row `alias`. */
export function sqlFragment(expression: SqlExpression, alias: string): RawBuilder<boolean> {
  const part = (of: SqlExpression) => sqlFragment(of, alias)
  switch (expression.kind) {
    case 'column':
      return sql`${columnId(alias, expression.column)}`
    case 'constant':
      return constant(expression)
    case 'operator':
      return sql`(${part(expression.left)} ${OPERATORS[expression.operator]} ${part(expression.right)})`
    case 'minus':
      return sql`(- ${part(expression.of)})`
    case 'call':
      return sql`${named(expression.name)}(${sql.join(expression.given.map((each) => part(each)))})`
    case 'cast':
      return sql`cast(${part(expression.of)} as ${sql.id('pg_catalog', expression.to)})`
    case 'and':
    case 'or': {
      const word = expression.kind === 'and' ? sql` and ` : sql` or `
      return sql`(${sql.join(
        expression.parts.map((each) => part(each)),
        word,
      )})`
    }
    case 'not':
      return sql`(not ${part(expression.of)})`
    case 'is':
      return sql`(${part(expression.of)} ${TESTS[expression.test]})`
    default:
      return expression satisfies never
  }
}

function constant({
  type,
  text,
}: Extract<SqlExpression, { kind: 'constant' }>): RawBuilder<boolean> {
  // Without a type PostgreSQL reads it as that of what it stands beside, as it reads a literal.
  return type === null ? sql`${text}` : sql`cast(${text} as ${sql.id('pg_catalog', type)})`
}

function named(name: SqlFunction | SqlForm): RawBuilder<unknown> {
  return isForm(name) ? FORMS[name] : sql.id('pg_catalog', name)
}

function isForm(name: SqlFunction | SqlForm): name is SqlForm {
  return Object.hasOwn(FORMS, name)
}

const FORMS: Readonly<Record<SqlForm, RawBuilder<unknown>>> = {
  coalesce: sql`coalesce`,
  nullif: sql`nullif`,
  greatest: sql`greatest`,
  least: sql`least`,
}

/** Found in pg_catalog, which is all that a session of ours searches. */
const OPERATORS: Readonly<Record<SqlOperator, RawBuilder<unknown>>> = {
  '=': sql`=`,
  '<>': sql`<>`,
  '<': sql`<`,
  '<=': sql`<=`,
  '>': sql`>`,
  '>=': sql`>=`,
  '+': sql`+`,
  '-': sql`-`,
  '*': sql`*`,
  '/': sql`/`,
  '%': sql`%`,
  '||': sql`||`,
  '~~': sql`~~`,
  '!~~': sql`!~~`,
  '~~*': sql`~~*`,
  '!~~*': sql`!~~*`,
  '~': sql`~`,
  '!~': sql`!~`,
  '~*': sql`~*`,
  '!~*': sql`!~*`,
  '->': sql`->`,
  '->>': sql`->>`,
  '@>': sql`@>`,
  '<@': sql`<@`,
  '?': sql`?`,
  '&&': sql`&&`,
  'is distinct from': sql`is distinct from`,
  'is not distinct from': sql`is not distinct from`,
}

const TESTS: Readonly<Record<SqlTest, RawBuilder<unknown>>> = {
  null: sql`is null`,
  'not null': sql`is not null`,
  true: sql`is true`,
  'not true': sql`is not true`,
  false: sql`is false`,
  'not false': sql`is not false`,
}
