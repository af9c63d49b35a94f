import type { Problem } from '../base/problem.ts'
import { printTable, type TableName } from '../base/names.ts'
import type { After } from './after.ts'
import type { Coverage } from './coverage.ts'
import type { Pace } from './pace.ts'
import { columnsIn, type SqlExpression } from './sql-expression.ts'
import type { Strategy } from './strategy.ts'
import type { WalkKind } from './walk.ts'

/**
 * The resolved policy set: defaults merged, names expanded, nothing optional left. A policy file as
 * people write it is a `PolicyDocument` (document.ts); `parse.ts` turns one into the other.
 */
export type PolicySet = {
  readonly policies: readonly Policy[]
  /** In the order of their ids. */
  readonly rules: readonly Rule[]
  /** Tables that hold rows, for all rules. */
  readonly holds: readonly HoldSource[]
  /** SHA-256 in hexadecimal over the canonical form of the whole set (digest.ts). */
  readonly digest: string
}

export type Policy = {
  readonly id: string
  readonly title: string
  readonly owner: string
  /** As given on the command line, for messages. */
  readonly file: string
  /** Null: the policy does not ask whether a table was forgotten. */
  readonly coverage: Coverage | null
  /** The only database that it is for; null: any. */
  readonly database: DatabasePin | null
  /** How long backups, and archived log with them, are kept; null: nobody said. */
  readonly backups: Period | null
}

export type DatabasePin = {
  readonly name: string
  /** Of the cluster, in decimal; null: any that has a database of the name. */
  readonly systemIdentifier: string | null
  /** Where the key `database` stands in its file. Not part of any digest. */
  readonly source: RuleSource
}

/** Rows of a batch where nothing else is said: few enough that its locks are held for a moment. */
export const SMALL_BATCH = 5000

export type Rule = {
  /** Unique in the set; the name of the rule in plans and in the journal, for ever. */
  readonly id: string
  /** Which phase of a rule with phases this is, and the id of that rule; null for a rule without. */
  readonly phase: { readonly rule: string; readonly number: number; readonly of: number } | null
  /** Of a rule on rows that were moved: where they stood, and its id as written. Else null. */
  readonly archived: { readonly of: TableName; readonly rule: string } | null
  /** The id of the policy that holds the rule. */
  readonly policy: string
  readonly title: string
  readonly register: Register | null
  readonly table: TableName
  /** Columns that say whom a record is about, by any of them; for holds. */
  readonly subject: readonly string[]
  /** IANA zone in which days are counted. */
  readonly zone: string
  /** Which rows of the table are of this record class; null means every row. */
  readonly where: Condition | null
  /** What the author decided about rows that are marked as deleted; null: nothing was said. */
  readonly softDeleted: SoftDeleted | null
  readonly start: Start
  readonly keep: Period
  /** How long after the period the rule must have acted; null: nobody said. Decides nothing. */
  readonly within: Period | null
  /** `report` plans and never acts. */
  readonly mode: 'report' | 'enforce'
  /** Null: the daemon never runs this rule by itself. */
  readonly schedule: Schedule | null
  readonly limits: Limits
  /** Most rows in one batch; null: as suits the way in which the rule acts. */
  readonly batchRows: number | null
  /** What the journal can prove: each row, or how many; null: each row if there is an evidence key. */
  readonly evidence: 'rows' | 'count' | null
  /** How a run goes through the table; null: as the plan finds best. */
  readonly walk: WalkKind | null
  /** `drop`: a partition of which every row is due goes as a whole, and its table with it. */
  readonly partitions: 'sweep' | 'drop'
  readonly pace: Pace
  readonly after: After
  /** First plausible day (YYYY-MM-DD in `zone`); an earlier period start is reported, never due. */
  readonly plausibleFrom: string
  readonly sentinels: Sentinels
  readonly action: Action
  readonly references: readonly Reference[]
  readonly logical: readonly LogicalLink[]
  /** `only`: the rule speaks of the table's own rows, and not of those that inherit from it. */
  readonly inheritance: 'only' | null
  /** Triggers that the author knows to fire when the rule acts. */
  readonly triggers: readonly TriggerName[]
  /** The sources that may hold a row of this rule, or a row that it depends on. */
  readonly holds: readonly HoldSource[]
  /** Floors of the tables that the rule acts on. */
  readonly floors: readonly Floor[]
  /** SHA-256 in hexadecimal over the canonical form of the rule, without where it stands. */
  readonly digest: string
  /** Where the rule stands in its file. Not part of any digest. */
  readonly source: RuleSource
}

