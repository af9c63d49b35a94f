/** Something wrong with an input, with its place: a value that is collected, not an error that is thrown. */
export type Problem = {
  /** A stable word: `period_mixes_units`, `column_missing`. */
  readonly code: string
  /** `file:line:column`, or the name of the thing if it has no line. */
  readonly at: string
  /** The path inside the document, as `rules[1].keep`; empty for the whole document. */
  readonly path: string
  readonly message: string
  /** One sentence that the author can act on. */
  readonly remedy?: string
  /** The source line with a marker under the place, ready to print below the message. */
  readonly frame?: string
}

/** A value, or every problem that stood in its way. */
export type Parsed<T> =
  | { readonly value: T; readonly problems?: undefined }
  | { readonly value?: undefined; readonly problems: readonly Problem[] }
