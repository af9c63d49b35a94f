import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import { tableId } from '../../src/db/governed.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { isUnmasked, maskValue } from '../../src/plan/mask.ts'
import { openFitting, type Fitting } from '../catalog/fitting.ts'

let fitting: Fitting

const TYPES = {
  text: 'text',
  code: 'varchar(40)',
  padded: 'char(40)',
  born: 'date',
  local: 'timestamp',
  seen: 'timestamptz',
  size: 'int',
  price: 'numeric',
  share: 'float8',
  place: 'point',
  address: 'inet',
  block: 'cidr',
  doc: 'jsonb',
  plain: 'json',
} as const
type Name = keyof typeof TYPES

beforeAll(async () => {
  const columns = Object.entries(TYPES).map(([name, type]) => `${name} ${type}`)
  fitting = await openFitting(`
    create schema crm;
    create schema retentiond;
    create table retentiond.anonymised (table_oid oid, key text[], rule text, mask_digest text);
    create table crm.person (id int primary key, started date, ${columns.join(', ')})`)
  await fitting.run(`
    grant usage on schema crm, retentiond to ${fitting.role};
    grant all on crm.person, retentiond.anonymised to ${fitting.role}`)
})

afterAll(async () => {
  await fitting[Symbol.asyncDispose]()
})

/** A rule that masks one column and keeps all others. */
async function ruleFor(name: Name, mask: string): Promise<FittedRule> {
  const kept = ['started', ...Object.keys(TYPES)].filter((column) => column !== name)
  const [rule] = await fitting.fitted(`  - id: person
    table: crm.person
    timezone: America/Sao_Paulo
    start: started
    keep: 1 year
    then:
      anonymise:
        ${name}: ${mask}
${kept.map((column) => `        ${column}: { keep: why }\n`).join('')}`)
  if (rule === undefined) throw new Error('no rule')
  return rule
}

type Masked = { readonly once: string | null; readonly left: boolean }

/** Writes the values into the table, masks them, and says what came out and whether that is masked. */
async function masked(
  rule: FittedRule,
  values: readonly (string | null)[],
  nonce = 'nonce',
): Promise<readonly Masked[]> {
  const [mask] = rule.masks
  if (mask === undefined) throw new Error('no mask')
  const row = { governed: rule, alias: 'row' }
  const column = sql.id(mask.column.name)
  const type = sql.id(mask.column.type.schema, mask.column.type.name)
  return inTransaction(fitting.connection.db, async (trx) => {
    await sql`delete from crm.person`.execute(trx)
    await sql`
      insert into crm.person (id, ${column})
      select position, cast(value as ${type})
      from unnest(${values}::text[]) with ordinality as given (value, position)`.execute(trx)
    await sql`
      update ${tableId(rule.table)} as row set ${column} = ${maskValue(mask, row, nonce)}`.execute(
      trx,
    )
    const { rows } = await sql<Masked>`
      select ${column}::text as once, ${isUnmasked(row, nonce)} or ${isUnmasked(row, null)} as left
      from crm.person as row order by id`.execute(trx)
    return rows
  })
}

async function once(rule: FittedRule, ...values: (string | null)[]) {
  return (await masked(rule, values)).map((value) => value.once)
}

