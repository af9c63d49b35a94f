import type { TableName } from '../base/names.ts'
import type { RuleSource } from './policy.ts'

/** Which tables have to have a rule, a reference, a role as a source, or an exemption. */
export type Coverage = {
  readonly schemas: readonly string[]
  readonly exempt: readonly Exemption[]
  /** IANA zone of the policy, in which days of review are counted. */
  readonly zone: string
  /** Where the key `coverage` stands in its file. Not part of any digest. */
  readonly source: RuleSource
}

export type Exemption = {
  readonly table: TableName
  /** Null: the whole table. Otherwise a column that the rules of its policy leave as it is. */
  readonly column: string | null
  readonly why: string
  /** YYYY-MM-DD: after this day the exemption itself is a finding. */
  readonly review: string
}
