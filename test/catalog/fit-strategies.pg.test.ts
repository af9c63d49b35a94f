import { afterAll, beforeAll, expect, test } from 'vitest'
import { fitWithoutRights } from '../../src/catalog/fit.ts'
import { maskDigest } from '../../src/catalog/fit-masks.ts'
import { checkPatterns } from '../../src/catalog/patterns.ts'
import { pseudonymKey } from '../support/builders.ts'
import { openFitting, type Fitting } from './fitting.ts'

let fitting: Fitting

const COLUMNS = {
  name: 'text',
  login: 'text unique',
  code: 'varchar(12)',
  born: 'date',
  seen: 'time',
  size: 'int',
  price: 'money',
  photo: 'bytea',
  nicks: 'text[]',
  state: 'crm.state',
  doc: 'jsonb',
  note: 'crm.note',
} as const

beforeAll(async () => {
  const columns = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`)
  fitting = await openFitting(`
    create schema crm;
    create type crm.state as enum ('open', 'closed');
    create domain crm.note as text;
    create table crm.person (id int primary key, started date, ${columns.join(', ')})`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

/** A rule that masks one column, on line 12, and keeps all others. */
function rule(name: string, mask: string): string {
  const kept = ['started', ...Object.keys(COLUMNS)].filter((column) => column !== name)
  return `  - id: person
    table: crm.person
    start: started
    keep: 1 year
    then:
      anonymise:
        ${name}: ${mask}
${kept.map((column) => `        ${column}: { keep: why }\n`).join('')}`
}

test.for([
  ['born', 'pseudonym', 'mask_not_text: born is date: a pseudonym makes text'],
  ['photo', '{ random: 16 }', 'mask_not_text: photo is bytea: a random makes text'],
  ['nicks', '{ partial: { first: 1 } }', 'mask_not_text: nicks is text[]: a partial makes text'],
  [
    'state',
    '{ pattern: { find: o, with: p } }',
    'mask_not_text: state is crm.state: a pattern makes text',
  ],
  [
    'seen',
    '{ truncate: hour }',
    'mask_wrong_type: seen is time without time zone: truncate takes date, timestamp, timestamptz',
  ],
  [
    'price',
    '{ bucket: 10 }',
    'mask_wrong_type: price is money: bucket takes int2, int4, int8, numeric, float4, float8',
  ],
  [
    'size',
    '{ round: 2 }',
    'mask_wrong_type: size is integer: round takes numeric, float4, float8, point',
  ],
  [
    'size',
    '{ network: { v4: 24, v6: 48 } }',
    'mask_wrong_type: size is integer: network takes inet, cidr, text',
  ],
  ['name', '{ json: { "$.a": nothing } }', 'mask_wrong_type: name is text: json takes json, jsonb'],
  ['born', '{ truncate: day }', 'mask_changes_nothing: born is a date: its day is what it is'],
  [
    'size',
    '{ bucket: 2.5 }',
    'mask_changes_nothing: size is integer: multiples of 2.5 are no coarser than it is',
  ],
  [
    'size',
    '{ bucket: 1 }',
    'mask_changes_nothing: size is integer: multiples of 1 are no coarser than it is',
  ],
  ['code', '{ random: 13 }', 'mask_too_long: code holds 12 characters, the mask has 13'],
  ['code', 'pseudonym', 'mask_too_long: code holds 12 characters, the mask has 24 or more'],
  [
    'login',
    '{ random: 15 }',
    'mask_not_unique: login is unique (person_login_key): 15 random digits may come twice',
  ],
] as const)('%s cannot be masked by %s', async ([name, mask, said]) => {
  const problems = await fitting.problems(rule(name, mask))

  expect(problems).toHaveLength(1)
  expect(problems[0]).toContain(`crm.yaml:12:${11 + name.length} ${said} >`)
})

test('a domain over text takes what text takes', async () => {
  expect(await fitting.problems(rule('note', '{ partial: { last: 1 } }'))).toEqual([])
})

test('nothing is pseudonymised without a key', async () => {
  const { set, catalog } = await fitting.catalogOf(rule('name', 'pseudonym'))

  const { problems } = fitWithoutRights(set, catalog)

  expect(problems?.map(({ code }) => code)).toEqual(['pseudonym_key_missing'])
  expect(fitWithoutRights(set, catalog, pseudonymKey()).problems).toBeUndefined()
})

test.for([
  ['"("', 'x', 'pattern_invalid'],
  ['"a{999}"', 'x', 'pattern_invalid'],
  ['"a*"', 'x', 'pattern_finds_nothing'],
  ['"[a-z]"', 'x', 'pattern_finds_itself'],
] as const)('PostgreSQL refuses the pattern %s with %s', async ([find, put, code]) => {
  const rules = await fitting.fitted(rule('name', `{ pattern: { find: ${find}, with: ${put} } }`))

  const problems = await checkPatterns(fitting.connection.db, rules)

  expect(problems.map((problem) => problem.code)).toEqual([code])
})

test('a mask is another one with any of its parts, and the same under another key', async () => {
  const digestOf = async (name: string, mask: string, byte = 7): Promise<string> => {
    const { set, catalog } = await fitting.catalogOf(rule(name, mask))
    return maskDigest(fitWithoutRights(set, catalog, pseudonymKey(byte)).value?.[0]?.masks ?? [])
  }
  const masks = [
    ['name', '{ random: 16 }'],
    ['name', '{ random: 17 }'],
    ['name', 'pseudonym'],
    ['name', '{ partial: { first: 1 } }'],
    ['name', '{ partial: { last: 1 } }'],
    ['name', '{ partial: { first: 1, with: "#" } }'],
    ['name', '{ pattern: { find: a, with: b } }'],
    ['name', '{ pattern: { find: a, with: c } }'],
    ['name', '{ network: { v4: 24, v6: 48 } }'],
    ['name', '{ network: { v4: 24, v6: 49 } }'],
    ['born', '{ truncate: year }'],
    ['born', '{ truncate: month }'],
    ['size', '{ bucket: 10 }'],
    ['size', '{ bucket: 20 }'],
    ['doc', '{ json: { "$.a": nothing } }'],
    ['doc', '{ json: { "$.a": { constant: 1 } } }'],
    ['doc', '{ json: { "$[*].a": nothing } }'],
  ] as const
  const digests = new Set<string>()
  for (const [name, mask] of masks) digests.add(await digestOf(name, mask))

  expect(digests.size).toBe(masks.length)
  expect(await digestOf('name', 'pseudonym', 9)).toBe(await digestOf('name', 'pseudonym'))
})
