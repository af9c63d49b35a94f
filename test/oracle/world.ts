/** A small database with its policies, as plain data: what is drawn, judged, and made into SQL and YAML. */
import type { Day, Period } from './calendar.ts'

export type World = {
  /** IANA zone of the policy. */
  readonly zone: string
  readonly sentinels: { readonly open: readonly string[]; readonly invalid: readonly string[] }
  readonly plausibleFrom: string
  readonly tables: readonly WorldTable[]
  /** Of each table, with ids of their own. */
  readonly rows: readonly (readonly Row[])[]
  readonly rules: readonly WorldRule[]
  readonly sources: readonly Source[]
  readonly orders: readonly Order[]
  readonly floors: readonly Floor[]
  /** Rows of one transaction. */
  readonly batch: number
}

/** Named by its number: `t0`, `t1`, …. */
export type WorldTable = {
  /** `pair`: a key of two columns. */
  readonly key: 'int' | 'uuid' | 'text' | 'pair'
  readonly links: readonly Link[]
  readonly moments: readonly MomentColumn[]
}

/** A column, or two, that name a row of another table or of this one. */
export type Link = {
  readonly to: number
  /** False: nothing makes sure that there is such a row. */
  readonly foreignKey: boolean
  readonly required: boolean
}

export type MomentColumn = {
  readonly type:
    'date' | 'timestamp' | 'timestamptz' | 'seconds' | 'milliseconds' | 'text' | 'uuid7'
  /** Of a `timestamp` in another zone than the policy's. */
  readonly zone: string | null
}

export type Row = {
  readonly id: number
  /** Ids of the rows that the links name. */
  readonly up: readonly (number | null)[]
  readonly state: string | null
  readonly n: number | null
  readonly who: string | null
  /** Marked as deleted by the application; nothing says no. */
  readonly gone: boolean | null
  readonly at: readonly Moment[]
}

/** What stands in a column of period starts; `nonsense` is a value that tells no day of ours. */
export type Moment =
  | { readonly kind: 'none' | 'infinity' | 'minus infinity' | 'nonsense' }
  | { readonly kind: 'time'; readonly day: Day; readonly second: number }

export type WorldRule = {
  readonly id: string
  readonly table: number
  readonly where: Filter | null
  /** Which rows the rule speaks of, by their mark; null: it does not say. */
  readonly marked: 'include' | 'only' | 'exclude' | null
  readonly start: Start
  readonly keep: Period
  readonly mode: 'enforce' | 'report'
  readonly action: 'purge' | 'anonymise'
  /** The column `who` says whom a record is about. */
  readonly subject: boolean
  /** Tables `with_parent`. */
  readonly along: readonly number[]
  /** Tables with `own_rule`. */
  readonly awaited: readonly number[]
}

export type Start =
  | { readonly kind: 'column'; readonly column: number }
  | {
      readonly kind: 'latest' | 'activity'
      readonly events: readonly Events[]
      /** Columns of the record itself; of a last activity only. */
      readonly own: readonly number[]
      readonly none: 'report' | 'error' | number
    }

export type Events = {
  readonly table: number
  readonly column: number
  readonly way: Way
  readonly open: Filter | null
}

/**
 * How an event names its record. `link`: by a link of its own. `through`: by way of the row that its
 * link names, and that row's link. `parent`: both name one row of a third table. `equal`: both have
 * the same `n`.
 */
export type Way =
  | { readonly kind: 'link'; readonly link: number }
  | {
      readonly kind: 'through'
      readonly link: number
      readonly middle: number
      readonly above: number
    }
  | {
      readonly kind: 'parent'
      readonly link: number
      readonly parent: number
      readonly own: number
    }
  | { readonly kind: 'equal' }

export type Filter =
  | { readonly kind: 'is'; readonly column: Filtered; readonly value: string | number | null }
  | {
      readonly kind: 'in' | 'not in'
      readonly column: Filtered
      readonly values: readonly (string | number)[]
    }
  | { readonly kind: 'not null'; readonly column: Filtered }
  | { readonly kind: 'between'; readonly from: number; readonly before: number }
  | { readonly kind: 'any' | 'all'; readonly parts: readonly Filter[] }
  | { readonly kind: 'not'; readonly part: Filter }

export type Filtered = 'state' | 'n'

/** Rows of `table` that match `while` hold the row that `link` names. */
export type Source = {
  readonly table: number
  readonly link: number
  readonly while: Filter | null
}

/** Rows of a table that must be left. */
export type Floor = { readonly table: number; readonly rows: number }

/** What a person ordered to keep. */
export type Order =
  | { readonly scope: 'row'; readonly table: number; readonly id: number }
  | { readonly scope: 'subject'; readonly subject: string }
  | { readonly scope: 'rule'; readonly rule: string }
