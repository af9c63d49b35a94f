/**
 * A version of a rule acts once a person approved it. The journal says that this was done, by the
 * digest of what was approved; the body stands beside it (docs/decisions/0010-approvals-are-bounded.md).
 */
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { RefusedError } from '../base/errors.ts'
import { printTable } from '../base/names.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { fingerprint } from '../catalog/fingerprint.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import { inTransaction } from '../db/transaction.ts'
import type { EntryDraft, PolicyReference } from '../journal/entry.ts'
import { newestApprovals } from '../journal/history.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry } from '../journal/store.ts'
import { planAgain } from '../plan/again.ts'
import {
  approvalDigest,
  besideOf,
  encodeApproval,
  versionOf,
  type Approval,
} from '../plan/approval.ts'
import { guardsOf } from '../plan/guards.ts'
import { tablesReached } from '../plan/make.ts'
import { GROWTH, rowsPlanned, type Plan, type PlannedRule, type RefusalCode } from '../plan/plan.ts'
import { printPeriod } from '../policy/period.ts'
import type { Period, PolicySet } from '../policy/policy.ts'
import { approvalsToRead } from './standing.ts'

export type ApproveRequest = {
  readonly db: Db
  readonly set: PolicySet
  readonly catalog: Catalog
  readonly rules: readonly FittedRule[]
  readonly signer: Signer
  readonly clock: Clock
}

/** How far an approval goes. */
export type Terms = {
  /** Ids of the rules; null for every rule that the plan would carry out. */
  readonly only: readonly string[] | null
  readonly expires: Period
  /** Most rows of a table for one run; null takes twice the planned ones and a thousand. */
  readonly maxRows: number | null
  /** Approve also rules that the plan refuses by a limit, for as many rows as planned. */
  readonly liftLimits: boolean
}

/** A year: the plan of each rule is read again at least that often, and not so often that nobody reads. */
export const DEFAULT_TERMS: Terms = {
  only: null,
  expires: { count: 1, unit: 'year' },
  maxRows: null,
  liftLimits: false,
}

/** The limits that an approval can lift. Floors are not among them. */
export const LIMITS: ReadonlySet<RefusalCode> = new Set([
  'over_max_rows',
  'over_max_percent',
  'unlike_before',
])

/** A later run meets other rows than the one that was read: twice as many and a thousand still fit. */
const TIMES_PLANNED = 2
const ABOVE_PLANNED = 1000

/** D moves with the day, but for months of unequal length: up to three days ahead of it. */
const MONTH_ENDS = 4

/**
 * Approves the rules that the plan would carry out, without acting, and returns their ids. One that
 * is approved already is left out, unless it is named. The plan must still fit, as for a run.
 */
export async function approvePlan(
  request: ApproveRequest,
  read: Plan,
  terms: Terms = DEFAULT_TERMS,
): Promise<readonly string[]> {
  const { db, set, catalog, rules } = request
  const approved = await approvalsToRead(db)
  const now = await planAgain(db, { policyDigest: set.digest, catalog, rules, approved }, read)
  const chosen = chooseRules(now, terms)
  for (const planned of chosen) {
    const fitted = rules.find(({ rule }) => rule.id === planned.rule)
    if (fitted !== undefined)
      await giveApproval(request, { fitted, planned, plan: read.digest }, terms)
  }
  return chosen.map(({ rule }) => rule)
}

function chooseRules(plan: Plan, { only, liftLimits }: Terms): readonly PlannedRule[] {
  const known = plan.rules.map(({ rule }) => rule)
  const isNamed = ({ rule, phase }: PlannedRule): boolean =>
    only === null || only.includes(rule) || (phase !== null && only.includes(phase.rule))
  const named = plan.rules.flatMap(({ rule, phase }) => [rule, phase?.rule])
  const unknown = only?.filter((id) => !named.includes(id)) ?? []
  if (unknown.length > 0) {
    throw new RefusedError(`the plan has no rule ${unknown.join(', ')}`, {
      remedy: `it has ${known.join(', ')}`,
    })
  }
  const isChosen = (planned: PlannedRule): boolean => {
    const { mode, refusal, approval } = planned
    if (mode !== 'enforce' || !isNamed(planned)) return false
    if (refusal !== null) return liftLimits && LIMITS.has(refusal.code)
    return only !== null || approval?.state !== 'given'
  }
  return plan.rules.filter(isChosen)
}

type Given = {
  readonly fitted: FittedRule
  readonly planned: PlannedRule
  /** Digest of the plan that was read. */
  readonly plan: string
}

/** Journals an approval of the rule as it is planned, and stores its body with it. */
export async function giveApproval(
  { db, catalog, signer, clock }: Omit<ApproveRequest, 'rules' | 'set'>,
  given: Given,
  terms: Terms,
): Promise<void> {
  await inTransaction(db, async (trx) => {
    const times = await readTimes(trx, given.planned, terms)
    const body = encodeApproval(approvalOf(given, catalog, terms, times))
    await trx.insertInto('retentiond.approval').values({ body }).execute()
    const { rule } = given.planned
    const draft = {
      type: 'approval',
      phase: 'given',
      rule,
      approval: approvalDigest(body),
    } as const
    await appendEntry(trx, signer, draft, clock)
  })
}

