/** A step into a document: a key of a mapping or an index of a list. */
export type PathPart = string | number

/** Something wrong with a value, before its place in the file is known. */
export type Fault = {
  readonly code: string
  readonly message: string
  readonly remedy?: string
  /** Relative to the value that was read; empty for the value itself. */
  readonly path: readonly PathPart[]
  /** Marks the key instead of the value, where the key is what is wrong. */
  readonly on?: 'key'
}

/** What reading a value gave: the value, or everything wrong with it. */
export type Read<T> =
  | { readonly value: T; readonly faults?: undefined }
  | { readonly value?: undefined; readonly faults: readonly Fault[] }

/** Makes a refusal of the value itself. */
export function refuse(code: string, message: string, remedy?: string): Read<never> {
  return { faults: [{ code, message, path: [], ...(remedy === undefined ? {} : { remedy }) }] }
}

/** Makes the refusal of a value of another kind than `expected`, which names that kind with an article. */
export function refuseKind(expected: string, raw: unknown): Read<never> {
  if (raw === null) {
    return refuse('empty_value', `there is no value here: expected ${expected}`)
  }
  const quoted = typeof raw === 'number' || typeof raw === 'boolean'
  const remedy =
    quoted && expected.endsWith('text') ? `write "${String(raw)}" in quotes` : undefined
  return refuse('wrong_kind', `expected ${expected}, found ${kindOf(raw)}`, remedy)
}

/** Moves faults below `path`, as a reader of a larger value does with those of a part. */
export function below(path: readonly PathPart[], faults: readonly Fault[]): readonly Fault[] {
  return faults.map((fault) => ({ ...fault, path: [...path, ...fault.path] }))
}

/** Names the kind of a raw value, with an article. */
export function kindOf(raw: unknown): string {
  if (raw === undefined || raw === null) return 'nothing'
  if (Array.isArray(raw)) return 'a list'
  if (typeof raw === 'object') return 'a mapping'
  if (typeof raw === 'string') return 'text'
  if (typeof raw === 'number') return `the number ${raw}`
  return raw === true ? 'true' : 'false'
}

export function isMapping(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw)
}

/** Quotes text of a file for a message, shortened so that one value can't fill a screen. */
export function quote(text: string): string {
  const mark = text.includes('"') ? "'" : '"'
  return `${mark}${text.length > 60 ? `${text.slice(0, 59)}…` : text}${mark}`
}

/** Finds the control characters that no name or title of a policy may hold; line breaks count. */
export function hasControl(text: string): boolean {
  return /\p{Cc}/u.test(text)
}
