import type { z } from 'zod'
import { closest } from '../base/nearest.ts'
import { below, isMapping, kindOf, quote } from './fault.ts'
import type { Fault, PathPart } from './fault.ts'
import type { FaultParams } from './fields.ts'

type Issue = z.core.$ZodIssue

/** Turns what zod found wrong with `value` into faults, in sentences that say what to write instead. */
export function faultsOf(issues: readonly Issue[], value: unknown): readonly Fault[] {
  const faults = issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
    return below(path, faultsOfIssue(issue, valueAt(value, path), path))
  })
  // A missing key and the unknown one that was meant for it are one mistake.
  const misspelt = new Set(
    faults.flatMap(({ code, path, remedy }) =>
      code === 'unknown_key' ? [slip(path, remedy)] : [],
    ),
  )
  return faults.filter(({ code, path }) => {
    return code !== 'missing_key' || !misspelt.has(slip(path, meant(String(path.at(-1)))))
  })
}

function slip(path: readonly PathPart[], remedy: string | undefined): string {
  return JSON.stringify([path.slice(0, -1), remedy])
}

function meant(name: string): string {
  return `did you mean ${name}?`
}

function faultsOfIssue(issue: Issue, value: unknown, path: readonly PathPart[]): readonly Fault[] {
  switch (issue.code) {
    case 'custom':
      return [{ ...faultIn(issue.params, issue.message), path: [] }]
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, issue.message.split(' ')))
    case 'invalid_union':
      return unionFaults(issue, value, path)
    case 'invalid_key':
      return issue.issues.map((inner) => ({
        ...(inner.code === 'custom'
          ? faultIn(inner.params, inner.message)
          : plain('key_invalid', '')),
        path: [],
        on: 'key',
      }))
    case 'invalid_value':
      return [unknownValue(issue.values.map(String), value, path)]
    case 'invalid_type':
      return [wrongKind(issue.expected, value, path)]
    case 'too_small':
    case 'too_big':
      return [outOfRange(issue, value)]
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
      return [plain('invalid', issue.message)]
    default:
      return issue satisfies never
  }
}

function plain(code: string, message: string, remedy?: string): Fault {
  return { code, message, path: [], ...(remedy === undefined ? {} : { remedy }) }
}

/** What a reader of a small language left in the issue (fields.ts). */
function faultIn(params: unknown, message: string): Fault {
  return isMapping(params) && 'fault' in params
    ? (params as FaultParams).fault
    : plain('invalid', message)
}

function unknownKey(key: string, known: readonly string[]): Fault {
  const near = closest(key, known)
  const message = `${quote(key)} is not a known key`
  let remedy = near === undefined ? `keys here: ${known.join(', ')}` : meant(near)
  // In { keep: a reason, and more } YAML takes the words after the comma for a key.
  if (key.includes(' ')) remedy = 'put quotes around text that has a comma in it'
  return { code: 'unknown_key', message, remedy, path: [key], on: 'key' }
}

function unknownValue(known: readonly string[], value: unknown, path: readonly PathPart[]): Fault {
  if (value === undefined) return missing(path)
  if (value === null)
    return plain('empty_value', 'there is no value here', `write ${known.join(' or ')}`)
  if (path.at(-1) === 'version') {
    return plain('version_unknown', `this program reads version ${known.join()} only`, 'write 1')
  }
  const near = typeof value === 'string' ? closest(value, known) : undefined
  const found = typeof value === 'string' ? quote(value) : kindOf(value)
  const remedy = near === undefined ? `write ${known.join(' or ')}` : meant(near)
  return plain('unknown_value', `expected ${known.join(' or ')}, found ${found}`, remedy)
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
}

function wrongKind(expected: string, value: unknown, path: readonly PathPart[]): Fault {
  if (value === undefined) return missing(path)
  const kind = KINDS[expected] ?? expected
  if (value === null) {
    const remedy = 'write a value, or remove the key'
    return plain('empty_value', `there is no value here: expected ${kind}`, remedy)
  }
  return plain('wrong_kind', `expected ${kind}, found ${kindOf(value)}`)
}

