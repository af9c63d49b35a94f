/** Keys as JSON for people has them, like the policies: in snake_case. */
import type { Json } from '../base/canonical.ts'

/** Renames the keys of every object; none of them may come from data. */
export function renamed(value: unknown, rename: (key: string) => string): Json {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename))
  if (value === null || typeof value !== 'object') return value as Json
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [rename(key), renamed(item, rename)]),
  )
}

export function toSnake(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

export function toCamel(key: string): string {
  return key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
