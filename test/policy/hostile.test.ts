import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { parseDocument, stringify } from 'yaml'
import { parsePolicies } from '../../src/policy/parse.ts'
import { renderProblems } from '../../src/policy/render.ts'
import { policyYaml } from './documents.ts'

const caseFile = readFileSync(join(import.meta.dirname, 'cases', 'valid.txt'), 'utf8')
const valid = caseFile.slice(caseFile.indexOf('version:'), caseFile.indexOf('--- problems'))

// The work is bounded, but the machine may have other work too.
vi.setConfig({ testTimeout: 60_000 })

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** What people and attackers put where something else belongs. */
const intruders = fc.oneof(
  fc.constantFrom<Json>(null, true, 0, -1, 1.5, '', [], {}, '1=1', '__proto__', 'a'.repeat(300)),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom<Json>([null], { any: [] }, { not: {} }, [[[]]], { '': '' }, { toString: 1 }),
)

const changes = fc.record({
  step: fc.nat(),
  kind: fc.constantFrom('replace', 'remove', 'rename', 'add', 'wrap'),
  value: intruders,
  name: fc.oneof(fc.constantFrom('__proto__', 'constructor', '<<', 'keep', ''), fc.string()),
})

type Change = typeof changes extends fc.Arbitrary<infer C> ? C : never

test('a changed policy never makes the parser throw, and every problem has its place in the file', () => {
  let refused = 0
  fc.assert(
    fc.property(fc.array(changes, { minLength: 1, maxLength: 3 }), (steps) => {
      const value = parseDocument(valid).toJS() as Json
      const text = stringify(steps.reduce(changed, value))
      refused += expectPlaces(text)
    }),
    { numRuns: 250 },
  )
  expect(refused).toBeGreaterThan(150)
})

test('a mapping whose key is the name of something in JavaScript is refused like any other', () => {
  const text = policyYaml(
    '  - { id: a, table: t.a, start: at, keep: 1 year, then: { constructor: { name: { x: 1 } } } }\n',
  )

  const { problems = [] } = parsePolicies([{ file: 'a.yaml', text }])

  expect(problems.map(({ path }) => path)).toContain('rules[0].then.constructor')
})

const signs =
  '\n|\t|:|[|]|{|}|!|>|"|%|#|,|\\|\0|\u001b|\u2028|\ufeff|- |? |&a |*a |---\n|<<: |0x|\ud800'

test('text cut, doubled or filled with signs of YAML never makes the parser throw', () => {
  let refused = 0
  fc.assert(
    fc.property(
      fc.nat(valid.length),
      fc.nat(40),
      fc.array(fc.constantFrom(...signs.split('|')), { maxLength: 5 }),
      (at, cut, put) => {
        refused += expectPlaces(valid.slice(0, at) + put.join('') + valid.slice(at + cut))
      },
    ),
    { numRuns: 250 },
  )
  expect(refused).toBeGreaterThan(150)
})

