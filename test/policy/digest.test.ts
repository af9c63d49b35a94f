import { expect, test } from 'vitest'
import { parsePolicies } from '../../src/policy/parse.ts'
import { parsed, policyYaml, ruleWith } from './documents.ts'

test('the digest of a rule is the same for ever', () => {
  // Approvals and journals name it: whoever changes it must change the format's name too.
  expect(ruleWith('').digest).toBe(
    '5f5634b93c2ef9c318963a10ba6d07db8ea28bdeaa78dc2a9c4a92a326fb5228',
  )
  expect(
    ruleWith('    where: { a: 1.5, b: [x, null-ish] }\n    then: { anonymise: { c: nothing } }\n')
      .digest,
  ).toBe('779aa27415ef6b045c334b0eb9902131aad9ac0c80fad2d67a7258a413781560')
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

test('a default that is written out has the digest of one that is not', () => {
  const written = ruleWith(
    `    mode: report
    limits: { max_rows: 50000, max_percent: 10 }
    batch: { rows: 5000 }
    plausible_from: 1990-01-01
    timezone: Europe/Paris
    schedule: none\n`,
  )

  expect(written.digest).toBe(ruleWith('').digest)
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
  '    schedule: 0 3 * * *\n',
  '    limits: { max_percent: 9.5 }\n',
  '    batch: { rows: 10 }\n',
  '    plausible_from: 1991-01-01\n',
  '    sentinels: { open: [2999-01-01] }\n',
  '    sentinels: { invalid: [2999-01-01] }\n',
  '    references: { t.a: with_parent }\n',
  '    start: { column: recorded_at, timezone: UTC }\n',
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
