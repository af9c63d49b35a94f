/** Ourselves, as a run would be: a plan, then its enforcement with a journal, by the program's role. */
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { tablesNamed, fitWithoutRights } from '../src/catalog/fit.ts'
import { inspectCatalog } from '../src/catalog/inspect.ts'
import { grantsOf, renderGrants } from '../src/catalog/needs.ts'
import { connect } from '../src/db/connect.ts'
import { DEFAULT_ROLES } from '../src/db/roles.ts'
import { enforcePlan } from '../src/enforce/run.ts'
import { EvidenceKey } from '../src/journal/evidence.ts'
import { makePlan } from '../src/plan/make.ts'
import { prepare, valueOf } from '../src/plan/prepare.ts'
import { parsePolicies } from '../src/policy/parse.ts'
import type { PolicySet } from '../src/policy/policy.ts'
import { cpuMs } from './cpu.ts'
import type { Place } from './place.ts'

const RULES = {
  purge: `
  - { id: connection, table: site.connection, start: seen_at, keep: 12 months, then: purge }`,
  anonymise: `
  - id: connection
    table: site.connection
    start: seen_at
    keep: 12 months
    then: { anonymise: { address: { constant: 0.0.0.0 }, agent: { constant: '' }, account_id: { keep: a number }, seen_at: { keep: it says when } } }`,
  tickets: `
  - id: ticket
    table: crm.ticket
    start: { latest: crm.contract.ended_on, via: crm.customer, by: { customer_id: customer_id } }
    keep: 12 months
    then: purge
  - id: contract
    table: crm.contract
    start: ended_on
    keep: 12 months
    then: purge
    mode: report`,
}

export type RuleName = keyof typeof RULES

export type Ours = {
  readonly rule: RuleName
  readonly connections: number
  /** Rows in one batch; what the program does by itself, if undefined. */
  readonly batchRows?: number
  /** What the journal says of the rows; their number, if undefined. */
  readonly evidence?: 'count' | 'rows'
  /** As a policy says it: at work all the time, if undefined. */
  readonly pace?: string
}

/** The journal of the place knows the key by its id, so that it is one and the same. */
export const BENCH_SECRET = Buffer.alloc(32, 7)

const FULL_PACE = '{ share: 100, pause_when: { dead_percent: 100 } }'

export type Enforced = { readonly rows: number; readonly ms: number; readonly cpuMs: number }

export function policyOf({ rule, batchRows, evidence = 'count', pace = FULL_PACE }: Ours): string {
  const batch = batchRows === undefined ? '' : `, batch: { rows: ${batchRows} }`
  return `
version: 1
policy: bench
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 100000000, max_percent: 100 }${batch}, evidence: ${evidence}, pace: ${pace} }
rules:${RULES[rule]}
`
}

export function policySetOf(ours: Ours): PolicySet {
  return valueOf(parsePolicies([{ file: 'policy.yaml', text: policyOf(ours) }]))
}

/** Grants the program's role what the rule needs on the tables that are there now. */
export async function grantFor(place: Place, set: PolicySet): Promise<void> {
  await using owner = connect(place.applicationUrl)
  const catalog = await inspectCatalog(owner.db, tablesNamed(set))
  const fitted = valueOf(fitWithoutRights(set, catalog, null))
  await place.application.query(
    renderGrants(
      grantsOf(fitted, () => true),
      DEFAULT_ROLES.daemon,
    ),
  )
}

/** Plans, and measures the enforcement alone: a census is read-only and made once a day. */
export async function enforce(place: Place, ours: Ours): Promise<Enforced> {
  const set = policySetOf(ours)
  await grantFor(place, set)
  await using connection = connect(place.programUrl, { max: ours.connections })
  const { db } = connection
  const { catalog, rules } = await prepare(db, set)
  const plan = await makePlan(db, {
    policyDigest: set.digest,
    catalog,
    rules,
    stand: { kind: 'now' },
    approved: null,
  })
  const began = cpuMs(place.pid)
  const started = performance.now()
  const result = await enforcePlan({
    db,
    clock: systemClock,
    log: silentLog,
    signer: place.signer,
    set,
    catalog,
    rules,
    plan,
    trigger: 'manual',
    approval: plan.digest,
    acceptClock: false,
    connections: ours.connections,
    holder: 'bench',
    signal: new AbortController().signal,
    evidenceKey: new EvidenceKey('bench', BENCH_SECRET),
  })
  const ms = performance.now() - started
  if (result.outcome !== 'done') {
    throw new Error(`the run ended as ${result.outcome}`, {
      cause: result.error ?? result.rules.find(({ error }) => error !== null)?.error,
    })
  }
  return {
    rows: result.rules.reduce((sum, { rows }) => sum + rows, 0),
    ms,
    cpuMs: cpuMs(place.pid) - began,
  }
}
