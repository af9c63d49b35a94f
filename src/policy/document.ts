import { z } from 'zod'
import { AfterDocument } from './after.ts'
import { ConditionShape, readCondition } from './condition.ts'
import { CoverageDocument } from './document-coverage.ts'
import { DatabaseDocument, FloorDocument, LimitsDocument } from './document-guards.ts'
import { HoldSourceDocument, Subject } from './document-holds.ts'
import { PaceDocument } from './document-pace.ts'
import { Day, Id, Table, Text, Zone, mapping } from './document-parts.ts'
import { Logical, References } from './document-references.ts'
import { field, readSchedule, readSentinels } from './fields.ts'
import { StartDocument } from './document-start.ts'
import { tableShapes } from './document-table.ts'
import { PeriodText, Then } from './document-then.ts'
import { WALKS } from './walk.ts'

const Filter = field(readCondition, ConditionShape)
const Days = z.array(z.string())

const Sentinels = mapping({
  open: field(readSentinels('open'), Days)
    .optional()
    .describe('Days that mean "still open", as a null does: the record is kept.'),
  invalid: field(readSentinels('invalid'), Days)
    .optional()
    .describe('Days that mean "unknown": the record is reported and never due.'),
})

const Mode = z.enum(['report', 'enforce'])

const Batch = mapping({
  rows: z.int().min(1).max(50_000).optional().describe('Rows acted on in one transaction.'),
  walk: z
    .enum(WALKS)
    .optional()
    .describe('How a run goes through the table; as the plan finds best by default.'),
  partitions: z
    .enum(['sweep', 'drop'])
    .optional()
    .describe(
      'drop: a partition of which every row is due goes as a whole; sweep, the default, never.',
    ),
})

/** Keys that a policy sets for all of its rules, and a rule for itself. */
const shared = {
  mode: Mode.optional().describe('enforce acts; report, the default, only plans.'),
  schedule: field(readSchedule, z.string())
    .optional()
    .describe('Cron expression of five fields; none, the default, runs on demand only.'),
  schedule_timezone: Zone.optional().describe('Zone of the cron expression; UTC by default.'),
  limits: LimitsDocument.optional().describe('What a run may touch at most.'),
  evidence: z
    .enum(['rows', 'count'])
    .optional()
    .describe('What the journal can prove later: each row, or their number.'),
  batch: Batch.optional().describe(
    'How large one transaction is, and how a run goes through the table.',
  ),
  pace: PaceDocument.optional().describe('How fast it acts, when, and what makes it wait.'),
  after: AfterDocument.optional().describe('What is done to the tables that a run touched.'),
}

const inheritable = {
  sentinels: Sentinels.optional().describe('Days that stand for something else.'),
  plausible_from: Day.optional().describe(
    'First plausible day, 1990-01-01 by default; older period starts are reported, never due.',
  ),
}

const Register = mapping({
  purpose: Text.optional().describe('What the data is processed for.'),
  basis: Text.optional().describe('Legal basis of the processing.'),
  categories: z.array(Text).optional().describe('Categories of personal data.'),
  source: Text.describe('The sentence of the published policy that this rule carries out.'),
})

/** One rule as people write it. */
export const RuleDocument = mapping({
  id: Id.describe('Names the rule in plans and in the journal, for ever; unique in the folder.'),
  title: Text.optional().describe('For people; the id by default.'),
  register: Register.optional().describe('For the register of processing (GDPR, article 30).'),
  table: Table.describe('The governed table, as schema.table.'),
  subject: Subject.optional(),
  timezone: Zone.optional().describe('Zone in which days are counted, if not that of the policy.'),
  where: Filter.optional().describe('Which rows of the table; every row by default.'),
  start: StartDocument.describe(
    'What the period counts from: a column, the latest event of related rows, or the last activity.',
  ),
  keep: PeriodText.optional().describe(
    'A whole number of one unit: 10 years, 12 months, 6 weeks, 90 days, P10Y. Phases have their own.',
  ),
  within: PeriodText.optional().describe(
    'How long after the period it must be done: what is due for longer is overdue.',
  ),
  // oxlint-disable-next-line unicorn/no-thenable -- a word of the language, and never a function
  then: Then.describe('What becomes of a record that is due: one action, or a list of phases.'),
  references: References.optional(),
  logical: Logical.optional(),
  ...tableShapes,
  ...inheritable,
  ...shared,
}).meta({ id: 'rule', title: 'Rule' })

const header = {
  version: z.literal(1).describe('Version of this language.'),
  policy: Id.describe('Id of the policy; unique in the folder.'),
  title: Text.optional().describe('For people; the id by default.'),
  owner: Text.describe('Who answers for the policy.'),
  timezone: Zone.describe('IANA zone in which days are counted.'),
  database: DatabaseDocument.optional().describe(
    'The database that the rules are for; on any other one nothing is read.',
  ),
  backups: PeriodText.optional().describe(
    'How long backups and archived log are kept: until then a run says what may be recovered.',
  ),
  floors: z
    .array(FloorDocument)
    .min(1)
    .optional()
    .describe('What tables must never come below, whatever any rule says.'),
  ...inheritable,
  coverage: CoverageDocument.optional().describe(
    'What has to have a rule: tables of a schema that have none are reported.',
  ),
  holds: z
    .array(HoldSourceDocument)
    .min(1)
    .optional()
    .describe('Tables that hold rows of others, besides the holds that persons place.'),
  defaults: mapping(shared).optional().describe('What rules of this file have in common.'),
}

/** A policy with its rules still unread, so that a mistake in one rule hides none in another. */
export const PolicyHeader = mapping({ ...header, rules: z.array(z.unknown()).min(1) })

/** A policy file as people write it; the JSON Schema is made from this. */
export const PolicyDocument = mapping({
  ...header,
  rules: z.array(RuleDocument).min(1).describe('The rules, in any order.'),
})

export type PolicyHeader = z.output<typeof PolicyHeader>
export type RuleDocument = z.output<typeof RuleDocument>