test.for([
  ['text', '{ partial: { first: 1, last: 2 } }', 'Ada Lovelace', 'A*********ce'],
  ['text', '{ partial: { first: 2, with: "#" } }', 'Ada', '###'],
  ['text', '{ partial: { last: 2 } }', '🙂🙃🙂🙃🙂', '***🙃🙂'],
  ['text', '{ partial: { last: 4 } }', '', ''],
  ['born', '{ truncate: year }', '1984-07-21', '1984-01-01'],
  ['born', '{ truncate: quarter }', '1984-07-21', '1984-07-01'],
  ['born', '{ truncate: week }', '2026-11-22', '2026-11-16'],
  ['born', '{ truncate: month }', 'infinity', 'infinity'],
  ['local', '{ truncate: hour }', '1984-07-21 10:42:03.5', '1984-07-21 10:00:00'],
  ['seen', '{ truncate: day }', '2026-11-22 01:00:00+00', '2026-11-21 03:00:00+00'],
  ['seen', '{ truncate: day }', '2018-11-04 05:00:00+00', '2018-11-04 03:00:00+00'],
  ['size', '{ bucket: 10 }', '37', '30'],
  ['size', '{ bucket: 10 }', '-1', '-10'],
  ['price', '{ bucket: 2.5 }', '7.49', '5.0'],
  ['share', '{ bucket: 0.1 }', '0.37', '0.3'],
  ['price', '{ round: 1 }', '48.8566', '48.9'],
  ['share', '{ round: 0 }', '48.8566', '49'],
  ['place', '{ round: 2 }', '(48.8566,2.3522)', '(48.86,2.35)'],
  ['address', '{ network: { v4: 24, v6: 48 } }', '203.0.113.77', '203.0.113.0/24'],
  ['address', '{ network: { v4: 24, v6: 48 } }', '10.1.2.3/8', '10.0.0.0/8'],
  ['address', '{ network: { v4: 24, v6: 48 } }', '2001:db8:1:2::3', '2001:db8:1::/48'],
  ['block', '{ network: { v4: 16, v6: 48 } }', '203.0.113.0/24', '203.0.0.0/16'],
  ['text', '{ network: { v4: 24, v6: 48 } }', '203.0.113.77', '203.0.113.0/24'],
  [
    'text',
    '{ pattern: { find: "[0-9]{4,}", with: "…" } }',
    'call 0612345678 or 42',
    'call … or 42',
  ],
  ['text', '{ pattern: { find: "(?i)ada", with: "\\\\1\\\\&" } }', 'Ada, aDA', '\\1\\&, \\1\\&'],
  ['text', '{ pattern: { find: ab, with: "" } }', 'xaabby', ''],
  ['doc', '{ json: { "$.a": nothing } }', '{"a": 1, "b": 2}', '{"a": null, "b": 2}'],
  ['doc', '{ json: { "$.a.b": { constant: x } } }', '{"a": {"b": [1]}}', '{"a": {"b": "x"}}'],
  ['doc', '{ json: { "$.a": nothing } }', '{"b": 2}', '{"b": 2}'],
  ['doc', '{ json: { "$.a": nothing } }', '[1]', '[1]'],
  ['doc', '{ json: { "$[\\"a.b\\"]": nothing } }', '{"a.b": 1}', '{"a.b": null}'],
  [
    'doc',
    '{ json: { "$.all[*].mail": { constant: 1.5 }, "$.tags[*]": nothing } }',
    '{"all": [{"mail": 1, "n": 1}, 7, {"n": 2}], "tags": []}',
    '{"all": [{"n": 1, "mail": 1.5}, 7, {"n": 2}], "tags": []}',
  ],
  ['doc', '{ json: { "$.a[*][*]": { constant: true } } }', '{"a": [[1], 2]}', '{"a": [[true], 2]}'],
  ['plain', '{ json: { "$.a": nothing } }', '{"a":1,"a":2}', '{"a": null}'],
] as const)('%s under %s: %s becomes %s', async ([name, mask, value, becomes]) => {
  const rule = await ruleFor(name, mask)

  expect(await once(rule, value, becomes, null)).toEqual([becomes, becomes, null])
})

/** Values of each type, odd ones among them, as PostgreSQL reads them. */
const VALUES: Readonly<Record<Name, fc.Arbitrary<string>>> = {
  text: fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\0')),
  code: fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  padded: fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  born: fc.oneof(days(), fc.constantFrom('infinity', '-infinity', '0044-03-15 BC')),
  local: fc.oneof(instants(), fc.constantFrom('infinity', '0044-03-15 12:34 BC')),
  seen: fc.oneof(instants(), fc.constantFrom('-infinity', '0044-03-15 12:34 BC')),
  size: fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }).map(String),
  price: fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.constant('NaN'),
  ),
  share: fc.oneof(
    fc.double({ min: -1e12, max: 1e12, noNaN: true }).map(String),
    fc.constantFrom('NaN', 'Infinity'),
  ),
  place: fc
    .tuple(
      fc.double({ min: -180, max: 180, noNaN: true }),
      fc.double({ min: -90, max: 90, noNaN: true }),
    )
    .map(([x, y]) => `(${x},${y})`),
  address: addresses(),
  block: addresses(),
  doc: fc.json({ maxDepth: 4 }).filter((text) => !text.includes('\\u0000')),
  plain: fc.json({ maxDepth: 4 }).filter((text) => !text.includes('\\u0000')),
}

