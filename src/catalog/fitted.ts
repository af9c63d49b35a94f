import type { TableName } from '../base/names.ts'
import type { KeyColumn, TableRef } from '../db/governed.ts'
import type { Condition, ReferenceKind, Rule, TextFormat } from '../policy/policy.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import type { Strategy, TruncateUnit } from '../policy/strategy.ts'
import type { Column, ForeignKey, Table, TableTrigger } from './catalog.ts'

/** A rule with everything the catalog says about the tables it reaches: ready to be made into SQL. */
export type FittedRule = GovernedRule & {
  readonly start: FittedStart
  /** Tables whose rows go with the governed row; each after the tables it refers to, but for cycles. */
  readonly children: readonly Child[]
  /** By which other rows of the governed table go along: each of them only if it is due itself. */
  readonly together: readonly Referral[]
  /** Tables whose rows stay and lose their link to rows that are acted on. */
  readonly detached: readonly Child[]
  /** By which rows refer that have to be gone before the row they refer to may go. */
  readonly blockers: readonly Blocker[]
  /** Every link to rows that are acted on, to the end of the graph, and what the policy says of it. */
  readonly declared: readonly Declared[]
  /** Rules that read a period start or a link from rows this rule destroys. */
  readonly readers: readonly Reader[]
  /** What may hold the governed row, and each row that goes along with it. */
  readonly held: readonly Held[]
  /** Sources of holds among the rows that this rule destroys. */
  readonly holding: readonly Holding[]
  /** Tables closed to writers for each batch: they decide, and no row lock keeps changes away. */
  readonly closed: readonly Table[]
  /** Other rules on this table: a row in their class is kept until they have ended too. */
  readonly rivals: readonly StartedRule[]
  /** Rules on this table that act instead of this one on a row that is due under both. */
  readonly superseding: readonly StartedRule[]
  /** Triggers that the statements of this rule fire; all of them are acknowledged. */
  readonly triggers: readonly FiredTrigger[]
  /** Null for a rule that blocks nothing. */
  readonly archive: FittedArchive | null
  /** Every table whose shape this rule depends on; its fingerprint is checked in every batch. */
  readonly reaches: readonly TableRef[]
}

/** Where a rule moves rows, out of the reach of the application. */
export type FittedArchive = {
  /** The governed table first; each other one after those that it refers to. */
  readonly moves: readonly Move[]
  /** The rule as it reads there: a record that is not due any more should not be blocked. */
  readonly started: StartedRule
}

export type Move = {
  readonly from: Table
  readonly to: Table
  readonly key: readonly KeyColumn[]
}

/** A rule by which a row of its table is due or not. */
export type StartedRule = GovernedRule & Pick<FittedRule, 'start'>

/** The part of a fitted rule that says which rows it governs and what it does to them. */
export type GovernedRule = {
  readonly rule: Rule
  readonly table: Table
  /** The columns that name a row, in the order of the key. */
  readonly key: readonly KeyColumn[]
  /** Empty for a purge; without the columns that are kept. */
  readonly masks: readonly FittedMask[]
  /** SHA-256 over the masks and the types they are written to; empty for a purge. */
  readonly maskDigest: string
}

export type FittedMask = { readonly column: Column; readonly written: Written }

/** What is written into a column, as `Strategy` (policy/strategy.ts) says it, with what it needs. */
export type Written =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'constant' | 'template'; readonly text: string }
  /** `length` digits, of which the last `PSEUDONYM_TAG` say that the others came from the key. */
  | { readonly kind: 'pseudonym'; readonly length: number; readonly key: PseudonymKey }
  | { readonly kind: 'truncate'; readonly unit: TruncateUnit; readonly zone: string }
  /** `size` in decimal digits. */
  | { readonly kind: 'bucket'; readonly size: string }
  | Extract<Strategy, { kind: 'random' | 'partial' | 'round' | 'network' | 'json' | 'pattern' }>

/** Digits by which a pseudonym is known again: a value that is none passes for one once in 2^32. */
export const PSEUDONYM_TAG = 8

/** A column that holds period starts, and how its values become days. */
export type Moment = { readonly column: string; readonly frame: Frame }

/**
 * `date`: a calendar day. `instant`: a timestamp with time zone. `local`: a timestamp whose wall
 * clock stands in `zone`. `epoch`: an integer that counts from 1970 in UTC. `uuid7`: a uuid that
 * begins with such a count of milliseconds. `text`: a day in words of `format`.
 */
export type Frame =
  | { readonly kind: 'date' }
  | { readonly kind: 'instant' }
  | { readonly kind: 'local'; readonly zone: string }
  | { readonly kind: 'epoch'; readonly unit: 'seconds' | 'milliseconds' }
  | { readonly kind: 'uuid7' }
  | { readonly kind: 'text'; readonly format: TextFormat }

export type FittedStart = { readonly kind: 'column'; readonly moment: Moment } | FittedEvent

