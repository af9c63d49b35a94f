/**
 * Closed shapes of JSON: what an entry or a proof may look like, and nothing else. Written here
 * because a verifier of the journal must need no package: whoever checks us has to read all of it.
 */

/** Gives the value back, with its keys in the order of the shape, or throws a `ShapeFault`. */
export type Shape<T> = (value: unknown, at: string) => T

/** What a shape gives. */
export type Of<S> = S extends Shape<infer T> ? T : never

/** Says where a value has another shape. Names keys, never values. */
export class ShapeFault extends Error {
  /** Keys from the outermost to the place, joined by points; empty for the whole. */
  readonly at: string
  readonly unknownKey: boolean

  constructor(at: string, unknownKey: boolean) {
    super(`another shape at ${at}`)
    this.at = at
    this.unknownKey = unknownKey
  }
}

/** The value in its shape, or where it differs. */
export type Shaped<T> =
  { readonly value: T; readonly fault?: undefined } | { readonly fault: ShapeFault }

export function shaped<T>(shape: Shape<T>, value: unknown): Shaped<T> {
  try {
    return { value: shape(value, '') }
  } catch (error) {
    if (error instanceof ShapeFault) return { fault: error }
    throw error
  }
}

/** A whole number that JavaScript can hold exactly. */
export function whole(least: number): Shape<number> {
  return (value, at) =>
    Number.isSafeInteger(value) && (value as number) >= least && !Object.is(value, -0)
      ? (value as number)
      : differs(at)
}

/** A text that the pattern describes from end to end. */
export function text(pattern: RegExp): Shape<string> {
  return (value, at) => (typeof value === 'string' && pattern.test(value) ? value : differs(at))
}

/** A text of at least one and at most so many characters. */
export function upTo(most: number): Shape<string> {
  return (value, at) =>
    typeof value === 'string' && value.length >= 1 && value.length <= most ? value : differs(at)
}

/** One of these and no other. */
export function one<const T extends string | number | boolean>(...values: readonly T[]): Shape<T> {
  return (value, at) => values.find((each) => each === value) ?? differs(at)
}

export function list<T>(item: Shape<T>): Shape<readonly T[]> {
  return (value, at) =>
    Array.isArray(value)
      ? value.map((each: unknown, index) => item(each, within(at, String(index))))
      : differs(at)
}

/** A list that is not empty: what has nothing to say is left out, so that it has one spelling. */
export function some<T>(item: Shape<T>): Shape<readonly T[]> {
  return (value, at) => {
    const items = list(item)(value, at)
    return items.length > 0 ? items : differs(at)
  }
}

/** A key that may be left out. */
export type Optional<T> = { readonly optional: Shape<T> }

export function optional<T>(shape: Shape<T>): Optional<T> {
  return { optional: shape }
}

type Fields = Readonly<Record<string, Shape<unknown> | Optional<unknown>>>
type Needed<F extends Fields> = {
  [K in keyof F as F[K] extends Shape<unknown> ? K : never]: Of<F[K]>
}
type Left<F extends Fields> = {
  [K in keyof F as F[K] extends Shape<unknown> ? never : K]?: F[K] extends Optional<infer T>
    ? T
    : never
}
type Whole<T> = { [K in keyof T]: T[K] }

/** An object with these keys and no other. */
export function closed<F extends Fields>(fields: F): Shape<Whole<Needed<F> & Left<F>>> {
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return differs(at)
    const given = value as Readonly<Record<string, unknown>>
    const seen: Record<string, unknown> = {}
    for (const [key, field] of Object.entries(fields)) {
      const left = !Object.hasOwn(given, key)
      if (left && typeof field !== 'function') continue
      const shape = typeof field === 'function' ? field : field.optional
      seen[key] = shape(left ? undefined : given[key], within(at, key))
    }
    if (Object.keys(given).some((key) => !Object.hasOwn(fields, key))) {
      throw new ShapeFault(at, true)
    }
    return seen as Whole<Needed<F> & Left<F>>
  }
}

/** The shape that the value of one key chooses. */
export function chosen<S extends Readonly<Record<string, Shape<unknown>>>>(
  key: string,
  shapes: S,
): Shape<Of<S[keyof S]>> {
  return (value, at) => {
    if (typeof value !== 'object' || value === null) return differs(at)
    const choice = (value as Readonly<Record<string, unknown>>)[key]
    const shape =
      typeof choice === 'string' && Object.hasOwn(shapes, choice) ? shapes[choice] : undefined
    return shape === undefined ? differs(within(at, key)) : (shape(value, at) as Of<S[keyof S]>)
  }
}

function within(at: string, key: string): string {
  return at === '' ? key : `${at}.${key}`
}

function differs(at: string): never {
  throw new ShapeFault(at, false)
}