function missing(path: readonly PathPart[]): Fault {
  const key = String(path.at(-1) ?? '')
  return plain('missing_key', `${quote(key)} is missing`, `add ${key}:`)
}

function outOfRange(
  issue: Extract<Issue, { code: 'too_small' | 'too_big' }>,
  value: unknown,
): Fault {
  if (issue.origin === 'array') {
    return plain('empty_value', 'this list is empty', 'it needs at least one item')
  }
  const bound =
    issue.code === 'too_small'
      ? `${issue.inclusive === true ? 'at least' : 'more than'} ${issue.minimum}`
      : `${issue.inclusive === true ? 'at most' : 'less than'} ${issue.maximum}`
  return plain('out_of_range', `expected ${bound}, found ${kindOf(value)}`)
}

/**
 * Explains a union by the branch the author most likely meant: the one that fits but for a few keys.
 * If no branch stands out, the union's own message says what it expects.
 */
function unionFaults(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  value: unknown,
  path: readonly PathPart[],
): readonly Fault[] {
  if (value === undefined) return [missing(path)]
  if (value === null) return [plain('empty_value', `there is no value here: ${issue.message}`)]
  const branches = issue.errors.map((errors) => ({ errors, misfit: misfitOf(errors, value) }))
  const least = Math.min(...branches.map(({ misfit }) => misfit))
  const fitting = branches.filter(({ misfit }) => misfit === least)
  // Of several, the one that has a key much like one that is unknown.
  const near = fitting.filter(({ errors }) => nearKeyOf(errors) !== undefined)
  const likeliest = near.length === 1 ? near : fitting
  const [branch] = likeliest
  if (branch !== undefined && likeliest.length === 1 && Number.isFinite(least)) {
    return faultsOf(branch.errors, value)
  }
  if (typeof value === 'string') {
    const known = branches.flatMap(({ errors }) => {
      return errors.flatMap((error) =>
        error.code === 'invalid_value' ? error.values.map(String) : [],
      )
    })
    const nearest = closest(value, known)
    const message = `${issue.message}, found ${quote(value)}`
    return [plain('unknown_value', message, nearest === undefined ? undefined : meant(nearest))]
  }
  const key = isMapping(value) ? nearKeyOf(branches.flatMap(({ errors }) => errors)) : undefined
  const found = isMapping(value) ? '' : `, found ${kindOf(value)}`
  return [plain('wrong_kind', `${issue.message}${found}`, key && meant(key))]
}

/** Counts the keys that are unknown or missing; infinite for a value of another kind altogether. */
function misfitOf(errors: readonly Issue[], value: unknown): number {
  return errors.reduce((sum, error) => {
    if (error.code === 'unrecognized_keys') return sum + error.keys.length
    if (error.path.length === 0 && isOfAnotherKind(error)) return Number.POSITIVE_INFINITY
    const isMissing =
      error.code === 'invalid_union' &&
      valueAt(
        value,
        error.path.map((part) => (typeof part === 'number' ? part : String(part))),
      ) === undefined
    const counts = error.path.length === 1 && (isMissing || error.code === 'invalid_type')
    return counts ? sum + 1 : sum
  }, 0)
}

function isOfAnotherKind(error: Issue): boolean {
  if (error.code !== 'custom') return true
  return ['wrong_kind', 'empty_value'].includes(faultIn(error.params, '').code)
}

function nearKeyOf(errors: readonly Issue[]): string | undefined {
  for (const error of errors) {
    if (error.code !== 'unrecognized_keys') continue
    const near = error.keys.map((key) => closest(key, error.message.split(' '))).find(Boolean)
    if (near !== undefined) return near
  }
  return undefined
}

function valueAt(value: unknown, path: readonly PathPart[]): unknown {
  let at = value
  for (const part of path) {
    if (Array.isArray(at) && typeof part === 'number') at = at[part]
    else if (isMapping(at) && Object.hasOwn(at, part)) at = at[part]
    else return undefined
  }
  return at
}
