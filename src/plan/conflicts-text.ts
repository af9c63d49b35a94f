/** The conflict matrix for a terminal. */
import { MEETINGS, type Conflict, type Meeting } from './conflicts.ts'
import { layOut } from './table.ts'
import { wrap } from './wrap.ts'

const HEAD = ['TABLE', 'RULE', 'MEETS', 'AS', 'ROWS', 'DUE', 'WINS'] as const

/** What each way of meeting is called in the table, and what it means for the rows. */
const MEANING: Readonly<Record<Meeting, readonly [label: string, meaning: string]>> = {
  hold: ['hold', 'a hold that a person placed wins over every rule, until it is lifted'],
  hold_source: [
    'hold source',
    'a row of a source of holds wins over every rule, as long as it matches',
  ],
  other_rule: ['other rule', 'a row that two rules speak of stays until both have ended'],
  acts_instead: [
    'acts instead',
    'of the actions whose time has come the latest phase, or a purge, acts',
  ],
  refers: ['refers', 'a row to which rows refer that stay waits until they are gone'],
  still_decides: ['decides', 'a row that another rule reads waits until that rule has acted'],
  still_holds: ['still holds', 'a row of a source of holds waits until what it holds is gone'],
  goes_along: ['goes along', 'these rows have no rule of their own, and go with their parent'],
  loses_link: ['loses link', 'these rows stay, and their link becomes null'],
}

/** Renders who meets whom, how many rows they have in common, and who wins. */
export function renderConflicts(conflicts: readonly Conflict[]): string {
  const met = conflicts.filter(({ rows }) => rows > 0)
  const unmet = conflicts.length - met.length
  const none = `${unmet} more ${unmet === 1 ? 'pair has' : 'pairs have'} no row in common.`
  if (met.length === 0)
    return `Conflicts: no two rules, holds or references have a row in common.\n`
  const rows = met.map((each) => [
    each.table,
    each.rule,
    each.meets,
    MEANING[each.meeting][0],
    String(each.rows),
    String(each.due),
    each.wins,
  ])
  const kinds = MEETINGS.filter((kind) => met.some(({ meeting }) => meeting === kind))
  return `${[
    'Conflicts: ROWS both have a say on, of these DUE by time under RULE and decided by WINS',
    ...layOut([[...HEAD], ...rows], new Set([4, 5])),
    ...kinds.flatMap((kind) => wrap(`${MEANING[kind][0]}: ${MEANING[kind][1]}`, '  ')),
    ...(unmet === 0 ? [] : [none]),
  ].join('\n')}\n`
}
