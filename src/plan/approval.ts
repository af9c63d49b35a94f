/**
 * What a person allowed one version of one rule to do, as a value, and whether it covers a rule as it
 * is now. The reasons for these bounds are in docs/decisions/0010-approvals-are-bounded.md.
 */
import type { MissingHold } from '../hold/missing.ts'
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { canonical } from '../base/canonical.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { ruleBasis } from '../policy/digest.ts'
import { comparePeriods } from '../policy/period.ts'
import type { Period } from '../policy/policy.ts'
import { guards, guardsOf, isAsStrict, period, type Guards } from './guards.ts'

/** A period of a rule, and the digest of all else that decides what it destroys. */
type Version = { readonly rule: string; readonly basis: string; readonly keep: Period }

export type Approval = Version & {
  /** Digest of the rule. */
  readonly ruleDigest: string
  readonly guards: Guards
  /** Rules that keep rows of the table beside this one: without them more would be due. */
  readonly beside: readonly Version[]
  /** Fingerprint of the tables that the rule reaches. */
  readonly fingerprint: string
  /** Most rows of each table that one run may act on. */
  readonly tables: readonly { readonly table: string; readonly rows: number }[]
  /** The latest first day not yet due at which a run may stand. */
  readonly lastFirstDay: string
  /** Rows that may go in all although a limit is tripped; null: limits hold as they are. */
  readonly lifts: number | null
  /** Digest of the plan that was read. */
  readonly plan: string
  /** Instants of the database's clock; ISO 8601, UTC, microseconds. */
  readonly givenAt: string
  readonly expiresAt: string
}

/** What the journal says about one rule. */
export type Standing = {
  /** The newest one; null if there was none, or its body is not what the journal names. */
  readonly approval: Approval | null
  readonly revoked: boolean
  /** Rows acted on since that approval, children counted. */
  readonly rowsSince: number
  /** Rows acted on by each of the latest runs of the rule, newest first, children counted. */
  readonly latest: readonly number[]
}

/** What runs may rest on, by rule. */
export type Approved = {
  readonly standings: ReadonlyMap<string, Standing>
  /** False for a plan that is made to be approved: what is missing is said, and refuses nothing. */
  readonly required: boolean
  /** Holds that the journal knows and the database does not. */
  readonly missing?: readonly MissingHold[]
}

export const APPROVAL_STATES = [
  'given',
  'new',
  'changed',
  'shortened',
  'kept_less',
  'tables_changed',
  'revoked',
  'expired',
] as const

export type ApprovalState = (typeof APPROVAL_STATES)[number]

const digest = z.string().regex(/^[0-9a-f]{64}$/)
const instant = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
const version = { rule: z.string(), basis: digest, keep: period }

const body = z.strictObject({
  v: z.literal(1),
  ...version,
  ruleDigest: digest,
  guards,
  beside: z.array(z.strictObject(version)).readonly(),
  fingerprint: digest,
  tables: z.array(z.strictObject({ table: z.string(), rows: z.int().min(0) })).readonly(),
  lastFirstDay: z.string().regex(/^\d{4}-\d\d-\d\d$/),
  lifts: z.int().min(0).nullable(),
  plan: digest,
  givenAt: instant,
  expiresAt: instant,
})

/** The bytes of an approval: what is stored, and what the journal names by its digest. */
export function encodeApproval(approval: Approval): Buffer {
  return Buffer.from(canonical({ v: 1, ...approval }))
}

/** Reads a stored body; null if it is not one, or not the one that `sha256` names. */
export function parseApproval(bytes: Uint8Array, sha256: string): Approval | null {
  if (approvalDigest(bytes) !== sha256) return null
  const parsed = body.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  if (!parsed.success) return null
  const { v: _version, ...approval } = parsed.data
  return approval
}

/** SHA-256 of the bytes, hexadecimal. */
export function approvalDigest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What an approval of the rule has to speak of. */
export function versionOf({ rule }: Pick<FittedRule, 'rule'>): Version {
  return { rule: rule.id, basis: ruleBasis(rule), keep: rule.keep }
}

/** The rules that keep rows of the table beside this one, as an approval names them. */
export function besideOf({ rivals }: Pick<FittedRule, 'rivals'>): readonly Version[] {
  return rivals.map(versionOf).toSorted((one, other) => (one.rule < other.rule ? -1 : 1))
}

/** How the newest approval of a rule stands to the rule as it is. */
export function stateOf(
  fitted: Pick<FittedRule, 'rule' | 'rivals'>,
  fingerprint: string,
  standing: Pick<Standing, 'approval' | 'revoked'> | undefined,
  now: string,
): ApprovalState {
  if (standing?.revoked === true) return 'revoked'
  const approval = standing?.approval ?? null
  if (approval === null) return 'new'
  const own = versionOf(fitted)
  if (own.basis !== approval.basis || !isGuardedAsMuch(fitted, approval)) return 'changed'
  if (!keepsAsLong(own.keep, approval.keep)) return 'shortened'
  const besides = besideOf(fitted)
  const lessKept = approval.beside.some(
    (then) =>
      !besides.some(
        ({ rule, basis, keep: period }) =>
          rule === then.rule && basis === then.basis && keepsAsLong(period, then.keep),
      ),
  )
  if (lessKept) return 'kept_less'
  if (fingerprint !== approval.fingerprint) return 'tables_changed'
  // Instants of one form compare as text does.
  return now < approval.expiresAt ? 'given' : 'expired'
}

/** What a person let pass a limit was read under that limit: it fits no other one. */
function isGuardedAsMuch({ rule }: Pick<FittedRule, 'rule'>, approval: Approval): boolean {
  const now = guardsOf(rule)
  const isTheSame = canonical(now) === canonical(approval.guards)
  return isTheSame || (approval.lifts === null && isAsStrict(now, approval.guards))
}

/** A person who reads plans should have seen one before an approval ends. */
const SOON_MS = 30 * 86_400_000

/** True of an approval that ends within a month. */
export function endsSoon({ expiresAt }: Approval, now: string): boolean {
  return Date.parse(expiresAt) - Date.parse(now) < SOON_MS
}

/** What an approval is wanting in, for people. */
export const WHY_NOT_APPROVED: Readonly<Record<Exclude<ApprovalState, 'given'>, string>> = {
  new: 'nobody approved it',
  changed: 'it was changed since it was approved',
  shortened: 'its period is shorter than the one approved',
  kept_less: 'a rule that kept rows beside it when it was approved is gone, changed or shorter',
  tables_changed: 'its tables are no longer what they were when it was approved',
  revoked: 'its approval was revoked',
  expired: 'its approval has ended',
}

/** True if the period is surely no shorter, from whatever day it starts. */
export function keepsAsLong(period: Period, than: Period): boolean {
  const compared = comparePeriods(period, than)
  return compared !== undefined && compared >= 0
}
