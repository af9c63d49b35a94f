import { expect, test } from 'vitest'
import { parsePolicies } from '../../src/policy/parse.ts'
import { renderProblems } from '../../src/policy/render.ts'
import { policyYaml, ruleWith } from './documents.ts'

function rendered(text: string): string {
  return renderProblems(parsePolicies([{ file: 'policies/privacy.yaml', text }]).problems ?? [])
}

const rule = '  - id: site\n    table: site.connection\n    start: recorded_at\n    then: purge\n'

test('a problem shows its line, a marker below it and what to write instead', () => {
  expect(rendered(policyYaml(`${rule}    keep: 10 years 3 months\n`))).toBe(
    `policies/privacy.yaml:10:11  rules[0].keep  a period has one unit: "10 years 3 months" has two
   10 |     keep: 10 years 3 months
      |           ^^^^^^^^^^^^^^^^^ write 123 months
`,
  )
})

test('an unknown key is marked at the key, with the one it resembles', () => {
  expect(rendered(policyYaml(`${rule}    keep: 1 year\n    mod: report\n`))).toBe(
    `policies/privacy.yaml:11:5  rules[0].mod  "mod" is not a known key
   11 |     mod: report
      |     ^^^ did you mean mode?
`,
  )
})

test('the marker stands below what was escaped or widened before it', () => {
  const output = rendered(policyYaml(`  - { id: site, title: "é\u200b\t𝄞", keep: 1, x: 1 }\n`))

  const [, source = '', marker = ''] = output.split('\n').slice(-4)
  expect(source).toContain('"é\\u{200b} 𝄞"')
  expect(Array.from(source)[marker.indexOf('^')]).toBe('x')
})

test('nothing in a policy reaches the terminal as a control sequence', () => {
  const escapes = '\\e[2J\\e]0;owned\\a\\x9b31m\\u202e\\r\\n'
  const output = rendered(
    `version: 1\npolicy: "${escapes}"\n"${escapes}": 1\nowner: "${escapes}"\ntimezone: "${escapes}"\n` +
      `rules: [{ id: "${escapes}", table: "t.${escapes}", where: { "${escapes}": "${escapes}" } }]\n`,
  )

  expect(output).toContain('\\u{1b}[2J')
  expect(output.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\u202e/u)
})

test('a raw control character is refused with its number, and shown escaped', () => {
  const output = rendered('version: 1 # \u001b[31m\n')

  expect(output).toContain("the character U+001B can't stand in a policy")
  expect(output).toContain('# \\u{1b}[31m')
})

test('a byte order mark moves no column', () => {
  expect(rendered('\ufeffversion: 2\n')).toMatch(
    /^policies\/privacy\.yaml:1:1 [^]*:1:10 {2}version {2}/,
  )
})

test('a long line is cut around the place', () => {
  const long = 'x'.repeat(100_000)
  const output = rendered(policyYaml(`  - { title: ${long}, id: site, keep: 1, where: ${long} }\n`))

  expect(Math.max(...output.split('\n').map((line) => line.length))).toBeLessThan(250)
})

test('problems are sorted by file, then by line and column as numbers', () => {
  const lines = ['b:2:1', 'a:10:1', 'a:9:10', 'a:9:9', 'c'].map((at) => {
    return { code: 'x', at, path: '', message: 'm' }
  })

  const places = renderProblems(lines).trim().split('\n')
  expect(places.map((line) => line.split('  ')[0])).toEqual([
    'a:9:9',
    'a:9:10',
    'a:10:1',
    'b:2:1',
    'c',
  ])
})

test('a rule makes problems at its own place long after it was parsed', () => {
  const { source } = ruleWith('    references: { crm.note: with_parent }\n')
  const fault = { code: 'table_missing', message: 'there is no such table' }

  expect(source.problem(['table'], fault)).toMatchObject({
    at: 'crm.yaml:7:12',
    path: 'rules[0].table',
  })
  expect(source.problem(['references', 'crm.note'], fault).at).toBe('crm.yaml:11:29')
  expect(source.problem(['limits', 'max_rows'], fault).at).toBe('crm.yaml:6:5')
})