test.for(['[', '{', '[ { a: ', '- ', '? ', 'a: [', '\n'])(
  '20,000 nested signs are refused before anything recursive sees them: %j',
  (sign) => {
    const block = Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}k:\n`).join('')
    const text = sign === '\n' ? block : sign.repeat(20_000)

    const { problems = [] } = parsePolicies([{ file: 'a.yaml', text }])

    expect(problems.map(({ code }) => code)).toEqual(['too_deep'])
  },
)

test('a policy nests deeper than any that makes sense', () => {
  const where = `${'{ not: '.repeat(40)}{ a: 1 }${' }'.repeat(40)}`
  const rule = `  - { id: a, table: t.a, start: at, keep: 1 year, then: purge, where: ${where} }\n`

  expect(parsePolicies([{ file: 'a.yaml', text: policyYaml(rule) }]).problems).toBeUndefined()
})

test('no key of a policy reaches the prototype of an object', () => {
  const evil = '{ __proto__: { polluted: yes }, constructor: { prototype: { polluted: yes } } }'
  for (const key of ['where', 'references', 'limits', 'then', 'start', 'register', '__proto__']) {
    expectPlaces(policyYaml(`  - { id: a, ${key}: ${evil} }\n`))
    expectPlaces(policyYaml(`  - ${evil}\n`) + `__proto__: ${evil}\n`)
  }

  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

const fields = [
  'title',
  'owner',
  'policy',
  'timezone',
  'plausible_from',
  'rules.0.id',
  'rules.0.table',
  'rules.0.keep',
  'rules.0.schedule',
  'rules.0.where',
  'rules.0.where.status',
  'rules.0.start.latest',
  'rules.0.start.via',
  'rules.0.start.none',
  'rules.0.register.source',
  'rules.0.then',
  'rules.0.then.anonymise.mail.template',
  'rules.0.references.crm_contract',
  'rules.0.mode',
]

const long = ['a', '1 ', '1year', '0', ' ', '{a', '""', '.', 'A/', '*/', '1,', 'P1Y', '\n'].map(
  (unit) => `${unit.repeat(Math.ceil(100_000 / unit.length))}!`,
)

test.for(fields)('100,000 characters in %s are read in linear time', (field) => {
  const started = workedMs()
  for (const text of long) {
    const value = parseDocument(valid).toJS() as Json
    expectPlaces(JSON.stringify(replaced(value, field.split('.'), text)))
  }

  // A quadratic expression would need minutes for one of these texts.
  expect(workedMs() - started).toBeLessThan(20_000)
})

test('a mapping of 20,000 keys and a file of 200,000 mistakes are refused in bounded work', () => {
  const keys = Array.from({ length: 20_000 }, (_, index) => `key${index}: 1`).join('\n')
  const list = `rules:\n${'  - {}\n'.repeat(40_000)}`
  const anchors = 'a: [&x 1]\n'.replace('&x 1', Array(1000).fill('&x 1').join())
  const started = workedMs()

  expect(parsePolicies([{ file: 'a.yaml', text: anchors }]).problems?.length).toBe(200)
  expect(parsePolicies([{ file: 'a.yaml', text: keys }]).problems?.length).toBeLessThanOrEqual(200)
  expect(parsePolicies([{ file: 'a.yaml', text: list }]).problems?.length).toBeLessThanOrEqual(200)
  expect(workedMs() - started).toBeLessThan(20_000)
})

/** Milliseconds of the processor that this process took: a busy machine does not lengthen them. */
function workedMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Parses the text as a file; every problem must have its place in it. Counts it as refused or not. */
function expectPlaces(text: string): number {
  const { problems } = parsePolicies([{ file: 'a.yaml', text }])
  const lines = text.split('\n')
  for (const { at, message } of problems ?? []) {
    const [, line, column] = /^a\.yaml:(\d+):(\d+)$/.exec(at) ?? []
    expect(Number(line)).toBeGreaterThanOrEqual(1)
    expect(Number(line)).toBeLessThanOrEqual(lines.length)
    expect(Number(column)).toBeLessThanOrEqual((lines[Number(line) - 1] ?? '').length + 1)
    expect(message).not.toBe('')
    expect(message).not.toMatch(/invalid input|undefined|\[object/i)
  }
  expect(renderProblems(problems ?? []).replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  return problems === undefined ? 0 : 1
}

/** Walks `step` values deep into the document and changes what is there. */
function changed(root: Json, { step, kind, name, ...change }: Change): Json {
  // A copy: a later change may land inside it, and the generator hands out the same object again.
  const value = structuredClone(change.value)
  const places = placesOf(root)
  const place = places[step % Math.max(1, places.length)]
  if (place === undefined) return root
  const { parent, key } = place
  const own = parent as { [key: string]: Json }
  if (kind === 'replace') own[key] = value
  if (kind === 'remove' || kind === 'rename') {
    const old = own[key] ?? null
    if (Array.isArray(parent)) parent.splice(Number(key), 1)
    else delete own[key]
    if (kind === 'rename') define(own, name, old)
  }
  if (kind === 'add') define(own, name, value)
  if (kind === 'wrap') own[key] = [own[key] ?? null]
  return root
}

function define(parent: object, name: string, value: Json): void {
  if (Array.isArray(parent)) parent.push(value)
  else
    Object.defineProperty(parent, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    })
}

function placesOf(value: Json): readonly { readonly parent: object; readonly key: string }[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, part]) => [{ parent: value, key }, ...placesOf(part)])
}

function replaced(value: Json, [key, ...rest]: readonly string[], text: string): Json {
  if (key === undefined) return text
  const inner = typeof value === 'object' && value !== null ? value : {}
  const copy = Array.isArray(inner) ? [...inner] : { ...inner }
  const own = copy as { [key: string]: Json }
  own[key] = replaced(own[key] ?? null, rest, text)
  return copy
}
