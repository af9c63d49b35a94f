/** Reads `where_sql`: one boolean expression over the columns of the row, of an allow-list of nodes. */
import { hasControl, refuse, refuseKind, type Read } from './fault.ts'
import type { Condition } from './policy.ts'
import { columnsIn, partsOf, type SqlExpression } from './sql-expression.ts'
import { nodeOf, parseSql } from './sql-grammar.ts'
import { expressionOf, listOf, NotAllowed, onlyHas } from './sql-nodes.ts'

export type SqlCondition = Extract<Condition, { kind: 'sql' }>

/** Longer filters are a view, or a column that the application keeps. */
const LONGEST = 2000

/** Reads the text, or says what in it has no place there. The text itself goes nowhere. */
export function readWhereSql(raw: unknown): Read<SqlCondition> {
  if (typeof raw === 'boolean') {
    const message = `SQL that names no column would cover ${raw ? 'every row' : 'none'}`
    return refuse('filter_is_constant', message, raw ? 'leave it out' : 'drop the rule')
  }
  if (typeof raw !== 'string') return refuseKind('SQL as text', raw)
  const text = raw.trim()
  try {
    refuseText(text)
    const expression = expressionOf(targetOf(text))
    refuseConstants(expression)
    return { value: { kind: 'sql', expression, text: text.replaceAll(/\s+/g, ' ') } }
  } catch (error) {
    if (!(error instanceof NotAllowed)) throw error
    return refuse(error.code, error.message, error.remedy)
  }
}

/**
 * What the grammar drops or unfolds before anybody could see it in the tree: comments, escapes, other
 * ways to quote. Of plain strings and quoted names nothing is looked at.
 */
function refuseText(text: string): void {
  if (text === '') throw new NotAllowed('filter_is_empty', 'there is no SQL here', 'leave it out')
  if (text.length > LONGEST) {
    throw new NotAllowed('text_too_long', `SQL of ${text.length} characters; at most ${LONGEST}`)
  }
  if (hasControl(text.replaceAll(/[\n\r\t]/g, ' '))) {
    throw new NotAllowed('control_character', 'this SQL has a control character in it')
  }
  const bare = text.replaceAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, (quoted) => quoted.slice(0, 1))
  for (const [found, what] of UNSEEN) {
    if (found.test(bare)) {
      throw new NotAllowed('sql_not_allowed', `${what} may not stand in where_sql`, ONE_EXPRESSION)
    }
  }
}

const ONE_EXPRESSION = "write one condition on the columns of the row, as: lower(state) = 'gone'"

const UNSEEN: readonly (readonly [RegExp, string])[] = [
  [/--|\/\*|\*\//, 'a comment'],
  [/\$/, 'a parameter or a dollar quote'],
  [/;/, 'a second statement'],
  [/\\/, 'a backslash outside of a string'],
  [/[\p{L}\p{N}_&]['"]/u, 'a string or name with a prefix, as E or U&,'],
]

/** The expression that the text is, if it is one and nothing else. */
function targetOf(text: string): unknown {
  const { statements, failure } = parseSql(`select ${text}`)
  if (failure !== undefined) throw new NotAllowed('sql_invalid', `PostgreSQL says: ${failure}`)
  const [statement, ...more] = statements
  const { kind, holds } = nodeOf((statement as { readonly stmt?: unknown } | undefined)?.stmt)
  const targets = listOf(holds['targetList'])
  const target = nodeOf(targets[0])
  const plain =
    more.length === 0 &&
    kind === 'SelectStmt' &&
    onlyHas(holds, ['targetList', 'limitOption', 'op']) &&
    holds['op'] === 'SETOP_NONE' &&
    targets.length === 1 &&
    onlyHas(target.holds, ['val', 'location'])
  if (plain) return target.holds['val']
  throw new NotAllowed(
    'sql_not_allowed',
    'where_sql is one condition, and not a statement or a list',
    ONE_EXPRESSION,
  )
}

/**
 * Refuses what is the same for every row where a row should decide: `true`, `1 = 1`, `a = 1 or true`,
 * `a = a`. It is a slip, or hides that the filter filters nothing.
 */
function refuseConstants(expression: SqlExpression): void {
  if (columnsIn(expression).length === 0) {
    const message = 'a condition without a column is the same for every row'
    throw new NotAllowed('filter_is_constant', message, 'name a column, or leave it out')
  }
  if (expression.kind === 'operator' && isSame(expression.left, expression.right)) {
    const message = `${expression.operator} has the same on both sides, which is the same for every row`
    throw new NotAllowed('filter_is_constant', message, 'write is not null, or leave it out')
  }
  const deciding = ['and', 'or', 'not', 'is'].includes(expression.kind)
  if (deciding) for (const part of partsOf(expression)) refuseConstants(part)
}

function isSame(one: SqlExpression, other: SqlExpression): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
