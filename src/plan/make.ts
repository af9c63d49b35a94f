import { sql, type Kysely, type QueryExecutorProvider } from 'kysely'
import { invariant } from '../base/errors.ts'
import { printTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { Catalog, Table } from '../catalog/catalog.ts'
import { fingerprint } from '../catalog/fingerprint.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { inspectDropping, type Dropping } from '../catalog/inspect-dropping.ts'
import { missingFor } from '../hold/missing.ts'
import { inspectStorage } from '../catalog/inspect-storage.ts'
import { inSnapshot } from '../db/transaction.ts'
import { endsSoon, keepsAsLong, stateOf, type Approved } from './approval.ts'
import { countArchived } from './archived.ts'
import { readBoundary, type Cutoff } from './boundary.ts'
import { buildPlan, planRule, type Counted } from './build.ts'
import { NOTHING_COUNTED, takeCensus, type Census } from './census.ts'
import { viewOf, type View } from './due.ts'
import { orFilterFailure, type FilterFailure } from './filter-fails.ts'
import { isOverFor } from './hindrance.ts'
import { readIdle } from './orders.ts'
import { setOffRemarks } from './set-off.ts'
import { willAct, type Plan, type PlannedRule, type Remark } from './plan.ts'
import type { Permission } from './refuse.ts'
import { archiveRemarks, circleRemarks, remarksOn, takenRemarks } from './remarks.ts'
import { countCircles, mayWaitInCircles } from './stays.ts'
import { countTaken } from './taken.ts'
import { chooseDrops } from './drops.ts'
import { chooseWalk } from './walk.ts'

/** Now; an instant that an approved plan stands at, or now if that is later; or a day to ask about. */
export type Stand =
  | { readonly kind: 'now' }
  | { readonly kind: 'instant'; readonly at: string }
  | { readonly kind: 'day'; readonly day: string }

export type PlanRequest = {
  readonly policyDigest: string
  readonly catalog: Catalog
  /** In the order of a run. */
  readonly rules: readonly FittedRule[]
  readonly stand: Stand
  /** What the journal says about the rules; null if nobody asked it. */
  readonly approved: Approved | null
  /** What the policies should cover and do not; none, if nobody looked. */
  readonly findings?: readonly Problem[]
}

/** Counts every rule on one snapshot of the database and builds the plan of it. */
export async function makePlan<DB>(db: Kysely<DB>, request: PlanRequest): Promise<Plan> {
  const { catalog, rules, stand } = request
  return inSnapshot(db, async (trx) => {
    const now = await readInstant(trx)
    // Instants of one form compare as text does.
    const createdAt = stand.kind === 'instant' && stand.at < now ? stand.at : now
    const cutoff: Cutoff = stand.kind === 'day' ? stand : { kind: 'instant', at: createdAt }
    const planned = await planRules(trx, request, cutoff)
    const { name, systemIdentifier } = catalog.database
    return buildPlan(
      {
        createdAt,
        asOf: stand.kind === 'day' ? stand.day : null,
        database: { name, systemIdentifier },
        policyDigest: request.policyDigest,
        remarks: (request.findings ?? []).map(remarkOf),
        ...fingerprints(tablesReached(rules, catalog)),
      },
      planned,
    )
  })
}

/** Counts rule by rule; what an earlier rule will have done by then counts as done. */
async function planRules(
  trx: QueryExecutorProvider,
  { rules, catalog, approved }: PlanRequest,
  cutoff: Cutoff,
): Promise<readonly PlannedRule[]> {
  const stored = await inspectStorage(
    trx,
    rules.flatMap(({ reaches }) => reaches),
  )
  const planned: PlannedRule[] = []
  const earlier = new Map<string, Pick<View, 'fitted' | 'boundary' | 'idle'>>()
  const now = await readInstant(trx)
  for (const fitted of rules) {
    const boundary = await readBoundary(trx, fitted, cutoff)
    const permission = permissionOf(fitted, catalog, approved, now)
    const idle = await readIdle(trx, fitted)
    const view = { ...viewOf(fitted, boundary), idle, earlier }
    const counted = await orFilterFailure(trx, fitted, async () =>
      countRule(trx, { view, permission, cutoff }),
    )
    const { census, ...rest } = 'message' in counted ? uncounted(counted) : counted
    const rule = planRule({
      ...rest,
      fitted,
      boundary,
      census,
      permission,
      walk: {
        ...chooseWalk(fitted, stored.get(printTable(fitted.table)), census),
        drops: chooseDrops(fitted, await dropping(trx, fitted)),
      },
      remarks: [...remarksOn(fitted, stored), ...setOffRemarks(fitted), ...rest.remarks],
    })
    planned.push(rule)
    if (willAct(rule)) earlier.set(fitted.rule.id, { fitted, boundary, idle })
  }
  return planned
}

type Counting = {
  readonly view: View
  readonly permission: Permission | null
  readonly cutoff: Cutoff
}

/** What is counted of a rule, and what is to be said of the counts. */
async function countRule(
  trx: QueryExecutorProvider,
  { view, permission, cutoff }: Counting,
): Promise<Pick<Counted, 'census' | 'formerlyDue' | 'archived' | 'remarks'>> {
  const { fitted, boundary, earlier } = view
  const census = await takeCensus(trx, view)
  const formerlyDue = await countFormerlyDue(trx, { fitted, permission, cutoff, earlier })
  const archived =
    fitted.archive === null ? null : await countArchived(trx, fitted.archive, boundary)
  const plain = viewOf(fitted, boundary)
  const remarks = [
    ...archiveRemarks(fitted, archived),
    ...takenRemarks(fitted, await takenAmong(trx, plain, census)),
    ...circleRemarks(fitted, await circlesAmong(trx, plain, census)),
  ]
  return { census, formerlyDue, archived, remarks }
}

/** Of a rule whose filter fails nothing is known; it is refused, and the others go on. */
function uncounted({
  message,
}: FilterFailure): Awaited<ReturnType<typeof countRule>> & Pick<Counted, 'unreadable'> {
  const unreadable = { code: 'filter_fails', message } as const
  return { census: NOTHING_COUNTED, formerlyDue: null, archived: null, remarks: [], unreadable }
}

/** Circles matter once something of the table waits that is due. */
async function circlesAmong(
  trx: QueryExecutorProvider,
  view: View,
  { counts }: Census,
): Promise<number> {
  if (!mayWaitInCircles(view.fitted) || counts.blocked + counts.deciding === 0) return 0
  const { rows } = await countCircles(view, isOverFor).execute(trx)
  return Number(rows[0]?.circles ?? 0)
}

async function takenAmong(
  trx: QueryExecutorProvider,
  view: View,
  { counts }: Census,
): Promise<number> {
  if (view.fitted.archive === null || counts.blocked === 0) return 0
  const { rows } = await countTaken(view).execute(trx)
  return Number(rows[0]?.rows ?? 0)
}

async function dropping(
  trx: QueryExecutorProvider,
  { rule, table }: FittedRule,
): Promise<Dropping | null> {
  const asked = rule.partitions === 'drop' && table.kind === 'partitioned table'
  return asked ? inspectDropping(trx, table) : null
}

/** Without its place in a file: a plan may be read where there are no policies. */
function remarkOf({ code, message, remedy }: Problem): Remark {
  return { code, message, remedy: remedy ?? null }
}

/** How the rule's approval stands now, whatever instant the plan stands at. */
function permissionOf(
  fitted: FittedRule,
  catalog: Catalog,
  approved: Approved | null,
  now: string,
): Permission | null {
  if (approved === null || fitted.rule.mode === 'report') return null
  const standing = approved.standings.get(fitted.rule.id)
  const approval = standing?.approval ?? null
  const lifts = approval?.lifts ?? null
  const state = stateOf(fitted, fingerprint(tablesReached([fitted], catalog)), standing, now)
  return {
    state,
    approval,
    endsSoon: state === 'given' && approval !== null && endsSoon(approval, now),
    lifted: lifts === null ? null : Math.max(0, lifts - (standing?.rowsSince ?? 0)),
    latest: standing?.latest ?? [],
    required: approved.required,
    missing: missingFor(fitted, approved.missing ?? []),
  }
}

type Former = {
  readonly fitted: FittedRule
  readonly permission: Permission | null
  readonly cutoff: Cutoff
  readonly earlier: View['earlier']
}

/** Counts what was due under the period that was approved, if the rule keeps less now. */
async function countFormerlyDue(
  trx: QueryExecutorProvider,
  { fitted, permission, cutoff, earlier }: Former,
): Promise<number | null> {
  const keep = permission?.approval?.keep
  if (keep === undefined || keepsAsLong(fitted.rule.keep, keep)) return null
  const former = { ...fitted, rule: { ...fitted.rule, keep } }
  const boundary = await readBoundary(trx, former, cutoff)
  const census = await takeCensus(trx, { ...viewOf(former, boundary), earlier })
  return census.counts.due
}

function fingerprints(tables: readonly Table[]): Pick<Plan, 'catalogFingerprint' | 'tables'> {
  return {
    catalogFingerprint: fingerprint(tables),
    tables: tables.map((table) => ({
      table: printTable(table),
      fingerprint: fingerprint([table]),
    })),
  }
}

/** The tables whose shape the rules depend on. */
export function tablesReached(
  rules: readonly Pick<FittedRule, 'reaches'>[],
  catalog: Pick<Catalog, 'tables'>,
): readonly Table[] {
  const names = new Set(rules.flatMap((rule) => rule.reaches.map((table) => printTable(table))))
  return [...names].map((name) => {
    const table = catalog.tables.get(name)
    invariant(table !== undefined, `table ${name} was fitted but not inspected`)
    return table
  })
}

/** The database's clock; ISO 8601 with microseconds, UTC. */
export async function readInstant(db: QueryExecutorProvider): Promise<string> {
  const { rows } = await sql<{ at: string }>`
    select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`.execute(
    db,
  )
  const [row] = rows
  invariant(row !== undefined, 'PostgreSQL returned no time')
  return row.at
}
