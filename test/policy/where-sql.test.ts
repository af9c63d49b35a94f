import { beforeAll, expect, test } from 'vitest'
import { readWhereSql } from '../../src/policy/read-sql.ts'
import { columnsIn } from '../../src/policy/sql-expression.ts'
import { loadGrammar } from '../../src/policy/sql-grammar.ts'
import { ruleWith } from './documents.ts'

beforeAll(async () => {
  await loadGrammar(['where_sql'])
})

/** What must not be in a filter, each with a word of the reason. */
const CORPUS: readonly (readonly [string, string])[] = [
  // more than one expression
  ['a = 1; delete from crm.customer', 'second statement'],
  ['1); delete from crm.customer; --', 'a comment'],
  ['true); delete from crm.customer', 'second statement'],
  ['a = 1 -- and b = 2', 'a comment'],
  ['a = 1 /* and b = 2 */', 'a comment'],
  ["a /* ' */ = 1", 'a comment'],
  ['a = 1, b = 2', 'not a statement or a list'],
  ['a = 1 as x', 'not a statement or a list'],
  ['a = 1 from crm.customer', 'not a statement or a list'],
  ['a = 1 union select b', 'not a statement or a list'],
  ['a = 1 where true', 'not a statement or a list'],
  ['a = 1 group by a having true', 'not a statement or a list'],
  ['a = 1 window w as (order by a)', 'not a statement or a list'],
  ['a = 1 order by 1 limit 1', 'not a statement or a list'],
  ['a = 1 for update', 'not a statement or a list'],
  ['distinct a = 1', 'not a statement or a list'],
  ['a = 1 into t', 'not a statement or a list'],
  ['(with t as (select 1) select true from t)', 'a sub-select'],
  ['a = 1)', 'syntax error'],
  ['(a = 1', 'syntax error'],
  ['a = ', 'syntax error'],
  ['delete from crm.customer', 'not a statement or a list'],
  // other rows and tables
  ['a = (select 1)', 'a sub-select'],
  ['exists (select from crm.contract)', 'a sub-select'],
  ['a in (select id from crm.contract)', 'a sub-select'],
  ['a = any (array[1, 2])', 'op any'],
  ['a = all (array[1, 2])', 'op all'],
  ['crm.customer.a = 1', 'table before it'],
  ['row.a = 1', 'table before it'],
  ['customer.a = 1', 'table before it'],
  ['count(*) = 1', 'unusual form of a function call'],
  ['sum(a) > 1', 'the function "sum"'],
  ['row_number() over () = 1', 'unusual form of a function call'],
  ["lower(distinct b) = 'x'", 'unusual form of a function call'],
  ["lower(b) filter (where true) = 'x'", 'unusual form of a function call'],
  ['(a, b) = (1, 2)', 'a row'],
  ['row(a) is null', 'a row'],
  ['a.*', 'table before it'],
  ['*', '* for all columns'],
  ["b[1] = 'x'", 'a part of a value'],
  ['(b).c = 1', 'a part of a value'],
  ['a = 1 and grouping(a) = 0', 'a GroupingFunc'],
  // what has an effect, or reads something else
  ['pg_sleep(10) is null or a = 1', 'the function "pg_sleep"'],
  ["dblink('host=x', 'select 1') is null", 'the function "dblink"'],
  ["lo_import('/etc/passwd') = 1", 'the function "lo_import"'],
  ["pg_read_file(b) = 'x'", 'the function "pg_read_file"'],
  ["set_config('role', b, true) = 'x'", 'the function "set_config"'],
  ["current_setting(b) = 'x'", 'the function "current_setting"'],
  ['nextval(b) = 1', 'the function "nextval"'],
  ['pg_advisory_lock(a) is null', 'the function "pg_advisory_lock"'],
  ['query_to_xml(b, true, true, b) is null', 'the function "query_to_xml"'],
  ["has_table_privilege(b, 'select')", 'the function "has_table_privilege"'],
  ["crm.shout(b) = 'x'", 'the function "crm.shout"'],
  ["public.lower(b) = 'x'", 'the function "public.lower"'],
  ['"Lower"(b) = \'x\'', 'the function "Lower"'],
  ['random() < a', 'the function "random"'],
  ['gen_random_uuid() = u', 'the function "gen_random_uuid"'],
  ['a operator(crm.=) 1', 'an operator of a schema'],
  ['a operator(pg_catalog.=) 1', 'an operator of a schema'],
  ['a === 1', 'the operator "==="'],
  ['|/ a = 1', 'the operator'],
  ['@ a = 1', 'the operator'],
  ['b collate "C" = \'x\'', 'collate'],
  ['b = \'x\' collate "evil"', 'collate'],
  // what is another one tomorrow, or for another session
  ['d < now()', 'the function "now"'],
  ['d < current_date', 'what the session or the clock says'],
  ['d < current_timestamp', 'what the session or the clock says'],
  ['d < localtime', 'what the session or the clock says'],
  ['b = current_user', 'what the session or the clock says'],
  ['b = session_user', 'what the session or the clock says'],
  ['b = user', 'what the session or the clock says'],
  ["d < 'now'", 'another one tomorrow'],
  ["d < 'Today'", 'another one tomorrow'],
  ["d < date 'yesterday'", 'another one tomorrow'],
  ["d < 'tomorrow 04:05'::timestamptz", 'another one tomorrow'],
  ["d < 'today04:05'", 'another one tomorrow'],
  ['clock_timestamp() > d', 'the function "clock_timestamp"'],
  ["age(d) > interval '1 year'", 'the function "age"'],
  ["d + interval '1 year' < d", 'a cast to "pg_catalog.interval"'],
  ['d at time zone b < d', 'the function "pg_catalog.timezone"'],
  ["to_char(d, 'YYYY') = '2020'", 'the function "to_char"'],
  // casts
  ["b::regclass = 'x'", 'a cast to "regclass"'],
  ['b::regproc is null', 'a cast to "regproc"'],
  ['b::regrole is null', 'a cast to "regrole"'],
  ["cast(b as crm.mood) = 'x'", 'a cast to "crm.mood"'],
  ['b::oid = 1', 'a cast to "oid"'],
  ['b::xml is null', 'a cast to "xml"'],
  ['b::text[] is null', 'a length or an array'],
  ["b::varchar(2) = 'x'", 'a length or an array'],
  ['b::a.b%type = 1', 'a cast to'],
  // parameters, and other ways to quote
  ['a = $1', 'a parameter'],
  ['b = $$x$$', 'dollar quote'],
  ['b = $t$x$t$', 'dollar quote'],
  ["b = E'\\''", 'with a prefix'],
  ["b = E'x'", 'with a prefix'],
  ["b = e'x'", 'with a prefix'],
  ["b = U&'\\0041'", 'with a prefix'],
  ["b = U&'x'", 'with a prefix'],
  ['U&"b" = \'x\'', 'with a prefix'],
  ["b = B'1'", 'with a prefix'],
  ["b = X'1F'", 'with a prefix'],
  ["b = N'x'", 'with a prefix'],
  ['\\copy a', 'a backslash'],
  ['a = 1\u0000', 'control character'],
  ['a = 1 \u0007', 'control character'],
  // what is the same for every row
  ['true', 'the same for every row'],
  ['false', 'the same for every row'],
  ['1 = 1', 'the same for every row'],
  ['1=1', 'the same for every row'],
  ['not false', 'the same for every row'],
  ["lower('X') = 'x'", 'the same for every row'],
  ['a = 1 or true', 'the same for every row'],
  ['a = 1 or 1 = 1', 'the same for every row'],
  ["a = 1 or (b = 'x' and not 2 > 3)", 'the same for every row'],
  ['a = a', 'the same for every row'],
  ['a = 1 or lower(b) = lower(b)', 'the same for every row'],
  ['a = null', 'never true'],
  ['a <> null or a = null', 'never true'],
  ['a in (1, null)', 'never true'],
  ['null', 'never true'],
  ['null::boolean', 'never true'],
  ['(a = 1) is unknown', 'is unknown'],
  // forms without a use here
  ['case when a = 1 then true end', 'case'],
  ["b similar to 'x'", 'similar'],
  ["b like 'x' escape '!'", 'the function "pg_catalog.like_escape"'],
  ['array[a] = array[1]', 'an array'],
  ["xmlserialize(content b as text) = 'x'", 'a XmlSerialize'],
  ['b is json', 'a JsonIsPredicate'],
  ["json_exists(j, '$.a')", 'a JsonFuncExpr'],
  ['a between symmetric 1 and 2', 'between sym'],
  ["lower(x => b) = 'x'", 'a NamedArgExpr'],
  ["lower(variadic b) = 'x'", 'unusual form of a function call'],
  ['merge_action() = b', 'a MergeSupportFunc'],
  ['', 'there is no SQL here'],
  [' \n ', 'there is no SQL here'],
]

