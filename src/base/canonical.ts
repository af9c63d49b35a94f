import { createHash } from 'node:crypto'
import { Bug } from './errors.ts'

export type Json =
  string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/**
 * Renders a value as JSON with the keys of every object in code-unit order and no white space, so
 * that equal values have equal bytes (RFC 8785).
 */
export function canonical(value: Json): string {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new Bug(`JSON has no number ${value}`)
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item: Json) => canonical(item)).join(',')}]`
  const object = value as { readonly [key: string]: Json }
  const members = Object.keys(object)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonical(object[key] as Json)}`)
  return `{${members.join(',')}}`
}

/** SHA-256 of the canonical form, in hexadecimal: the digest of plans, policies and catalogs. */
export function digestOf(value: Json): string {
  return createHash('sha256').update(canonical(value)).digest('hex')
}
