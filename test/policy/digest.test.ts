import { expect, test } from 'vitest'
import { guardsOf } from '../../src/plan/guards.ts'
import { stateOf, versionOf, type Approval } from '../../src/plan/approval.ts'
import { ruleBasis, ruleDigest } from '../../src/policy/digest.ts'
import { parsePolicies } from '../../src/policy/parse.ts'
import type { Rule } from '../../src/policy/policy.ts'
import { parsed, policyYaml, ruleWith } from './documents.ts'

test('the digest of a rule is the same for ever', () => {
  // Approvals and journals name it: whoever changes it must change the format's name too.
  expect(ruleWith('').digest).toBe(
    '7a0e19ebf21c730dc8e954eb82b3f6c2f994dacf218f7e579914de5cc6e1d299',
  )
  expect(
    ruleWith('    where: { a: 1.5, b: [x, null-ish] }\n    then: { anonymise: { c: nothing } }\n')
      .digest,
  ).toBe('d656ec4891ab049a2c5e2718d0baf588748ce39b688c545077b387c2925aec91')
})

test('the order of keys, alternatives and comments does not change a digest', () => {
  const one = ruleWith(
    `    where: { a: [1, 2], any: [{ b: { lt: 5, gt: 1 } }, { c: null }] }
    references: { t.a: with_parent, t.b: with_parent }
    sentinels: { open: [2999-01-01, infinity] }
    then: { anonymise: { x: nothing, y: { constant: 1 } } }\n`,
  )
  const other = ruleWith(
    `    then:
      anonymise: # two columns
        y: { constant: 1 }
        x: nothing
    sentinels: { open: [infinity, 2999-01-01] }
    references: { t.b: with_parent, t.a: with_parent }
    where:
      any: [{ c: null }, { b: { gt: 1, lt: 5 } }]
      a: [2, 1, 1]\n`,
  )

  expect(other.digest).toBe(one.digest)
})

test('the order of sources and how they are written does not change a digest', () => {
  const digestOf = (start: string): string | undefined =>
    parsed(policyYaml(`  - { id: a, table: t.a, keep: 1 year, then: purge, start: ${start} }\n`))
      .rules[0]?.digest
  const one = digestOf('{ latest: [t.b.at, t.c.at], by: { x: id, y: no } }')

  expect(digestOf('{ by: { y: no, x: id }, latest: [t.c.at, { column: t.b.at }] }')).toBe(one)
  expect(digestOf('{ latest: [t.b.at, t.c.at], by: { x: id } }')).not.toBe(one)
})

test('a default that is written out has the digest of one that is not', () => {
  const written = ruleWith(
    `    mode: report
    limits: { max_rows: 50000, max_percent: 10 }
    batch: { rows: 5000 }
    after: { analyze: true, vacuum: false }
    plausible_from: 1990-01-01
    timezone: Europe/Paris
    schedule: none\n`,
  )

  expect(written.digest).toBe(ruleWith('').digest)
})

test.for<Partial<Rule>>([
  { plausibleFrom: '1980-01-01' },
  { limits: { maxRows: 100_000, maxPercent: 10, trip: 'either' } },
  { limits: { maxRows: 50_000, maxPercent: 20, trip: 'either' } },
  { limits: { maxRows: 50_000, maxPercent: 10, trip: 'both' } },
  { mode: 'enforce' },
])('a default that another version of the program changes needs an approval: %o', (changed) => {
  const before = fitted(ruleWith(''))
  const after = fitted({ ...before.rule, ...changed })
  const given = { guards: guardsOf(before.rule), lifts: null, beside: [], fingerprint: 'f' }
  const approval = { ...versionOf(before), ...given, expiresAt: '2100' }
  const standing = { approval: approval as unknown as Approval, revoked: false }

  expect(stateOf(before, 'f', standing, '2026')).toBe('given')
  expect(stateOf(after, 'f', standing, '2026')).toBe('changed')
  expect(ruleDigest(after.rule)).not.toBe(before.rule.digest)
})

function fitted(rule: Rule) {
  return { rule, rivals: [] }
}

test.for([
  'schedule: 0 3 * * *',
  'batch: { rows: 10 }',
  'pace: { share: 20 }',
  'after: { vacuum: true }',
])('how a rule runs is of the digest of the set and not of the rule: %s', (key) => {
  const yaml = (more: string): string =>
    policyYaml(
      `  - { id: a, table: t.a, start: at, keep: 1 year, then: purge }\n`.replace(' }', more),
    )
  const [one, other] = [parsed(yaml(' }')), parsed(yaml(`, ${key} }`))]

  expect(one.rules[0]?.digest).toBe(other.rules[0]?.digest)
  expect(one.digest).not.toBe(other.digest)
})

test('the basis of a rule is everything but its period, limits and floors', () => {
  expect(ruleBasis(ruleWith('    timezone: Europe/Rome\n'))).not.toBe(ruleBasis(ruleWith('')))
  expect(ruleBasis({ ...ruleWith(''), keep: { count: 1, unit: 'day' } })).toBe(
    ruleBasis(ruleWith('')),
  )
  expect(ruleBasis(ruleWith('    limits: { max_rows: 5 }\n'))).toBe(ruleBasis(ruleWith('')))
})

test('the title and the register change the digest of the set and not that of the rule', () => {
  const yaml = (title: string): string =>
    policyYaml(`  - { id: a, title: ${title}, table: t.a, start: at, keep: 1 year, then: purge }\n`)
  const [one, other] = [parsed(yaml('One')), parsed(yaml('Other'))]

  expect(one.rules[0]?.digest).toBe(other.rules[0]?.digest)
  expect(one.digest).not.toBe(other.digest)
})

