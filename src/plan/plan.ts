import { digestOf } from '../base/canonical.ts'
import type { ApprovalState } from './approval.ts'
import type { Limits } from '../policy/policy.ts'
import type { WalkKind } from '../policy/walk.ts'
import type { ChildRows, ReferenceRows } from './census-references.ts'
import type { Verdict } from './census.ts'

/**
 * What a run at this cutoff would do, as a value: `plan` prints it, `enforce` carries it out. It
 * holds counts, names and digests, never a value or key of a row.
 */
export type Plan = {
  /** False for a plan as of another day: nobody may carry it out. */
  readonly enforceable: boolean
  /** The instant on the database's clock at which the plan was made; ISO 8601, UTC. */
  readonly createdAt: string
  /** The day a plan as of another day stands at; null for a plan of now. */
  readonly asOf: string | null
  readonly database: { readonly name: string; readonly systemIdentifier: string }
  /** Digest of the policy set. */
  readonly policyDigest: string
  /** Fingerprint of every table that the rules reach. */
  readonly catalogFingerprint: string
  /** The same for each table, so that a stale plan can say which one moved. */
  readonly tables: readonly { readonly table: string; readonly fingerprint: string }[]
  /** In the order in which a run takes them: readers first, then what they read. */
  readonly rules: readonly PlannedRule[]
  /** What concerns no rule: tables that have none, exemptions whose time is over. */
  readonly remarks: readonly Remark[]
  /** SHA-256 over everything above. */
  readonly digest: string
}

export type PlannedRule = {
  readonly rule: string
  /** Which phase of which rule it is; null for a rule without phases. */
  readonly phase: { readonly rule: string; readonly number: number; readonly of: number } | null
  readonly title: string
  /** The sentence of the policy that the rule carries out, if it says so. */
  readonly source: string | null
  /** Digest of the rule. */
  readonly digest: string
  readonly table: string
  /** False: without a filter, every row of the table is of this record class. */
  readonly filtered: boolean
  readonly action: 'purge' | 'anonymise' | 'block'
  readonly mode: 'report' | 'enforce'
  /** As people read it: `10 years`. */
  readonly keep: string
  readonly today: string
  readonly firstDayNotDue: string
  readonly counts: Readonly<Record<Verdict, number>>
  /** Rows that change with the due rows, by table. */
  readonly children: readonly ChildRows[]
  /** Every link to rows of the rule, to the end of the graph: what was declared, and how many rows. */
  readonly references: readonly ReferenceRows[]
  /** Age of the longest due record in whole months since its period start; null if none is due. */
  readonly oldestDueMonths: number | null
  /** The same of the record in the middle, and of the one that became due last. */
  readonly medianDueMonths: number | null
  readonly newestDueMonths: number | null
  /** How long after the period the rule must have acted; null if nobody said. */
  readonly within: string | null
  /** Rows of which the rule is late, and days since the first of them was; null without `within`. */
  readonly overdue: { readonly rows: number; readonly days: number } | null
  /** How a run goes through the table. */
  readonly walk: PlannedWalk
  readonly limits: Limits
  /** Tables of which so many rows must stay, and how many the run would leave. */
  readonly floors: readonly PlannedFloor[]
  /** Where a block moves rows, how many stand there, and of how many the period is not over now. */
  readonly archive: {
    readonly table: string
    readonly rows: number
    readonly reopened: number
  } | null
  /** What an anonymisation does to each column; empty for a purge. */
  readonly columns: readonly { readonly column: string; readonly becomes: string }[]
  /** What a person should know before approving. A remark stops nothing. */
  readonly remarks: readonly Remark[]
  /** How the rule's approval stands; null for a rule that only reports, or if nobody asked. */
  readonly approval: PlannedApproval | null
  /** What was due under the period that was approved, if the rule keeps less now. */
  readonly formerly: { readonly keep: string; readonly due: number } | null
  /** Rows that a run may act on, children counted, whatever comes up meanwhile. */
  readonly mostRows: number
  readonly refusal: Refusal | null
}

export type PlannedFloor = {
  readonly table: string
  readonly keepAtLeast: number
  readonly left: number
}

export type PlannedWalk = {
  readonly kind: WalkKind
  /** For people: what spoke for it. */
  readonly why: string
  /** Whole partitions that go before; null: the policy asks for none. */
  readonly drops: PlannedDrops | null
}

export type PlannedDrops = {
  /** Partitions that are looked at: each goes if every row of it is due. */
  readonly partitions: number
  readonly why: string
}

/** Something that is worth a look, and what could be done about it. */
export type Remark = {
  readonly code: string
  readonly message: string
  readonly remedy: string | null
}

export type PlannedApproval = {
  readonly state: ApprovalState
  /** Instant of the newest approval's end; null if there is none. */
  readonly expiresAt: string | null
  /** It ends within a month: after that the rule acts no more. */
  readonly endsSoon: boolean
}

/** Why a plan will not carry a rule out. */
export type Refusal = {
  readonly code: RefusalCode
  readonly message: string
}

export const REFUSALS = [
  'hold_missing',
  'filter_fails',
  'below_floor',
  'over_max_rows',
  'over_max_percent',
  'unlike_before',
  'records_without_event',
  'trial_failed',
  'not_approved',
  'approval_expired',
  'over_approval',
] as const

export type RefusalCode = (typeof REFUSALS)[number]

/** More rows than planned that still fit: the application went on working since; one in twenty. */
export const GROWTH = 1.05

/** Rows that a run of the rule would act on, children counted. */
export function rowsPlanned(rule: Pick<PlannedRule, 'counts' | 'children'>): number {
  return rule.children.reduce((sum, child) => sum + child.rows, rule.counts.due)
}

/** True if the run would act on the rule's rows. */
export function willAct(rule: PlannedRule): boolean {
  return rule.mode === 'enforce' && rule.refusal === null && rowsPlanned(rule) > 0
}

/** Names the plan: any change of a field gives another digest. */
export function planDigest(plan: Omit<Plan, 'digest'>): string {
  return digestOf({ version: 1, ...plan })
}
