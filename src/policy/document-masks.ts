/** What a policy writes about an anonymisation: a strategy for each column. */
import { z } from 'zod'
import { ScalarShape } from './condition.ts'
import { Column, Text, mapping, repeated } from './document-parts.ts'
import { hasControl, isMapping, quote, refuse, refuseKind } from './fault.ts'
import type { Fault, Read } from './fault.ts'
import { field, readTemplate } from './fields.ts'
import type { FaultParams } from './fields.ts'
import { overlap, readJsonPath } from './json-path.ts'
import { readColumn } from './name.ts'
import { TRUNCATE_UNITS } from './strategy.ts'

/** Longer expressions are a program; PostgreSQL's own limit is its memory. */
const LONGEST_PATTERN = 500
const LONGEST_REPLACEMENT = 200

const characters = z.int().min(0).max(100).optional()

const Partial = mapping({
  first: characters.describe('Characters that stay at the beginning; none by default.'),
  last: characters.describe('Characters that stay at the end; none by default.'),
  with: field(readCharacter, z.string().min(1))
    .optional()
    .describe('The character that each other one becomes; * by default.'),
})

const Network = mapping({
  v4: z.int().min(1).max(31).describe('Bits of an IPv4 address that stay.'),
  v6: z.int().min(1).max(127).describe('Bits of an IPv6 address that stay.'),
})

const Pattern = mapping({
  find: field(readPattern, z.string().min(1)).describe('Regular expression of PostgreSQL.'),
  with: field(readReplacement, z.string()).describe('Text that each match becomes.'),
})

const JsonMask = z
  .union([z.literal('nothing'), mapping({ constant: ScalarShape.describe('Written as it is.') })], {
    error: () => 'expected nothing, or a mapping with the key constant',
  })
  .describe('What the member becomes: nothing (null of JSON), or a constant.')

const strategies = {
  constant: ScalarShape.optional().describe('Written into every row.'),
  template: field(readTemplate, z.string()).optional().describe('Text; {key} is the primary key.'),
  random: z.int().min(8).max(64).optional().describe('That many random hexadecimal digits.'),
  partial: Partial.optional().describe('The ends of a text stay, what is between them does not.'),
  truncate: z.enum(TRUNCATE_UNITS).optional().describe('The beginning of the year, month, ….'),
  bucket: z
    .number()
    .min(0.000_001)
    .max(1e12)
    .optional()
    .describe('The multiple of this at or below the number.'),
  round: z.int().min(0).max(10).optional().describe('Decimal places that a coordinate keeps.'),
  network: Network.optional().describe('The network in which an address lies.'),
  json: z
    .record(field(readPathText, z.string()), JsonMask)
    .optional()
    .describe('Paths into a JSON document, and what is written there.'),
  pattern: Pattern.optional().describe('Matches of a regular expression in a text.'),
  keep: Text.optional().describe('The column stays as it is, for this reason.'),
}

const NAMES = Object.keys(strategies)

const Written = mapping(strategies)
  .check(({ value, issues }) => {
    // What is not known was refused already, and counts for nothing here.
    for (const fault of issues.length > 0 ? [] : faultsIn(value)) {
      const params: FaultParams = { fault }
      issues.push({ code: 'custom', input: value, path: [...fault.path], params })
    }
  })
  .meta({ minProperties: 1, maxProperties: 1 })

const Strategy = z
  .union([z.enum(['nothing', 'pseudonym']), Written], {
    error: () => 'expected nothing, pseudonym, or a mapping with one strategy',
  })
  .describe('What is written: nothing (null), a pseudonym under a key, or one of the strategies.')

/** The masks of a rule: column by column. */
export const Masks = z.preprocess(
  (raw, context) => {
    if (!isMapping(raw)) return raw
    const keys = Object.keys(raw)
    const faults =
      keys.length === 0
        ? refuse('empty_value', 'this mapping is empty', 'name the columns to overwrite').faults
        : repeated(keys, (key) => readColumn(key).value)
    for (const fault of faults ?? []) {
      const params: FaultParams = { fault }
      context.issues.push({ code: 'custom', input: raw, path: [...fault.path], params })
    }
    return raw
  },
  z.record(Column, Strategy),
)

export type WrittenStrategy = z.output<typeof Strategy>

function faultsIn(written: z.output<z.ZodObject<typeof strategies>>): readonly Fault[] {
  const named = NAMES.filter((name) => Object.hasOwn(written, name))
  if (named.length !== 1) {
    const message = `a column has one strategy, not ${named.length === 0 ? 'none' : named.join(' and ')}`
    return refuse('strategy_count', message, 'write one of them').faults ?? []
  }
  const { partial, json } = written
  if (partial !== undefined && (partial.first ?? 0) + (partial.last ?? 0) === 0) {
    const message = 'nothing of the text stays but its length'
    return at('partial', refuse('partial_empty', message, 'write first or last, or a constant'))
  }
  if (json === undefined) return []
  if (Object.keys(json).length === 0) {
    return at('json', refuse('empty_value', 'this mapping is empty', 'name what is overwritten'))
  }
  return at('json', overlap(Object.keys(json)))
}

function at(name: string, read: Read<unknown>): readonly Fault[] {
  return (read.faults ?? []).map((fault) => ({ ...fault, path: [name, ...fault.path] }))
}

function readPathText(raw: unknown): Read<string> {
  const { faults } = readJsonPath(raw)
  return faults === undefined ? { value: String(raw) } : { faults }
}

function readCharacter(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('one character as text', raw)
  if (Array.from(raw).length === 1 && !hasControl(raw)) return { value: raw }
  return refuse('not_one_character', `${quote(raw)} is not one character`, 'write for example "*"')
}

function readReplacement(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('text', raw)
  if (raw.length <= LONGEST_REPLACEMENT && !hasControl(raw)) return { value: raw }
  return refuse('text_too_long', `at most ${LONGEST_REPLACEMENT} characters, and no control ones`)
}

/**
 * Reads a regular expression. PostgreSQL's own engine runs in time linear to the text unless there
 * are back-references; what it makes of the rest is asked when the rule is fitted to the database.
 */
function readPattern(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('a regular expression as text', raw)
  if (raw === '') return refuse('empty_value', 'there is no expression here')
  if (raw.length > LONGEST_PATTERN || raw.includes('\0')) {
    const message = `an expression of ${raw.length} characters; at most ${LONGEST_PATTERN}`
    return refuse('pattern_too_long', message, 'give the column another strategy')
  }
  if (raw.startsWith('***')) {
    return refuse('pattern_unsafe', '*** changes the kind of the expression', 'leave it out')
  }
  if (/(?:^|[^\\])(?:\\\\)*\\[1-9]/.test(raw)) {
    const message = 'a back-reference can take time without end'
    return refuse('pattern_unsafe', message, 'write the expression without one')
  }
  return { value: raw }
}