/** Why the rule exists, for the register of processing (GDPR art. 30) and for readers of a plan. */
export type Register = {
  readonly purpose: string | null
  readonly basis: string | null
  readonly categories: readonly string[]
  /** The sentence of the published policy that this rule carries out. */
  readonly source: string
}

/** The column by which the application marks rows as deleted, and which of them the rule speaks of. */
export type SoftDeleted = {
  readonly column: string
  readonly rows: 'include' | 'only' | 'exclude'
}

export type Period = {
  /** A positive integer; at most 200 years in all. */
  readonly count: number
  readonly unit: 'day' | 'week' | 'month' | 'year'
}

export type Schedule = { readonly cron: string; readonly zone: string }

/** Most rows a rule may touch in a run, children counted. A rule over a limit is refused whole. */
export type Limits = {
  readonly maxRows: number
  readonly maxPercent: number
  /** Whether passing one of them refuses the rule, or only passing both. */
  readonly trip: 'either' | 'both'
}

/** What a table must never come below, whatever a rule says. Several on one table all hold. */
export type Floor = {
  readonly table: TableName
  /** Rows that must be left; null: any number. */
  readonly keepAtLeast: number | null
  /** The shortest period of a rule that acts on the table; null: any. */
  readonly minimumAge: Period | null
  /** Where it stands in its file. Not part of any digest. */
  readonly source: RuleSource
}

/** Dates that stand for something else: YYYY-MM-DD, `infinity` or `-infinity`. */
export type Sentinels = { readonly open: readonly string[]; readonly invalid: readonly string[] }

export type Start = ({ readonly kind: 'column' } & StartColumn) | EventStart

/** A column that holds period starts, and how its values tell a day. */
export type StartColumn = {
  readonly column: string
  /** Zone of a `timestamp` column's local times; null means the rule's. */
  readonly zone: string | null
  /** What a number or a uuid counts; null for a column that needs none. */
  readonly unit: Unit | null
  /** How a text column writes its days; null for any other. */
  readonly format: TextFormat | null
}

/** Since 1970 in UTC; `uuid7` is a uuid of version 7, whose first bytes count milliseconds. */
export const UNITS = ['seconds', 'milliseconds', 'uuid7'] as const
export type Unit = (typeof UNITS)[number]

export const TEXT_FORMATS = [
  'YYYY-MM-DD',
  'YYYYMMDD',
  'DD.MM.YYYY',
  'DD/MM/YYYY',
  'MM/DD/YYYY',
] as const
export type TextFormat = (typeof TEXT_FORMATS)[number]

/**
 * The period starts at the latest event: over all related rows of all the sources, and the columns
 * of the governed row itself.
 */
export type EventStart = {
  readonly kind: 'event'
  /** In any order: none of them outvotes another. */
  readonly sources: readonly EventSource[]
  readonly own: readonly OwnSource[]
  /** What null says: the event is still to come, or nothing ever happened there (last activity). */
  readonly nulls: 'open' | 'nothing'
  /** What becomes of a record of which nothing says when its period starts. */
  readonly none: 'report' | 'error' | { readonly use: StartColumn }
}

/** A column of the governed row that counts beside the sources. */
export type OwnSource = StartColumn & { readonly place: Place }