type Times = Pick<Approval, 'givenAt' | 'expiresAt' | 'lastFirstDay'>

function approvalOf(
  { fitted, planned, plan }: Given,
  catalog: Catalog,
  { maxRows }: Terms,
  times: Times,
): Approval {
  const children = new Map(planned.children.map(({ table, rows }) => [table, rows]))
  const going = [
    { table: planned.table, rows: planned.counts.due },
    ...[...fitted.children, ...fitted.detached].map((child) => {
      const table = printTable(child.table)
      return { table, rows: children.get(table) ?? 0 }
    }),
  ]
  const lifts = planned.refusal === null ? null : Math.ceil(rowsPlanned(planned) * GROWTH)
  return {
    ...versionOf(fitted),
    guards: guardsOf(fitted.rule),
    ruleDigest: fitted.rule.digest,
    beside: besideOf(fitted),
    fingerprint: fingerprint(tablesReached([fitted], catalog)),
    tables: going.map(({ table, rows }) => ({
      table,
      rows: maxRows ?? rows * TIMES_PLANNED + ABOVE_PLANNED,
    })),
    lifts,
    plan,
    ...times,
  }
}

/** PostgreSQL counts days and months here too. */
async function readTimes(
  db: Parameters<ReturnType<typeof sql>['execute']>[0],
  planned: PlannedRule,
  { expires }: Terms,
): Promise<Times> {
  const { rows } = await sql<{ given: string; expires: string; day: string }>`
    with given as (
      select
        clock_timestamp() at time zone 'UTC' as at,
        cast(${printPeriod(expires)}::text as interval) as period
    )
    select
      to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as given,
      to_char(at + period, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as expires,
      to_char(
        ${planned.firstDayNotDue}::text::date + ((at + period)::date - at::date) + ${MONTH_ENDS}::int,
        'YYYY-MM-DD'
      ) as day
    from given`.execute(db)
  const [row] = rows
  if (row === undefined) throw new RangeError('PostgreSQL returned no time')
  return { givenAt: row.given, expiresAt: row.expires, lastFirstDay: row.day }
}

/**
 * Revokes the newest approval of a rule, named by the rule's id or by the approval's digest; the id
 * of a rule with phases stands for all of them.
 */
export async function revokeApproval(
  { db, signer, clock }: Pick<ApproveRequest, 'db' | 'signer' | 'clock'>,
  named: string,
): Promise<readonly { readonly rule: string; readonly approval: string }[]> {
  const inForce = [...(await newestApprovals(db)).values()].filter(({ revoked }) => !revoked)
  const ofRule = inForce.filter(({ given: { rule } }) => rule === named || isPhaseOf(rule, named))
  const found =
    ofRule.length > 0 ? ofRule : inForce.filter(({ given }) => isDigestOf(named, given.approval))
  if (found.length === 0 || (ofRule.length === 0 && found.length > 1)) {
    throw new RefusedError(
      found.length === 0
        ? `no approval in force is of rule ${named}, or begins with it`
        : `several approvals begin with ${named}`,
      { remedy: 'see: retentiond approve list' },
    )
  }
  return inTransaction(db, async (trx) => {
    for (const { given } of found) {
      const { rule, approval } = given
      await appendEntry(trx, signer, { type: 'approval', phase: 'revoked', rule, approval }, clock)
    }
    return found.map(({ given: { rule, approval } }) => ({ rule, approval }))
  })
}

/** An id that people write has no dot; that of a phase is the rule's and a dot. */
function isPhaseOf(rule: string, named: string): boolean {
  return rule.startsWith(`${named}.`)
}

/** As `approve list` prints it, or more of it. */
function isDigestOf(named: string, approval: string): boolean {
  return named.length >= 8 && approval.startsWith(named)
}

/** Journals that the version of the rule takes effect: what its batches rest on. */
export async function putInEffect(
  { db, set, signer, clock }: Pick<ApproveRequest, 'db' | 'set' | 'signer' | 'clock'>,
  fitted: FittedRule,
): Promise<PolicyReference> {
  const { id, digest } = fitted.rule
  const { seq } = await inTransaction(db, async (trx) =>
    appendEntry(trx, signer, policyDraft(fitted, set.digest), clock),
  )
  return { rule: id, sha256: digest, seq }
}

function policyDraft({ rule, masks, archive }: FittedRule, setDigest: string): EntryDraft {
  return {
    type: 'policy',
    rule: rule.id,
    sha256: rule.digest,
    set: setDigest,
    target: printTable(rule.table),
    count: rule.keep.count,
    unit: rule.keep.unit,
    action: rule.action.kind,
    // What is written is a literal of the policy, and stays there.
    masks: masks.map(({ column, written }) => `${column.name}:${written.kind}`),
    archives: (archive?.moves ?? []).map(({ from, to }) => {
      return { target: printTable(from), archive: printTable(to) }
    }),
  }
}
