/** The ways of overwriting a column, as a policy means them. */
import type { Json } from '../base/canonical.ts'
import type { Scalar } from './policy.ts'

/** What an anonymisation writes into a column. Of all but the first three, null stays null. */
export type Strategy =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'constant'; readonly value: Scalar }
  /** Text in which `{key}` stands for the primary key of the row. */
  | { readonly kind: 'template'; readonly text: string }
  /** That many hexadecimal digits, drawn anew in every batch: the same value never gives the same twice. */
  | { readonly kind: 'random'; readonly length: number }
  /** The old value under a key: the same value gives the same everywhere, to whoever has the key. */
  | { readonly kind: 'pseudonym' }
  /** The first and the last characters stay, each between them becomes `with`. */
  | {
      readonly kind: 'partial'
      readonly first: number
      readonly last: number
      readonly with: string
    }
  /** The beginning of the year, month, … in which the time lies. */
  | { readonly kind: 'truncate'; readonly unit: TruncateUnit }
  /** The multiple of `size` at or below the number. */
  | { readonly kind: 'bucket'; readonly size: number }
  /** The number, or both of a point's, with that many decimal places. */
  | { readonly kind: 'round'; readonly places: number }
  /** The network of so many bits in which the address lies. */
  | { readonly kind: 'network'; readonly v4: number; readonly v6: number }
  /** Members of a document; what they are not about stays. */
  | { readonly kind: 'json'; readonly members: readonly JsonMember[] }
  /** Each match of a regular expression of PostgreSQL becomes `with`. */
  | { readonly kind: 'pattern'; readonly find: string; readonly with: string }
  | { readonly kind: 'keep'; readonly why: string }

export const TRUNCATE_UNITS = ['year', 'quarter', 'month', 'week', 'day', 'hour', 'minute'] as const
export type TruncateUnit = (typeof TRUNCATE_UNITS)[number]

/** A member of a JSON document, and the scalar that is written where there is one; null is JSON's. */
export type JsonMember = { readonly path: readonly JsonStep[]; readonly value: Scalar | null }

/** Into the member of that name, or into every item of a list. */
export type JsonStep = { readonly key: string } | 'each'

/** The canonical form of a strategy, for digests: everything in it decides what is written. */
export function strategyJson(strategy: Strategy): Json {
  switch (strategy.kind) {
    case 'constant':
      return { kind: 'constant', value: scalarJson(strategy.value) }
    case 'bucket':
      return { kind: 'bucket', size: scalarJson(strategy.size) }
    case 'json':
      return { kind: 'json', members: strategy.members.map((member) => memberJson(member)) }
    case 'nothing':
    case 'template':
    case 'random':
    case 'pseudonym':
    case 'partial':
    case 'truncate':
    case 'round':
    case 'network':
    case 'pattern':
    case 'keep':
      return strategy
    default:
      return strategy satisfies never
  }
}

function memberJson({ path, value }: JsonMember): Json {
  const steps = path.map((step): Json => (step === 'each' ? step : { ...step }))
  return { path: steps, value: value === null ? null : scalarJson(value) }
}

/** Numbers go as their decimal text: canonical JSON holds integers only. */
export function scalarJson(value: Scalar): Json {
  return typeof value === 'number' ? { number: String(value) } : value
}
