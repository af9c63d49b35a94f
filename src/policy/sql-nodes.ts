/** Makes an expression of the syntax tree of PostgreSQL's grammar. What is not named here is refused. */
import { closest } from '../base/nearest.ts'
import { quote } from './fault.ts'
import { tellsMovingDay } from './moving-day.ts'
import {
  SQL_FUNCTIONS,
  SQL_OPERATORS,
  SQL_TYPES,
  type SqlExpression,
  type SqlOperator,
  type SqlTest,
} from './sql-expression.ts'
import { nodeOf, type SqlNode } from './sql-grammar.ts'

type Holds = SqlNode['holds']

/** Ends the reading of an expression; `readWhereSql` catches it. */
export class NotAllowed extends Error {
  readonly code: string
  readonly remedy: string | undefined
  constructor(code: string, message: string, remedy?: string) {
    super(message)
    this.code = code
    this.remedy = remedy
  }
}

/** The expression that a node is, or a `NotAllowed`. */
export function expressionOf(raw: unknown): SqlExpression {
  const { kind, holds } = nodeOf(raw)
  const reader = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined
  if (reader === undefined) throw notAllowed(WORDS[kind] ?? `a ${kind}`)
  if (!onlyHas(holds, reader.has)) throw notAllowed(`an unusual form of ${WORDS[kind] ?? kind}`)
  return reader.read(holds)
}

function notAllowed(what: string, remedy?: string): NotAllowed {
  return new NotAllowed('sql_not_allowed', `${what} may not stand in where_sql`, remedy)
}

/** What people call the nodes that they are likely to write. */
const WORDS: Readonly<Record<string, string>> = {
  SubLink: 'a sub-select',
  ParamRef: 'a parameter',
  SQLValueFunction: 'what the session or the clock says, as current_date,',
  SetToDefault: 'default',
  CaseExpr: 'case',
  CollateClause: 'collate',
  A_ArrayExpr: 'an array',
  A_Indirection: 'a part of a value, as a[1] or (a).b,',
  RowExpr: 'a row',
  FuncCall: 'a function call',
  ColumnRef: 'a column',
  TypeCast: 'a cast',
}

type Reader = {
  /** The keys that the node may have; any other one means something that was not thought of. */
  readonly has: readonly string[]
  readonly read: (holds: Holds) => SqlExpression
}

const READERS: Readonly<Record<string, Reader>> = {
  ColumnRef: { has: ['fields', 'location'], read: readColumn },
  A_Const: {
    has: ['ival', 'fval', 'sval', 'boolval', 'isnull', 'bsval', 'location'],
    read: readConstant,
  },
  A_Expr: {
    has: ['kind', 'name', 'lexpr', 'rexpr', 'location', 'rexpr_list_start', 'rexpr_list_end'],
    read: readOperator,
  },
  BoolExpr: {
    has: ['boolop', 'args', 'location'],
    read: ({ boolop, args }) => {
      const parts = listOf(args).map((part) => expressionOf(part))
      const [first] = parts
      if (boolop === 'NOT_EXPR' && first !== undefined) return { kind: 'not', of: first }
      return { kind: boolop === 'AND_EXPR' ? 'and' : 'or', parts }
    },
  },
  NullTest: {
    has: ['arg', 'nulltesttype', 'location'],
    read: ({ arg, nulltesttype }) => {
      const test = nulltesttype === 'IS_NULL' ? 'null' : 'not null'
      return { kind: 'is', test, of: expressionOf(arg) }
    },
  },
  BooleanTest: {
    has: ['arg', 'booltesttype', 'location'],
    read: ({ arg, booltesttype }) => {
      const test = BOOLEAN_TESTS[String(booltesttype)]
      if (test === undefined) throw notAllowed('is unknown', 'write is null')
      return { kind: 'is', test, of: expressionOf(arg) }
    },
  },
  CoalesceExpr: {
    has: ['args', 'location'],
    read: ({ args }) => ({ kind: 'call', name: 'coalesce', given: all(args) }),
  },
  MinMaxExpr: {
    has: ['op', 'args', 'location'],
    read: ({ op, args }) => {
      return { kind: 'call', name: op === 'IS_GREATEST' ? 'greatest' : 'least', given: all(args) }
    },
  },
  FuncCall: { has: ['funcname', 'args', 'funcformat', 'location'], read: readCall },
  TypeCast: { has: ['arg', 'typeName', 'location'], read: readCast },
}

const BOOLEAN_TESTS: Readonly<Record<string, SqlTest>> = {
  IS_TRUE: 'true',
  IS_NOT_TRUE: 'not true',
  IS_FALSE: 'false',
  IS_NOT_FALSE: 'not false',
}

function readColumn({ fields }: Holds): SqlExpression {
  const [column, ...more] = listOf(fields).map((part) => nodeOf(part))
  if (column?.kind !== 'String') throw notAllowed('* for all columns')
  if (more.length > 0) {
    throw notAllowed(
      'a column with its table before it',
      'write the column alone: it is of the governed row',
    )
  }
  return { kind: 'column', column: String(column.holds['sval']) }
}

