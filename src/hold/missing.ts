/**
 * Holds that the journal says were placed and nobody lifted, and that are not there: a restore took
 * them away, or somebody did. What they kept must not go before a person has said so.
 */
import type { Kysely } from 'kysely'
import type { FittedRule } from '../catalog/fitted.ts'
import { printTable } from '../base/names.ts'
import type { OwnTables } from '../db/schema.ts'
import type { HoldDraft } from '../journal/entry.ts'
import { readHoldEntries } from '../journal/read.ts'
import { writtenId } from '../policy/policy.ts'
import { digestOfCase } from './hold.ts'

export type MissingHold = Pick<HoldDraft, 'hold' | 'caseDigest' | 'scope' | 'target'>

/** Compares the holds of the journal with those of the database; a number may be given out twice. */
export async function missingHolds(db: Kysely<OwnTables>): Promise<readonly MissingHold[]> {
  const open = new Map<string, MissingHold>()
  for await (const { phase, hold, caseDigest, scope, target } of readHoldEntries(db)) {
    const place = `${hold} ${caseDigest}`
    if (phase === 'placed') open.set(place, { hold, caseDigest, scope, target })
    else open.delete(place)
  }
  if (open.size === 0) return []
  const there = await db.selectFrom('retentiond.hold').select(['id', 'case_reference']).execute()
  for (const { id, case_reference: reference } of there) {
    open.delete(`${id} ${digestOfCase(reference)}`)
  }
  return [...open.values()]
}

/** The first of them that may have kept a record of the rule; a subject may be anywhere. */
export function missingFor(
  { rule, held, table }: FittedRule,
  missing: readonly MissingHold[],
): MissingHold | null {
  const tables = new Set(
    [table, ...held.flatMap((each) => [each.table, each.formerly ?? each.table])].map(printTable),
  )
  const touches = ({ scope, target }: MissingHold): boolean =>
    scope === 'subject' ||
    (scope === 'rule' ? target === rule.id || target === writtenId(rule) : tables.has(target ?? ''))
  return missing.find(touches) ?? null
}

/** `hold 7 on rule visit`. */
export function printMissing({ hold, scope, target }: MissingHold): string {
  return `hold ${hold} on ${scope === 'subject' ? 'a subject' : `${scope === 'row' ? 'a row of' : 'rule'} ${target ?? ''}`}`
}

/** What to do about them; empty if there are none. */
export function renderMissing(missing: readonly MissingHold[]): string {
  if (missing.length === 0) return ''
  const lines = missing.map((each) => `  ${printMissing(each)}\n`)
  return `holds that the journal knows and the database does not:\n${lines.join('')}no rule that one of them touches acts: place each again by its case, then retentiond hold lift NUMBER --missing\n`
}