/** Where something stands in its rule, for messages. Not part of any digest. */
export type Place = readonly (string | number)[]

/** A table whose rows say when something ended, and the way from them to the governed row. */
export type EventSource = StartColumn & {
  readonly table: TableName
  /** The tables between the source and the governed row, from the source upward. */
  readonly hops: readonly Hop[]
  /** The common parent that is locked when there is no foreign key to the governed row. */
  readonly via: TableName | null
  /** From the last hop, or else from the source, to the governed row. */
  readonly by: readonly Link[]
  /** A related row matching this is still open, and keeps the record. A null or infinite event always does. */
  readonly open: Condition | null
  readonly place: Place
}

/** One step up from a row below: `own` is a column of `table`, `source` one of the table below. */
export type Hop = { readonly table: TableName; readonly links: readonly Link[] }

/** `source` column of the table below equals `own` column of the governed table or of a hop. */
export type Link = { readonly source: string; readonly own: string }

export type Scalar = string | number | boolean

/**
 * A filter in two-valued logic: a comparison with null is false, and `not` turns it into true.
 * `{ status: { not: open } }` therefore covers rows whose status is null.
 */
export type Condition =
  | { readonly kind: 'all' | 'any'; readonly conditions: readonly Condition[] }
  | { readonly kind: 'not'; readonly condition: Condition }
  | { readonly kind: 'equals'; readonly column: string; readonly value: Scalar }
  | { readonly kind: 'one_of'; readonly column: string; readonly values: readonly Scalar[] }
  | { readonly kind: 'is_null'; readonly column: string }
  | {
      readonly kind: 'compares'
      readonly column: string
      readonly operator: '<' | '<=' | '>' | '>='
      readonly value: Scalar
    }
  /** `where_sql`; `text` is as written, for people. */
  | { readonly kind: 'sql'; readonly expression: SqlExpression; readonly text: string }
  /** Rows that the application has marked as deleted, or has not. */
  | { readonly kind: 'soft_deleted'; readonly column: string; readonly deleted: boolean }

export type Action =
  | { readonly kind: 'purge' }
  | { readonly kind: 'anonymise'; readonly masks: readonly Mask[] }
  /** Moved out of the application's reach: the rows to `archive`, and those that go along. */
  | { readonly kind: 'block'; readonly archive: TableName; readonly along: readonly Along[] }

export type Along = { readonly table: TableName; readonly archive: TableName }

/** What an anonymisation writes into one column. */
export type Mask = { readonly column: string; readonly strategy: Strategy }

/**
 * What becomes of rows that refer to a row of the rule, or to one that goes along with it.
 * `with_parent` rows go along, child first; `detach` rows stay, and their link is set to null; with
 * `block` the row that they refer to stays; with `own_rule` one to be purged waits until none is left.
 */
export const REFERENCE_KINDS = ['own_rule', 'with_parent', 'block', 'detach'] as const
export type ReferenceKind = (typeof REFERENCE_KINDS)[number]

/** The rows of a table that has a foreign key to the governed table, or to one that goes along. */
export type Reference = { readonly table: TableName; readonly as: ReferenceKind }

/** Rows that refer to others by columns of the application's making, without a foreign key. */
export type LogicalLink = {
  readonly table: TableName
  /** The table they refer to: the governed one, or one that goes along. */
  readonly to: TableName
  /** `source` column of `table` equals `own` column of `to`. */
  readonly by: readonly Link[]
  /** Which rows of `table` the link is in; null: all. */
  readonly where: Condition | null
  readonly as: ReferenceKind
}

/** A trigger by its table and its own name. */
export type TriggerName = { readonly table: TableName; readonly name: string }

/** A table of which each row that matches `while` holds the rows that it names. */
export type HoldSource = {
  readonly table: TableName
  readonly covers: readonly HoldCover[]
  /** Null: every row, as long as it is there. */
  readonly while: Condition | null
  /** Where it stands in its file. Not part of any digest. */
  readonly source: RuleSource
}