test.for(CORPUS)('where_sql refuses %s', ([text, reason]) => {
  const { value, faults } = readWhereSql(text)

  expect(value).toBeUndefined()
  expect(faults).toHaveLength(1)
  expect(faults?.[0]?.message).toContain(reason)
})

test('text that is too long, too deep or no text is refused, and fast', () => {
  const texts = [
    `a = '${'x'.repeat(2000)}'`,
    `${'('.repeat(990)}a = 1${')'.repeat(990)} or`,
    'not '.repeat(499),
    "'".repeat(1999),
    '"a'.repeat(999),
  ]

  expect(texts.map((text) => readWhereSql(text).value)).toEqual(texts.map(() => undefined))
  for (const raw of [1, null, ['a = 1'], { a: 1 }, true, false]) {
    expect(readWhereSql(raw).faults).toHaveLength(1)
  }
})

test.for([
  ['a = 1', ['a']],
  ['"Odd ""Name""" = 1', ['Odd "Name"']],
  ["\"it's\" = 'x'", ["it's"]],
  ["b = '-- no comment; $1 /* \\'", ['b']],
  ["b = 'it''s' and B <> ''", ['b']],
  [
    "lower(b) like 'x%' and c is not null or not (d in (1, 2) and e between f and 3)",
    ['b', 'c', 'd', 'e', 'f'],
  ],
  ['flag', ['flag']],
  ['flag is not true', ['flag']],
  ["pg_catalog.lower(b) = 'x'", ['b']],
  ["j ->> 'kind' = 'x' and j ? 'k'", ['j']],
  [
    "coalesce(b, c, '') <> '' and nullif(a, 0) > -1.5 and greatest(a, x) < 99999999999",
    ['b', 'c', 'a', 'x'],
  ],
  ["extract(year from d) = 2020 and d::date < date '2020-01-01'", ['d']],
  ["trim(b) = '' or substring(b from 1 for 2) = 'ab' or position('x' in b) = 0", ['b']],
  ["b is distinct from 'x' and b not like '%y'", ['b']],
  ["b = 'unknown' or b = 'snow'", ['b']],
] as const)('where_sql knows the columns of %s', ([text, columns]) => {
  const { value, faults } = readWhereSql(text)

  expect(faults).toBeUndefined()
  expect(value === undefined ? [] : columnsIn(value.expression)).toEqual(columns)
})

