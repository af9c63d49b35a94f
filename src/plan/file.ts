/** The plan as a JSON file: snake_case like the policies, versioned, and read back with suspicion. */
import { z } from 'zod'
import { ConfigError, RefusedError } from '../base/errors.ts'
import { WALKS } from '../policy/walk.ts'
import { APPROVAL_STATES } from './approval.ts'
import { REFERENCE_KINDS } from '../policy/policy.ts'
import { planDigest, REFUSALS, type Plan } from './plan.ts'
import { renamed, toCamel, toSnake } from './snake.ts'

/** Raised when a field changes its meaning or goes away; new fields do not raise it. */
const SCHEMA_VERSION = 1

const count = z.int().min(0)
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const day = z.string().regex(/^\d{4}-\d\d-\d\d$/)
const childRows = z
  .array(
    z.strictObject({
      table: z.string(),
      action: z.enum(['purge', 'block', 'detach']),
      rows: count,
    }),
  )
  .readonly()
const referenceRows = z
  .array(
    z.strictObject({
      from: z.string(),
      to: z.string(),
      key: z.string(),
      as: z.enum(REFERENCE_KINDS),
      rows: count,
    }),
  )
  .readonly()

const remarks = z
  .array(z.strictObject({ code: z.string(), message: z.string(), remedy: z.string().nullable() }))
  .readonly()

const plannedRule = z.strictObject({
  rule: z.string(),
  phase: z.strictObject({ rule: z.string(), number: count, of: count }).nullable(),
  title: z.string(),
  source: z.string().nullable(),
  digest,
  table: z.string(),
  filtered: z.boolean(),
  action: z.enum(['purge', 'anonymise', 'block']),
  mode: z.enum(['report', 'enforce']),
  keep: z.string(),
  today: day,
  firstDayNotDue: day,
  counts: z.strictObject({
    due: count,
    held: count,
    superseded: count,
    kept: count,
    blocked: count,
    deciding: count,
    done: count,
    running: count,
    open: count,
    implausible: count,
    neverExpires: count,
    outside: count,
  }),
  children: childRows,
  references: referenceRows,
  oldestDueMonths: count.nullable(),
  medianDueMonths: count.nullable(),
  newestDueMonths: count.nullable(),
  within: z.string().nullable(),
  overdue: z.strictObject({ rows: count, days: count }).nullable(),
  walk: z.strictObject({
    kind: z.enum(WALKS),
    why: z.string(),
    drops: z.strictObject({ partitions: count, why: z.string() }).nullable(),
  }),
  limits: z.strictObject({
    maxRows: count,
    maxPercent: z.number(),
    trip: z.enum(['either', 'both']),
  }),
  floors: z
    .array(z.strictObject({ table: z.string(), keepAtLeast: count, left: count }))
    .readonly(),
  archive: z.strictObject({ table: z.string(), rows: count, reopened: count }).nullable(),
  columns: z.array(z.strictObject({ column: z.string(), becomes: z.string() })).readonly(),
  remarks,
  approval: z
    .strictObject({
      state: z.enum(APPROVAL_STATES),
      expiresAt: z.string().nullable(),
      endsSoon: z.boolean(),
    })
    .nullable(),
  formerly: z.strictObject({ keep: z.string(), due: count }).nullable(),
  mostRows: count,
  refusal: z
    .strictObject({
      code: z.enum(REFUSALS),
      message: z.string(),
    })
    .nullable(),
})

const planFile = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  enforceable: z.boolean(),
  createdAt: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
  asOf: day.nullable(),
  database: z.strictObject({ name: z.string(), systemIdentifier: z.string() }),
  policyDigest: digest,
  catalogFingerprint: digest,
  tables: z.array(z.strictObject({ table: z.string(), fingerprint: digest })).readonly(),
  rules: z.array(plannedRule).readonly(),
  remarks,
  digest,
})

/** Prints the plan as its file holds it. */
export function renderPlanFile(plan: Plan): string {
  return `${JSON.stringify(renamed({ schemaVersion: SCHEMA_VERSION, ...plan }, toSnake), null, 2)}\n`
}

/** Reads a plan file back. A file that was edited is refused: its digest no longer fits. */
export function parsePlanFile(file: string, text: string): Plan {
  const parsed = planFile.safeParse(renamed(readJson(file, text), toCamel))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new ConfigError(
      `${file} is not a plan of this version: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
      { remedy: 'make it with: retentiond plan -o plan.json' },
    )
  }
  const { schemaVersion: _version, ...plan } = parsed.data
  const { digest: stated, ...rest } = plan
  if (planDigest(rest) !== stated) {
    throw new RefusedError(`${file} was changed after it was made: its digest does not fit`, {
      remedy: 'make a new plan',
    })
  }
  return plan
}

function readJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ConfigError(`${file} is not JSON`, {
      cause: error,
      remedy: 'make it with: retentiond plan -o plan.json',
    })
  }
}
