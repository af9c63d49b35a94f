/**
 * What the journal can say. One entry is one line of UTF-8 JSON with a fixed key order; its bytes
 * are made once, then signed, stored, hashed and exported as they are (docs/journal-format.md).
 */

export type Action = 'purge' | 'anonymise'

/** Why a run acts. An enum, never free text: free text is where personal data gets in. */
export type Trigger = 'schedule' | 'manual' | 'request'

export type RunOutcome =
  | 'done'
  | 'partial'
  | 'refused'
  | 'stopped'
  | 'clock'
  | 'catalog'
  | 'lease'
  | 'failed'
  | 'interrupted'

/** Rows of one table acted on: in a batch for a child, in a run for every table. */
export type TableRows = {
  readonly target: string
  readonly action: Action
  readonly rows: number
}

/** The policy entry that a batch rests on. */
export type PolicyReference = {
  readonly rule: string
  /** Digest of the rule, hexadecimal. */
  readonly sha256: string
  /** Sequence number of the policy entry. */
  readonly seq: number
}

/** What a writer wants to say; `seq`, `prev`, `time`, `clock` and `db` are added under the head lock. */
export type EntryDraft =
  | {
      readonly type: 'genesis'
      readonly origin: string
      readonly log: string
      readonly product: string
      readonly entryKey: string
    }
  | {
      readonly type: 'policy'
      readonly rule: string
      readonly sha256: string
      /** Digest of the whole policy set. */
      readonly set: string
      readonly target: string
      readonly count: number
      readonly unit: 'day' | 'week' | 'month' | 'year'
      readonly action: Action
      /** `column:strategy`, for an anonymisation; never a mask's literal. */
      readonly masks: readonly string[]
    }
  | {
      readonly type: 'run'
      readonly phase: 'start'
      readonly run: string
      readonly trigger: Trigger
      /** Digest of the plan, hexadecimal. */
      readonly plan: string
      readonly policySet: string
      readonly cutoff: string
    }
  | {
      readonly type: 'run'
      readonly phase: 'end'
      readonly run: string
      readonly outcome: RunOutcome
      readonly totals: readonly TableRows[]
    }
  | {
      readonly type: 'batch'
      readonly run: string
      readonly batch: string
      readonly policy: PolicyReference
      readonly target: string
      readonly action: Action
      readonly method: 'sql-delete' | 'sql-update'
      readonly reason: Trigger
      /** The rule's today, YYYY-MM-DD. */
      readonly day: string
      readonly firstDayNotDue: string
      readonly children: readonly TableRows[]
      readonly rows: number
    }