const withSql = (text: string) => ruleWith(`    where_sql: ${JSON.stringify(text)}\n`)

test('blanks, parentheses and the order of what must hold together are not in the digest', () => {
  const { digest } = withSql("a = 1 and (b = 'x' or c)")

  expect(withSql("(c or (b='x'))\n  and a=1").digest).toBe(digest)
  expect(withSql("a = 1 and (b = 'X' or c)").digest).not.toBe(digest)
  expect(withSql("a = 1 or (b = 'x' and c)").digest).not.toBe(digest)
})

test('what a filter, SQL and marks of deletion say must hold together', () => {
  const rule = ruleWith(
    '    where: { state: gone }\n    where_sql: a = 1\n    soft_deleted: { column: deleted_at, rows: only }\n',
  )
  const included = ruleWith('    soft_deleted: { column: deleted_at, rows: include }\n')

  expect(rule.where).toMatchObject({
    kind: 'all',
    conditions: [
      { kind: 'equals', column: 'state' },
      { kind: 'sql', text: 'a = 1' },
      { kind: 'soft_deleted', column: 'deleted_at', deleted: true },
    ],
  })
  expect(included.where).toBeNull()
  expect(included.digest).toBe(ruleWith('').digest)
  expect(ruleWith('    soft_deleted: { column: deleted_at, rows: exclude }\n').where).toEqual({
    kind: 'soft_deleted',
    column: 'deleted_at',
    deleted: false,
  })
})