function readConstant(holds: Holds): SqlExpression {
  if (holds['isnull'] !== undefined) {
    throw new NotAllowed(
      'comparison_with_null',
      'a comparison with null is never true',
      'write is null',
    )
  }
  if (holds['bsval'] !== undefined) throw notAllowed('a string of bits')
  if (holds['boolval'] !== undefined) {
    const { boolval = false } = holds['boolval'] as { readonly boolval?: boolean }
    return { kind: 'constant', type: 'bool', text: String(boolval) }
  }
  if (holds['ival'] !== undefined) {
    const { ival = 0 } = holds['ival'] as { readonly ival?: number }
    return { kind: 'constant', type: 'int4', text: String(ival) }
  }
  if (holds['fval'] !== undefined) {
    const { fval } = holds['fval'] as { readonly fval: string }
    const isLong = /^-?\d{1,18}$/.test(fval)
    return { kind: 'constant', type: isLong ? 'int8' : 'numeric', text: fval }
  }
  const { sval = '' } = (holds['sval'] ?? {}) as { readonly sval?: string }
  if (tellsMovingDay(sval)) {
    const message = `${quote(sval)} may be read as a day that is another one tomorrow`
    throw new NotAllowed('value_moves', message, 'write the day; for a text column use `where`')
  }
  return { kind: 'constant', type: null, text: sval }
}

function readOperator({ kind, name, lexpr, rexpr }: Holds): SqlExpression {
  const names = listOf(name).map((part) => String(nodeOf(part).holds['sval']))
  const written = names.at(-1) ?? ''
  if (names.length !== 1) throw notAllowed(`an operator of a schema, as operator(x.${written}),`)
  switch (kind) {
    case 'AEXPR_OP':
      return lexpr === undefined && written === '-'
        ? { kind: 'minus', of: expressionOf(rexpr) }
        : between(operatorOf(written), lexpr, rexpr)
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
      return between(operatorOf(written), lexpr, rexpr)
    case 'AEXPR_DISTINCT':
      return between('is distinct from', lexpr, rexpr)
    case 'AEXPR_NOT_DISTINCT':
      return between('is not distinct from', lexpr, rexpr)
    case 'AEXPR_NULLIF':
      return { kind: 'call', name: 'nullif', given: [expressionOf(lexpr), expressionOf(rexpr)] }
    case 'AEXPR_IN': {
      const found = listOf(nodeOf(rexpr).holds['items']).map((item) => between('=', lexpr, item))
      const any: SqlExpression = { kind: 'or', parts: found }
      return written === '=' ? any : { kind: 'not', of: any }
    }
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN': {
      const [low, high] = listOf(nodeOf(rexpr).holds['items'])
      const parts = [between('>=', lexpr, low), between('<=', lexpr, high)]
      const within: SqlExpression = { kind: 'and', parts }
      return kind === 'AEXPR_BETWEEN' ? within : { kind: 'not', of: within }
    }
    default:
      throw notAllowed(String(kind).replace('AEXPR_', '').toLowerCase().replaceAll('_', ' '))
  }
}

function between(operator: SqlOperator, left: unknown, right: unknown): SqlExpression {
  if (left === undefined) throw notAllowed(`an operator before its only value, as ${operator} a,`)
  return { kind: 'operator', operator, left: expressionOf(left), right: expressionOf(right) }
}

function operatorOf(written: string): SqlOperator {
  const found = SQL_OPERATORS.find((operator) => operator === written)
  if (found !== undefined && !written.startsWith('is ')) return found
  throw notAllowed(`the operator ${quote(written)}`)
}

function readCall({ funcname, args }: Holds): SqlExpression {
  const names = listOf(funcname).map((part) => String(nodeOf(part).holds['sval']))
  const [written = '', ...more] = names[0] === 'pg_catalog' ? names.slice(1) : names
  const found = SQL_FUNCTIONS.find((name) => name === written)
  if (found !== undefined && more.length === 0)
    return { kind: 'call', name: found, given: all(args) }
  const near = closest(written, SQL_FUNCTIONS)
  const remedy =
    near === undefined ? `the functions are ${SQL_FUNCTIONS.join(', ')}` : `did you mean ${near}?`
  throw notAllowed(`the function ${quote(names.join('.'))}`, remedy)
}

function readCast({ arg, typeName }: Holds): SqlExpression {
  const type = typeName as Holds
  const names = listOf(type['names']).map((part) => String(nodeOf(part).holds['sval']))
  const [written = '', ...more] = names[0] === 'pg_catalog' ? names.slice(1) : names
  const found = SQL_TYPES.find((name) => name === written)
  if (found === undefined || more.length > 0) {
    throw notAllowed(`a cast to ${quote(names.join('.'))}`, `the types are ${SQL_TYPES.join(', ')}`)
  }
  if (!onlyHas(type, ['names', 'typemod', 'location'])) {
    throw notAllowed(`a length or an array of ${written}`, `write ${written} alone`)
  }
  return { kind: 'cast', to: found, of: expressionOf(arg) }
}

function all(raw: unknown): readonly SqlExpression[] {
  return listOf(raw).map((item) => expressionOf(item))
}

/** The items of what the grammar leaves out when it is empty. */
export function listOf(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? raw : []
}

/** True of a node that has no key but these: any other one means something that was not thought of. */
export function onlyHas(holds: Holds, keys: readonly string[]): boolean {
  return Object.keys(holds).every((key) => keys.includes(key))
}