test('the names and the order of files do not change the digest of the set', () => {
  const file = (id: string): string =>
    policyYaml(`  - { id: ${id}, table: t.${id}, start: at, keep: 1 year, then: purge }\n`).replace(
      'policy: crm',
      `policy: ${id}`,
    )
  const one = parsePolicies([
    { file: '1.yaml', text: file('a') },
    { file: '2.yaml', text: file('b') },
  ])
  const other = parsePolicies([
    { file: 'x/1.yaml', text: `# moved\n${file('b')}` },
    { file: 'x/2.yaml', text: file('a') },
  ])

  expect(one.value?.digest).toBeDefined()
  expect(other.value?.digest).toBe(one.value?.digest)
})

test.for([
  '    keep: 13 months\n',
  '    mode: enforce\n',
  '    where: { a: 1 }\n',
  '    where: { a: "1" }\n',
  '    where: { a: 0.5 }\n',
  '    where: { not: { a: 1 } }\n',
  '    timezone: Europe/Rome\n',
  '    limits: { max_percent: 9.5 }\n',
  '    plausible_from: 1991-01-01\n',
  '    sentinels: { open: [2999-01-01] }\n',
  '    sentinels: { invalid: [2999-01-01] }\n',
  '    references: { t.a: with_parent }\n',
  '    start: { column: recorded_at, timezone: UTC }\n',
  '    start: { column: recorded_at, unit: seconds }\n',
  '    start: { column: recorded_at, unit: milliseconds }\n',
  '    start: { column: recorded_at, format: YYYYMMDD }\n',
  '    start: { latest: t.a.at, by: { a: id } }\n',
  '    start: { latest: t.a.at, by: [{ a: t.b.id }, { b: id }] }\n',
  '    start: { latest: t.a.at, by: [{ a: t.c.id }, { b: id }] }\n',
  '    start: { latest: [t.a.at, t.b.at], by: { a: id } }\n',
  '    start: { latest: [t.a.at, t.b.at], by: { a: id }, none: { use: x } }\n',
  '    start: { latest: [t.a.at, t.b.at], by: { a: id }, none: { use: x, unit: seconds } }\n',
  '    start: { last_activity: [t.a.at], by: { a: id } }\n',
  '    start: { last_activity: [t.a.at, at], by: { a: id } }\n',
  '    start: { last_activity: [t.a.at, seen], by: { a: id } }\n',
  '    then: { anonymise: { a: nothing } }\n',
])('what changes the outcome changes the digest: %s', (yaml) => {
  const key = /^ +(?<key>\w+):/.exec(yaml)?.groups?.['key'] ?? ''
  const plain = '  - id: site\n    table: site.connection\n    start: recorded_at\n'
  const rest = '    keep: 12 months\n    then: purge\n'
  const lines = `${plain}${rest}`.split('\n').filter((line) => !line.startsWith(`    ${key}:`))

  const [rule] = parsed(policyYaml(`${lines.join('\n')}${yaml}`)).rules

  seen.add(rule?.digest ?? '')
  expect(rule?.digest).not.toBe(ruleWith('').digest)
  expect(seen.size).toBe((count += 1))
})

const seen = new Set<string>()
let count = 0

test('an exemption is part of the digest of the set, and an exempt column of that of its rule', () => {
  const yaml = (exempt: string): string =>
    policyYaml(
      '  - { id: a, table: t.a, start: at, keep: 1 year, then: { anonymise: { b: nothing } } }\n',
    ).replace('rules:', `coverage: { schemas: [t], exempt: [${exempt}] }\nrules:`)
  const plain = parsed(yaml(''))
  const table = parsed(yaml('{ table: t.b, why: none, review: 2030-01-01 }'))
  const column = parsed(yaml('{ table: t.a, column: c, why: none, review: 2030-01-01 }'))

  expect(new Set([plain, table, column].map(({ digest }) => digest)).size).toBe(3)
  expect(table.rules[0]?.digest).toBe(plain.rules[0]?.digest)
  expect(column.rules[0]?.digest).not.toBe(plain.rules[0]?.digest)
})

test('by when a rule must have acted changes the digest of the set, and no approval', () => {
  const rule = '  - { id: a, table: t.a, start: at, keep: 1 year, then: purge'
  const plain = parsed(policyYaml(`${rule} }\n`))
  const timed = parsed(policyYaml(`${rule}, within: 1 month }\n`))

  expect(timed.rules[0]?.digest).toBe(plain.rules[0]?.digest)
  expect(timed.digest).not.toBe(plain.digest)
})

test('how long backups are kept changes the digest of the set, and no approval', () => {
  const yaml = policyYaml('  - { id: a, table: t.a, start: at, keep: 1 year, then: purge }\n')
  const [plain, kept] = [parsed(yaml), parsed(yaml.replace('rules:', 'backups: 35 days\nrules:'))]

  expect(kept.rules[0]?.digest).toBe(plain.rules[0]?.digest)
  expect(kept.digest).not.toBe(plain.digest)
})

test('each phase of a rule has a digest and a name of its own', () => {
  const phases = (more: string): ReturnType<typeof parsed>['rules'] =>
    parsed(
      policyYaml(`  - id: a
    table: t.a
    start: at
    then:
      - { after: 1 year, anonymise: { name: { partial: { first: 1 } } } }
      - { after: 2 years, anonymise: { name: nothing } }
${more}`),
    ).rules
  const two = phases('')
  const three = phases('      - { after: 3 years, purge: true }\n')

  expect(three.map(({ id, keep }) => [id, keep.count])).toEqual([
    ['a.anonymise', 1],
    ['a.anonymise-2', 2],
    ['a.purge', 3],
  ])
  expect(new Set([...two, ...three].map(({ digest }) => digest)).size).toBe(5)
})
