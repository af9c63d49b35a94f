/** Reads what runs may rest on: the approvals that the journal names, with their bodies. */
import type { Db } from '../db/connect.ts'
import { missingHolds } from '../hold/missing.ts'
import { latestRuns, newestApprovals, rowsSince } from '../journal/history.ts'
import { parseApproval, type Approval, type Approved, type Standing } from '../plan/approval.ts'
import { readInstant } from '../plan/make.ts'

/** For a run: a rule without an approval is refused. */
export async function approvals(db: Db): Promise<Approved> {
  return {
    standings: await readStandings(db),
    required: true,
    missing: await missingHolds(db),
  }
}

/** For a plan that is made to be approved. */
export async function approvalsToRead(db: Db): Promise<Approved> {
  return {
    standings: await readStandings(db),
    required: false,
    missing: await missingHolds(db),
  }
}

/** The newest approval of one rule, as it stands now. */
export async function readGiven(
  db: Db,
  rule: string,
): Promise<Pick<Standing, 'approval' | 'revoked'>> {
  const newest = (await newestApprovals(db)).get(rule)
  if (newest === undefined) return { approval: null, revoked: false }
  const approval = await readApproval(db, rule, newest.given.approval)
  return { approval, revoked: newest.revoked }
}

/** Every rule that the journal knows an approval or a run of. */
export async function readStandings(db: Db): Promise<ReadonlyMap<string, Standing>> {
  const newest = await newestApprovals(db)
  const latest = await latestRuns(db)
  const standings = new Map<string, Standing>()
  for (const rule of new Set([...newest.keys(), ...latest.keys()])) {
    const entry = newest.get(rule)
    const approval = entry === undefined ? null : await readApproval(db, rule, entry.given.approval)
    const lifts = approval !== null && approval.lifts !== null
    standings.set(rule, {
      approval,
      revoked: entry?.revoked ?? false,
      // Read only where it counts: it may be a long way back.
      rowsSince: lifts && entry !== undefined ? await rowsSince(db, rule, entry.given.seq) : 0,
      latest: latest.get(rule) ?? [],
    })
  }
  return standings
}

/** The body that an entry names; null if there is none, or it is another. */
export async function readApproval(db: Db, rule: string, sha256: string): Promise<Approval | null> {
  const row = await db
    .selectFrom('retentiond.approval')
    .select('body')
    .where('sha256', '=', Buffer.from(sha256, 'hex'))
    .executeTakeFirst()
  const approval = row === undefined ? null : parseApproval(row.body, sha256)
  return approval?.rule === rule ? approval : null
}

export type ListedApproval = {
  readonly rule: string
  /** Digest. */
  readonly approval: string
  /** `unproven`: its body is missing, or not what the journal names. */
  readonly state: 'in force' | 'expired' | 'revoked' | 'unproven'
  readonly body: Approval | null
}

/** The newest approval of each rule, and how it stands by the database's clock. */
export async function listApprovals(db: Db): Promise<readonly ListedApproval[]> {
  const now = await readInstant(db)
  const listed: ListedApproval[] = []
  for (const [rule, { given, revoked }] of await newestApprovals(db)) {
    const body = await readApproval(db, rule, given.approval)
    const inForce = body !== null && now < body.expiresAt ? 'in force' : 'expired'
    const state = revoked ? 'revoked' : body === null ? 'unproven' : inForce
    listed.push({ rule, approval: given.approval, state, body })
  }
  return listed.toSorted((one, other) => (one.rule < other.rule ? -1 : 1))
}
