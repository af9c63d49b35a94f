import { expect, test } from 'vitest'
import { Bug, ConfigError, PolicyError } from '../../src/base/errors.ts'
import { renderFailure } from '../../src/cli/failure.ts'

const CANARY = 'canary-4711'

/** As node-postgres throws it: message and detail quote the row. */
function postgresError(code: string): Error {
  return Object.assign(new Error(`duplicate key ${CANARY}`), {
    code,
    detail: `Key (email)=(${CANARY}) already exists.`,
    where: CANARY,
  })
}

test.for([
  ['22P02', 'retentiond: PostgreSQL refused a statement (SQLSTATE 22P02)'],
  ['23505', 'retentiond: PostgreSQL refused a statement (SQLSTATE 23505)'],
  ['42P01', 'retentiond: PostgreSQL refused a statement (SQLSTATE 42P01)'],
  ['57P01', 'retentiond: the connection to the database was lost'],
  ['40001', 'retentiond: PostgreSQL gave up the transaction (SQLSTATE 40001)'],
] as const)('an error %s of PostgreSQL is told without what it says of a row', ([code, said]) => {
  const { text, exit } = renderFailure(postgresError(code))

  expect(exit).toBe(1)
  expect(text).toContain(`${said}\n`)
  expect(text).not.toContain(CANARY)
})

test('a right that is missing says where rights come from', () => {
  const { text } = renderFailure(postgresError('42501'))

  expect(text).toContain('the role lacks a right')
  expect(text).toContain('retentiond grants')
})

test('missing rights are named one by one, and where all of them are printed is said once', () => {
  const problem = { code: 'privilege_missing', at: 'p.yaml:1:1', path: '', message: 'may not' }
  const { text } = renderFailure(new PolicyError([problem, problem]))

  expect(text.match(/retentiond grants/g)).toHaveLength(1)
  expect(text).toMatch(/\n2 problems; nothing was done\n$/)
})

test('an error that nobody foresaw is told by name and place, and asks for a report', () => {
  const { text, exit } = renderFailure(new TypeError(CANARY))

  expect(exit).toBe(1)
  expect(text).toMatch(/^retentiond: unexpected TypeError\n {4}at .*failure\.test\.ts/)
  expect(text).toContain('please report this with the command you ran')
  expect(text).not.toContain(CANARY)
})

test('a bug of ours asks for a report, a fault of the configuration does not', () => {
  expect(renderFailure(new Bug('the tree shrank')).text).toContain('please report this')
  expect(renderFailure(new ConfigError('no key', { remedy: 'make one' }))).toEqual({
    text: 'retentiond: no key\n  make one\n',
    exit: 78,
  })
})

test('problems are printed together, in the order of their places, and counted', () => {
  const problem = (at: string) => ({ code: 'x', at, path: '', message: 'wrong', remedy: 'mend it' })

  expect(renderFailure(new PolicyError([problem('b.yaml:2:1'), problem('a.yaml:10:1')]))).toEqual({
    text: 'a.yaml:10:1  wrong\n      mend it\nb.yaml:2:1  wrong\n      mend it\n2 problems; nothing was done\n',
    exit: 78,
  })
})