export type HoldCover = { readonly table: TableName; readonly links: readonly HoldLink[] }

/** `source` column of the source equals `own` column of the covered table; null: its key. */
export type HoldLink = { readonly source: string; readonly own: string | null }

export interface RuleSource {
  readonly file: string
  /** Makes a problem at the deepest node on `path` (relative to the rule) that exists. */
  problem(
    path: readonly (string | number)[],
    problem: Pick<Problem, 'code' | 'message' | 'remedy'>,
  ): Problem
}

/** The id of the rule as people wrote it: its phases share it. */
export function writtenId({
  id,
  phase,
  archived,
}: Pick<Rule, 'id' | 'phase' | 'archived'>): string {
  return phase?.rule ?? archived?.rule ?? id
}

/** True of a rule after which a row is no longer where the application has it. */
export function takesAway({ action }: Pick<Rule, 'action'>): boolean {
  return action.kind !== 'anonymise'
}

/** True of two phases of one rule as it was written, and of a rule and itself. */
export function isSibling(one: Rule, other: Rule): boolean {
  return writtenId(one) === writtenId(other)
}

/** The columns of the governed table that decide (start, link, filter): none of them may be masked. */
export function columnsRead(condition: Condition | null): readonly string[] {
  return readingsOf(condition, []).map(({ column }) => column)
}

/** The columns that a filter reads, each with the key of the rule that says so; `place` is the filter's. */
export function readingsOf(
  condition: Condition | null,
  place: Place,
): readonly { readonly column: string; readonly place: Place; readonly by: Condition['kind'] }[] {
  if (condition === null) return []
  const { kind: by } = condition
  switch (by) {
    case 'all':
    case 'any':
      return condition.conditions.flatMap((part) => readingsOf(part, place))
    case 'not':
      return readingsOf(condition.condition, place)
    case 'equals':
    case 'one_of':
    case 'is_null':
    case 'compares':
      return [{ column: condition.column, place: [...place, condition.column], by }]
    case 'sql':
      return columnsIn(condition.expression).map((column) => ({ column, place: ['where_sql'], by }))
    case 'soft_deleted':
      return [{ column: condition.column, place: ['soft_deleted', 'column'], by }]
    default:
      return condition satisfies never
  }
}

/** The tables from whose rows the rule's period starts are read; none for a start of its own row. */
export function sourcesOf({ start }: Pick<Rule, 'start'>): readonly EventSource[] {
  return start.kind === 'event' ? start.sources : []
}

/** Every table that a period start is read through, besides the governed one. */
export function tablesRead(rule: Pick<Rule, 'start'>): readonly TableName[] {
  return sourcesOf(rule).flatMap(({ table, hops, via }) => [
    table,
    ...hops.map((hop) => hop.table),
    ...(via === null ? [] : [via]),
  ])
}

/** A table of which a rule says what becomes of its rows, and where it says so. */
export type Tie = Reference & {
  /** Of a logical link, which rows of the table it is in. */
  readonly where: Condition | null
  readonly place: Place
}

/** What the rule says of rows that refer to its own, by foreign keys and without. */
export function tiesOf({
  references,
  logical,
}: Pick<Rule, 'references' | 'logical'>): readonly Tie[] {
  return [
    ...references.map((each) => ({
      ...each,
      where: null,
      place: ['references', printTable(each.table)],
    })),
    ...logical.map(({ table, as, where }, at) => ({ table, as, where, place: ['logical', at] })),
  ]
}

/** The tables whose rows go along with the rows of the rule. */
export function tablesAlong(rule: Pick<Rule, 'references' | 'logical'>): readonly TableName[] {
  return tiesOf(rule).flatMap(({ table, as }) => (as === 'with_parent' ? [table] : []))
}
