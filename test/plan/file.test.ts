import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ConfigError, RefusedError } from '../../src/base/errors.ts'
import { parsePlanFile, renderPlanFile } from '../../src/plan/file.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { plannedRule, planWith } from './plans.ts'

const FULL = planWith({
  asOf: null,
  rules: [
    plannedRule({
      source: 'Privacy policy: ten years',
      action: 'anonymise',
      children: [{ table: 'crm.note', action: 'purge', rows: 3 }],
      references: [
        { from: 'crm.note', to: 'crm.contract', key: 'note_fk', as: 'with_parent', rows: 3 },
      ],
      columns: [{ column: 'full_name', becomes: 'constant' }],
      refusal: { code: 'over_max_rows', message: '60000 rows would go' },
    }),
    plannedRule({ rule: 'site', oldestDueMonths: null }),
  ],
})

test('a plan is read back from its file as it was made', () => {
  for (const plan of [
    FULL,
    planWith({ enforceable: false, asOf: '2030-01-01' }),
    planWith({ rules: [], tables: [] }),
  ]) {
    expect(parsePlanFile('plan.json', renderPlanFile(plan))).toEqual(plan)
  }
})

test('any plan is read back as it was made', () => {
  const text = fc.string({ unit: 'binary' })
  const count = fc.nat()
  const rule = fc
    .record({
      rule: text,
      title: text,
      table: text,
      source: fc.option(text),
      due: count,
      rows: count,
      child: text,
    })
    .map(({ due, rows, child, ...names }) => {
      const plain = plannedRule(names)
      return {
        ...plain,
        counts: { ...plain.counts, due },
        children: [{ table: child, action: 'purge' as const, rows }],
      }
    })
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 4 }), text, (rules, name) => {
      const plan = planWith({ rules, database: { name, systemIdentifier: '1' } })
      expect(parsePlanFile('plan.json', renderPlanFile(plan))).toEqual(plan)
    }),
    { numRuns: 40 },
  )
})

test('a plan file is written in the spelling of the policies', () => {
  const written = JSON.parse(renderPlanFile(FULL)) as Record<string, unknown>
  expect(Object.keys(written)).toEqual([
    'schema_version',
    'enforceable',
    'created_at',
    'as_of',
    'database',
    'policy_digest',
    'catalog_fingerprint',
    'tables',
    'rules',
    'remarks',
    'digest',
  ])
  expect(renderPlanFile(FULL)).not.toMatch(/"[a-z]+[A-Z]\w*":/)
})

/** Every file that differs from `text` in one value, with the path of that value. */
function edits(text: string): readonly { readonly path: string; readonly text: string }[] {
  const found: { path: string; text: string }[] = []
  const root: unknown = JSON.parse(text)
  const visit = (value: unknown, path: string, replace: (edited: unknown) => unknown): void => {
    if (value !== null && typeof value === 'object') {
      for (const [key, item] of Object.entries(value)) {
        visit(item, `${path}.${key}`, (edited) => {
          const copy: Record<string, unknown> | unknown[] = Array.isArray(value)
            ? [...value]
            : { ...value }
          Object.assign(copy, { [key]: edited })
          return replace(copy)
        })
      }
      return
    }
    found.push({ path, text: JSON.stringify(replace(otherThan(value))) })
  }
  visit(root, '', (edited) => edited)
  return found
}

function otherThan(value: unknown): unknown {
  if (typeof value === 'number') return value + 1
  if (typeof value === 'boolean') return !value
  if (typeof value !== 'string') return 'x'
  return `${value.slice(0, -1)}${value.endsWith('1') ? '2' : '1'}`
}

test('a plan file with any value edited is refused', () => {
  const all = edits(renderPlanFile(FULL))
  expect(all.length).toBeGreaterThan(60)
  const accepted = all.filter(({ text }) => {
    try {
      parsePlanFile('plan.json', text)
      return true
    } catch (error) {
      return !(error instanceof RefusedError || error instanceof ConfigError)
    }
  })
  expect(accepted.map(({ path }) => path)).toEqual([])
})

test('a raised count is said to be an edit, with what to do', () => {
  const edited = renderPlanFile(FULL).replace('"due": 100', '"due": 1')
  expect(() => parsePlanFile('plan.json', edited)).toThrow(
    expect.objectContaining({
      name: 'RefusedError',
      message: 'plan.json was changed after it was made: its digest does not fit',
      remedy: 'make a new plan',
    }),
  )
})

test.for([
  ['', 'plan.json is not JSON'],
  ['{', 'plan.json is not JSON'],
  ['null', 'plan.json is not a plan of this version'],
  ['[]', 'plan.json is not a plan of this version'],
  ['{"schema_version":2}', 'plan.json is not a plan of this version: schemaVersion'],
  ['{"__proto__":{"schema_version":1}}', 'plan.json is not a plan of this version'],
])('%s is no plan', ([text, message]) => {
  expect(() => parsePlanFile('plan.json', text ?? '')).toThrow(ConfigError)
  expect(() => parsePlanFile('plan.json', text ?? '')).toThrow(message)
})

test('a key that is not known is refused, and not passed over', () => {
  const text = renderPlanFile(FULL).replace('"enforceable"', '"force": true, "enforceable"')
  expect(() => parsePlanFile('plan.json', text)).toThrow(ConfigError)
})

test('two plans have one digest only if they are one', () => {
  const digests = [
    planWith(),
    planWith({ createdAt: '2026-11-22T10:00:00.000001Z' }),
    planWith({ enforceable: false, asOf: '2026-11-22' }),
    planWith({ rules: [] }),
    planWith({ rules: [plannedRule({ mode: 'report' })] }),
    FULL,
  ].map((plan: Plan) => plan.digest)
  expect(new Set(digests).size).toBe(digests.length)
})
