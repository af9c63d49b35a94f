import { sql, type Kysely, type QueryExecutorProvider } from 'kysely'
import { invariant } from '../base/errors.ts'
import { printTable } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { Catalog, Table } from '../catalog/catalog.ts'
import { fingerprint } from '../catalog/fingerprint.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { inspectStorage } from '../catalog/inspect-storage.ts'
import { inSnapshot } from '../db/transaction.ts'
import { readBoundary, type Cutoff } from './boundary.ts'
import { buildPlan, planRule } from './build.ts'
import { takeCensus } from './census.ts'
import { viewOf, type View } from './due.ts'
import { setOffRemarks } from './set-off.ts'
import { willAct, type Plan, type PlannedRule, type Remark } from './plan.ts'
import { remarksOn } from './remarks.ts'

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
  /** Digest of the approved version of each rule; null if the plan is to be approved itself. */
  readonly approved: ReadonlyMap<string, string> | null
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
  { rules, approved }: PlanRequest,
  cutoff: Cutoff,
): Promise<readonly PlannedRule[]> {
  const stored = await inspectStorage(
    trx,
    rules.flatMap(({ reaches }) => reaches),
  )
  const planned: PlannedRule[] = []
  const earlier = new Map<string, Pick<View, 'fitted' | 'boundary'>>()
  for (const fitted of rules) {
    const boundary = await readBoundary(trx, fitted, cutoff)
    const census = await takeCensus(trx, { ...viewOf(fitted, boundary), earlier })
    const { id, digest } = fitted.rule
    const rule = planRule({
      fitted,
      boundary,
      census,
      approved: approved === null || approved.get(id) === digest,
      remarks: [...remarksOn(fitted, stored), ...setOffRemarks(fitted)],
    })
    planned.push(rule)
    if (willAct(rule)) earlier.set(id, { fitted, boundary })
  }
  return planned
}

/** Without its place in a file: a plan may be read where there are no policies. */
function remarkOf({ code, message, remedy }: Problem): Remark {
  return { code, message, remedy: remedy ?? null }
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
