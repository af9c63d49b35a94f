import { sql } from 'kysely'
import type { Problem } from '../base/problem.ts'
import type { Db } from '../db/connect.ts'
import { saysRowRefused } from '../db/sqlstate.ts'
import type { FittedRule } from './fitted.ts'

/**
 * Asks PostgreSQL what it makes of the regular expressions of the rules, since nobody else knows
 * its dialect: each can be read, finds something, and does not find what is put in its place.
 */
export async function checkPatterns(
  db: Db,
  rules: readonly FittedRule[],
): Promise<readonly Problem[]> {
  const problems: Problem[] = []
  for (const { rule, masks } of rules) {
    for (const { column, written } of masks) {
      if (written.kind !== 'pattern') continue
      const fault = await faultOf(db, written)
      if (fault === null) continue
      const path = ['then', 'anonymise', column.name, 'pattern', 'find']
      problems.push(rule.source.problem(path, fault))
    }
  }
  return problems
}

type Pattern = { readonly find: string; readonly with: string }

async function faultOf(
  db: Db,
  { find, with: put }: Pattern,
): Promise<{ readonly code: string; readonly message: string; readonly remedy: string } | null> {
  const found = await sql<{ empty: boolean; itself: boolean }>`
    select
      ('' collate "default") ~ ${find}::text as empty,
      (${put}::text collate "default") ~ ${find}::text as itself`
    .execute(db)
    .catch((error: unknown) => {
      if (saysRowRefused(error)) return null
      throw error
    })
  const [row] = found?.rows ?? []
  if (row === undefined) {
    return {
      code: 'pattern_invalid',
      message: 'PostgreSQL cannot read this regular expression',
      remedy: 'try it in psql: select regexp_replace(…)',
    }
  }
  if (row.empty) {
    return {
      code: 'pattern_finds_nothing',
      message: 'this expression is found where there is nothing, so everywhere',
      remedy: 'use + instead of *, or anchor it',
    }
  }
  if (!row.itself) return null
  return {
    code: 'pattern_finds_itself',
    message: 'what is put in is found again: nobody could tell when the text is done',
    remedy: 'put in something else',
  }
}
