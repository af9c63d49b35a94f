/** Placing and lifting holds: each is one transaction with its entry in the journal. */
import { createHash } from 'node:crypto'
import { sql, type Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { RefusedError, RetentionError, UsageError } from '../base/errors.ts'
import { printTable } from '../base/names.ts'
import { didYouMean } from '../base/nearest.ts'
import type { FittedRule, Held } from '../catalog/fitted.ts'
import type { Db } from '../db/connect.ts'
import type { Key } from '../db/governed.ts'
import type { OwnTables } from '../db/schema.ts'
import { classify, saysRowRefused } from '../db/sqlstate.ts'
import { inTransaction } from '../db/transaction.ts'
import type { HoldDraft } from '../journal/entry.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry } from '../journal/store.ts'
import { writtenId } from '../policy/policy.ts'
import { beUnhurried, findKey, findSubject, insertHold, type Placed } from './store.ts'

export type HoldTools = { readonly db: Db; readonly signer: Signer; readonly clock: Clock }

/** What a person orders to keep. */
export type Scope =
  | { readonly kind: 'rule'; readonly rule: string }
  | { readonly kind: 'subject'; readonly value: string }
  | { readonly kind: 'row'; readonly table: string; readonly key: Key }

export type HoldOrder = {
  readonly caseReference: string
  readonly scope: Scope
  /** A day that reminds of the hold, YYYY-MM-DD; nothing ends by it. */
  readonly until: string | null
  /** The rules of the policies, which say what a subject is and which rows may be destroyed. */
  readonly rules: readonly FittedRule[]
}

/**
 * Places a hold, and returns its numbers: a subject that is spelt in several ways takes one for
 * each. A batch at work is waited for, and the next one sees the hold; what is gone by then is
 * refused, since nothing of it can be kept any more.
 */
export async function placeHold(tools: HoldTools, order: HoldOrder): Promise<readonly number[]> {
  requireCase(order.caseReference)
  try {
    return await inTransaction(tools.db, async (trx) => {
      await beUnhurried(trx)
      const ids: number[] = []
      for (const placed of await resolve(trx, order)) {
        const id = await insertHold(trx, placed)
        await journal(trx, tools, 'placed', { ...placed, id })
        ids.push(id)
      }
      return ids
    })
  } catch (error) {
    if (error instanceof RetentionError) throw error
    if (!saysRowRefused(error)) throw classify(error)
    // Its message would quote the key.
    throw new UsageError('the key is not of the type of its columns, or the case is malformed', {
      remedy: 'give a value for each column of the key, in its order',
    })
  }
}

/** Lifts the open hold with this number, or every open hold of this case; returns their numbers. */
export async function liftHolds(tools: HoldTools, which: string): Promise<readonly number[]> {
  const byNumber = /^\d+$/.test(which)
  return inTransaction(tools.db, async (trx) => {
    await beUnhurried(trx)
    const rows = await trx
      .updateTable('retentiond.hold')
      .set({ lifted_at: sql<string>`clock_timestamp()` })
      .where('lifted_at', 'is', null)
      .where((that) =>
        byNumber
          ? that('id', '=', sql<bigint>`${which}::numeric`)
          : that('case_reference', '=', which),
      )
      .returning(['id', 'case_reference', 'scope', 'rule', 'table_name'])
      .execute()
    const lifted = rows.toSorted((one, other) => Number(one.id - other.id))
    for (const row of lifted) {
      const placed = { caseReference: row.case_reference, scope: row.scope, rule: row.rule }
      await journal(trx, tools, 'lifted', { ...placed, table: row.table_name, id: Number(row.id) })
    }
    if (lifted.length > 0) return lifted.map(({ id }) => Number(id))
    throw new RefusedError(
      byNumber ? `no open hold has the number ${which}` : 'no open hold belongs to this case',
      { remedy: 'see: retentiond hold list' },
    )
  }).catch((error: unknown) => {
    throw error instanceof RetentionError ? error : classify(error)
  })
}

/**
 * Says in the journal that a hold is over that a restore took away: a person placed it again, or has
 * no more need of it. Until then no rule acts that it may touch.
 */
export async function liftMissing(
  { db, signer, clock }: HoldTools,
  missing: readonly Pick<HoldDraft, 'hold' | 'caseDigest' | 'scope' | 'target'>[],
  which: string,
): Promise<readonly number[]> {
  const found = missing.filter(({ hold }) => String(hold) === which)
  if (found.length === 0) {
    throw new RefusedError(`no hold ${which} is in the journal and missing in the database`, {
      remedy: 'see: retentiond plan',
    })
  }
  await inTransaction(db, async (trx) => {
    for (const { hold, caseDigest, scope, target } of found) {
      const lifted = { type: 'hold', phase: 'lifted', hold, caseDigest, scope, target } as const
      await appendEntry(trx, signer, lifted, clock)
    }
  })
  return found.map(({ hold }) => hold)
}

/** The holds to insert, in the spelling of the database; refuses what is not there. */
async function resolve(
  trx: Transaction<OwnTables>,
  { caseReference, scope, until, rules }: HoldOrder,
): Promise<readonly Placed[]> {
  const base = { caseReference, until, rule: null, table: null, subject: null, key: null }
  switch (scope.kind) {
    case 'rule': {
      requireRule(scope.rule, rules)
      return [{ ...base, scope: 'rule', rule: scope.rule }]
    }
    case 'row': {
      const held = findHeld(scope.table, rules)
      requireParts(held, scope.key)
      const key = await findAnywhere(trx, held, scope.key, rules)
      if (key === null) throw gone(`${scope.table} has no row with this key`)
      const columns = held.key.map(({ name }) => name)
      return [
        { ...base, scope: 'row', table: scope.table, row: { oid: held.table.oid, columns, key } },
      ]
    }
    case 'subject': {
      const spellings = await spellingsOf(trx, scope.value, rules)
      if (spellings.length === 0) throw gone('no record is about this subject')
      return spellings.map((subject) => ({ ...base, scope: 'subject', subject }))
    }
    default:
      return scope satisfies never
  }
}

function gone(message: string): RefusedError {
  return new RefusedError(`${message}: there is nothing to hold`, {
    remedy: 'check the spelling; what is gone was journalled, see: retentiond journal list',
  })
}

function requireRule(id: string, rules: readonly FittedRule[]): void {
  const known = rules.flatMap(({ rule }) => [rule.id, writtenId(rule)])
  if (known.includes(id)) return
  throw new RefusedError(`there is no rule ${id}`, {
    remedy: `the rules are ${[...new Set(known)].toSorted().join(', ')}`,
  })
}

function findHeld(name: string, rules: readonly FittedRule[]): Held {
  const helds = rules.flatMap(({ held }) => held)
  const held = helds.find(({ table }) => printTable(table) === name)
  if (held !== undefined) return held
  const known = [...new Set(helds.map(({ table }) => printTable(table)))]
  throw new RefusedError(`no rule reaches ${name}: nothing there is ever destroyed`, {
    remedy: didYouMean(name, known) ?? `rules reach ${known.toSorted().join(', ')}`,
  })
}

/** A row that was moved to an archive is still the row that a person names by its table. */
async function findAnywhere(
  trx: Transaction<OwnTables>,
  held: Held,
  values: Key,
  rules: readonly FittedRule[],
): Promise<Key | null> {
  const archives = rules
    .flatMap((rule) => rule.held)
    .filter(({ formerly }) => formerly?.oid === held.table.oid)
  for (const place of [held, ...archives]) {
    const key = await findKey(trx, place, values)
    if (key !== null) return key
  }
  return null
}

function requireParts({ table, key }: Held, values: Key): void {
  if (key.length === values.length) return
  throw new UsageError(
    `a row of ${printTable(table)} is named by ${key.length} values, not ${values.length}`,
    { remedy: `give ${key.map(({ name }) => name).join(', ')}, in this order` },
  )
}

/** How the columns that say whom a record is about spell the subject; empty if none has it. */
async function spellingsOf(
  trx: Transaction<OwnTables>,
  value: string,
  rules: readonly FittedRule[],
): Promise<readonly string[]> {
  const places = rules.flatMap(({ rule, table }) =>
    rule.subject.map((column) => ({ table, column })),
  )
  if (places.length === 0) {
    throw new RefusedError('no rule says whom its records are about', {
      remedy: 'write subject: column in the rules, or place the hold by --table and --key',
    })
  }
  const spellings = new Set<string>()
  for (const place of places) {
    for (const spelling of await findSubject(trx, place, value)) spellings.add(spelling)
  }
  return [...spellings].toSorted()
}

/** A case of digits only would be taken for the number of a hold. */
function requireCase(reference: string): void {
  if (/[^0-9]/.test(reference) && reference.length <= 200 && !/\p{Cc}/u.test(reference)) return
  throw new UsageError('a case reference is text of at most 200 letters, not digits alone', {
    remedy: 'write for example CASE-42',
  })
}

type Journalled = Pick<Placed, 'caseReference' | 'scope' | 'rule' | 'table'> & {
  readonly id: number
}

async function journal(
  trx: Transaction<OwnTables>,
  { signer, clock }: HoldTools,
  phase: HoldDraft['phase'],
  { id, caseReference, scope, rule, table }: Journalled,
): Promise<void> {
  const caseDigest = digestOfCase(caseReference)
  const draft: HoldDraft = {
    type: 'hold',
    phase,
    hold: id,
    caseDigest,
    scope,
    target: rule ?? table,
  }
  await appendEntry(trx, signer, draft, clock)
}

/** What the journal says of a case: its reference may be the name of a person. */
export function digestOfCase(reference: string): string {
  return createHash('sha256').update(`retentiond case\n${reference}`).digest('hex')
}