function days(): fc.Arbitrary<string> {
  return instants().map((instant) => instant.slice(0, 10))
}

function instants(): fc.Arbitrary<string> {
  const between = { min: new Date('1900-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }
  return fc.date(between).map((date) => date.toISOString())
}

function addresses(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.ipV4(),
    fc.ipV6().filter((text) => !text.includes('.')),
  )
}

test.for([
  ['text', '{ partial: { first: 1, last: 1 } }'],
  ['padded', '{ partial: { first: 3 } }'],
  ['text', '{ pattern: { find: "[aeiou ]+", with: "" } }'],
  ['text', '{ pattern: { find: "^.|!", with: "" } }'],
  ['code', '{ pattern: { find: "a|bb", with: "b" } }'],
  ['text', 'pseudonym'],
  ['code', 'pseudonym'],
  ['padded', 'pseudonym'],
  ['born', '{ truncate: week }'],
  ['local', '{ truncate: quarter }'],
  ['seen', '{ truncate: day }'],
  ['seen', '{ truncate: hour }'],
  ['size', '{ bucket: 7 }'],
  ['price', '{ bucket: 0.3 }'],
  ['share', '{ bucket: 0.7 }'],
  ['price', '{ round: 3 }'],
  ['share', '{ round: 3 }'],
  ['place', '{ round: 3 }'],
  ['address', '{ network: { v4: 20, v6: 44 } }'],
  ['block', '{ network: { v4: 20, v6: 44 } }'],
  ['doc', '{ json: { "$.a": nothing, "$[*].b": { constant: 1 } } }'],
  ['plain', '{ json: { "$.a": nothing, "$[*]": { constant: 1 } } }'],
  ['text', '{ random: 12 }'],
] as const)('%s masked by %s is masked, and stays as it is', async ([name, mask]) => {
  const rule = await ruleFor(name, mask)

  await fc.assert(
    fc.asyncProperty(fc.array(VALUES[name], { minLength: 60, maxLength: 60 }), async (values) => {
      const first = await masked(rule, [null, ...values])
      expect(first.filter(({ left }) => left)).toEqual([])
      expect(first[0]?.once).toBeNull()
      if (mask.includes('random')) return
      const again = await once(rule, ...first.map((value) => value.once))
      expect(again).toEqual(first.map((value) => value.once))
    }),
    { numRuns: 5 },
  )
})

test('a pseudonym is an HMAC of the value under the key, with a tag by which it is known again', async () => {
  const rule = await ruleFor('text', 'pseudonym')
  const hmac = (text: string) =>
    createHmac('sha256', Buffer.alloc(32, 7)).update(text).digest('hex')

  const [given] = await once(rule, 'Zoë')

  const digits = hmac('value Zoë').slice(0, 32)
  expect(given).toBe(`${digits}${hmac(`tag ${digits}`).slice(0, 8)}`)
})

test('a pseudonym is cut to its column, and two columns of one length agree on it', async () => {
  const [code, padded] = [await ruleFor('code', 'pseudonym'), await ruleFor('padded', 'pseudonym')]

  expect(await once(code, 'a')).toEqual(await once(padded, 'a'))
})

test('random digits tell nothing of the value, of the row, or of another batch', async () => {
  const rule = await ruleFor('text', '{ random: 16 }')

  const first = await masked(rule, ['a', 'a', 'b'], 'one')
  const second = await masked(rule, ['a', 'a', 'b'], 'two')

  const tokens = [...first, ...second].map((value) => value.once)
  expect(new Set(tokens).size).toBe(6)
  for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{16}$/)
})