export type FittedEvent = {
  readonly kind: 'event'
  readonly sources: readonly FittedSource[]
  /** Columns of the governed row that count beside the sources. */
  readonly own: readonly Moment[]
  /** What null says: the event is still to come, or nothing ever happened there. */
  readonly nulls: 'open' | 'nothing'
  /** Where the period starts for a record that nothing gives a start; null: it never expires. */
  readonly none: Moment | null
}

/** Related rows that say when something ended, and the way from them up to the governed row. */
export type FittedSource = {
  readonly table: Table
  readonly moment: Moment
  readonly open: Condition | null
  /** The tables in between, from the source upward. */
  readonly hops: readonly FittedHop[]
  /** From the last hop, or else from the source, to the governed row. */
  readonly links: readonly FittedLink[]
  /** Of the table that `links` lead from. */
  readonly guard: Guard
  /** Where it stands in its rule, for messages. */
  readonly place: readonly (string | number)[]
}

/** One step up: `own` is a column of `table`, `source` one of the table below. */
export type FittedHop = {
  readonly table: Table
  readonly links: readonly FittedLink[]
  /** Locking a row of `table` keeps new rows below it away; otherwise the table below is closed. */
  readonly guarded: boolean
}

export type FittedLink = { readonly source: Column; readonly own: Column }

/**
 * What keeps related rows from appearing while a batch decides. `own row`: the source has an
 * enforced foreign key to the governed row, which is locked. `common parent`: likewise to a row of
 * a third table, found by `pairs`. `table`: nothing of the kind, so the source is closed to writers.
 */
export type Guard =
  | { readonly kind: 'own row' }
  | {
      readonly kind: 'common parent'
      readonly table: Table
      readonly pairs: readonly { readonly parent: Column; readonly own: Column }[]
    }
  | { readonly kind: 'table' }

/** By what a row of a table may be held: its key, a rule that speaks of it, a subject, a source. */
export type Cover = {
  readonly table: Table
  readonly key: readonly KeyColumn[]
  readonly rules: readonly Rule[]
  /** Of an archive, the table in which its rows stood: a hold on a row there goes with it. */
  readonly formerly: Table | null
  /** Columns that say whom the row is about. */
  readonly subjects: readonly string[]
  readonly sources: readonly CoverSource[]
}

export type CoverSource = {
  readonly table: Table
  readonly links: readonly FittedLink[]
  /** Null: every row of the source holds. */
  readonly while: Condition | null
}

/** A row that a batch changes, and the rows above it: a hold on one of those keeps it too. */
export type Held = Climbing & {
  /** The table whose rows go along or are detached; null: the governed row itself. */
  readonly along: Child | null
}

type Climbing = Cover & { readonly above: readonly Above[] }

/** The row that a row refers to by `foreignKey`. */
export type Above = Climbing & {
  readonly foreignKey: ForeignKey
  /** Foreign keys of its table to itself, if this is one of them: they lead on, to any distance. */
  readonly repeats: readonly ForeignKey[]
  /** What it is held by may change while the row below is locked, so that it is locked too. */
  readonly moves: boolean
}

/** Rows of `on` that match `source` stay while the row of `covered` that they hold is there. */
export type Holding = {
  readonly on: TableName
  readonly covered: Table
  readonly source: CoverSource
}

export type Child = {
  readonly table: Table
  readonly key: readonly KeyColumn[]
  /** From this table to the governed table or to tables that go along. */
  readonly foreignKeys: readonly Referral[]
}

/** By which columns rows of `from` refer to rows of `to`: a foreign key, or a link of the policy's. */
export type Referral = ForeignKey & {
  /** No foreign key, so that nothing but a closed table keeps new rows away. */
  readonly logical: boolean
  /** Of a logical link: the rows of `from` that are in it; null: all. */
  readonly filter: { readonly table: Table; readonly condition: Condition } | null
}

/** A trigger, and the statement of ours that fires it. */
export type FiredTrigger = {
  readonly table: Table
  readonly trigger: TableTrigger
  readonly event: 'delete' | 'update'
}

/** A link, the table whose rows it is in, and what the policy says of them. */
export type Declared = {
  readonly key: Referral
  readonly table: Table
  readonly as: ReferenceKind
}

/** By which rows stand in the way of the row they refer to, and the table of those rows. */
export type Blocker = Pick<Declared, 'key' | 'table'>

/** `reader` finds the row of `on` that decides it through `hops`, then by equality of `pairs`. */
export type Reader = {
  readonly reader: GovernedRule
  readonly on: TableName
  readonly hops: readonly FittedHop[]
  readonly pairs: readonly { readonly own: string; readonly read: string }[]
  /** The governed row itself does not count: the reader is the rule, a phase of it, or has lost it. */
  readonly exceptRoot: boolean
}

/**
 * True of a rule whose records cannot be looked at one by one: rows with several parents, rows that
 * refer to each other in circles, records that go along with others.
 */
export function isTangled({
  children,
  together,
}: Pick<FittedRule, 'children' | 'together'>): boolean {
  return together.length > 0 || children.some(({ foreignKeys }) => foreignKeys.length > 1)
}
