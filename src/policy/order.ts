import { printTable } from '../base/names.ts'
import type { Parsed, Problem } from '../base/problem.ts'
import { isSibling, takesAway, tablesAlong, tablesRead, tiesOf, type Rule } from './policy.ts'

/** Why one rule must act before another. */
type Before = { readonly earlier: Rule; readonly later: Rule; readonly because: string }

/**
 * Puts rules into the order of a run: those that read a table before those that purge or block its rows, and
 * children before a parent that waits for them. Otherwise a purged row would change what the others
 * decide. Phases of one rule share no record: of those whose time has come the latest acts. Rules that don't depend on each other stand by id. A cycle is a problem.
 */
export function orderRules(rules: readonly Rule[]): Parsed<readonly Rule[]> {
  const waiting = new Map(rules.toSorted(byId).map((rule) => [rule.id, rule]))
  const blockedBy = new Map<string, Set<string>>(rules.map(({ id }) => [id, new Set()]))
  const unblocks = new Map<string, string[]>()
  const edges = edgesOf(rules)
  for (const { earlier, later } of edges) {
    blockedBy.get(later.id)?.add(earlier.id)
    add(unblocks, earlier.id, later.id)
  }
  const ordered: Rule[] = []
  const problems: Problem[] = []
  while (waiting.size > 0) {
    const next = [...waiting.values()].find(({ id }) => blockedBy.get(id)?.size === 0)
    const cycle = next === undefined ? cycleIn(waiting, edges) : []
    if (next === undefined) problems.push(cycleProblem(cycle))
    // The rules of a cycle are taken out together, to find the next one.
    for (const rule of next === undefined ? cycle.map(({ later }) => later) : [next]) {
      ordered.push(rule)
      waiting.delete(rule.id)
      for (const id of unblocks.get(rule.id) ?? []) blockedBy.get(id)?.delete(rule.id)
    }
  }
  return problems.length > 0 ? { problems } : { value: ordered }
}

function byId(one: Rule, other: Rule): number {
  return one.id < other.id ? -1 : 1
}

function edgesOf(rules: readonly Rule[]): readonly Before[] {
  const byTable = new Map<string, Rule[]>()
  const readers = new Map<string, Rule[]>()
  for (const rule of rules) {
    add(byTable, printTable(rule.table), rule)
    for (const table of new Set(tablesRead(rule).map(printTable))) add(readers, table, rule)
  }
  return rules.flatMap((later) => {
    const emptied = tablesEmptied(later)
    const awaited = takesAway(later) ? tiesOf(later) : []
    return [
      ...emptied.flatMap((table) =>
        (readers.get(table) ?? []).map((earlier) => {
          return {
            earlier,
            later,
            because: `${earlier.id} reads ${table}, from which ${later.id} takes rows`,
          }
        }),
      ),
      ...awaited.flatMap(({ table, as }) =>
        (as === 'own_rule' ? (byTable.get(printTable(table)) ?? []) : []).map((earlier) => {
          const because = `${later.id} waits for rows of ${printTable(table)}, which ${earlier.id} governs`
          return { earlier, later, because }
        }),
      ),
    ].filter(({ earlier }) => !isSibling(earlier, later))
  })
}

/** The tables whose rows go when the rule acts; children go whatever becomes of their parent. */
function tablesEmptied(rule: Rule): readonly string[] {
  const own = takesAway(rule) ? [printTable(rule.table)] : []
  return [...own, ...tablesAlong(rule).map((table) => printTable(table))]
}

function add<T>(map: Map<string, T[]>, key: string, value: T): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}

/** Walks from rule to rule that must act before it, among those that can't act, until one comes again. */
function cycleIn(waiting: ReadonlyMap<string, Rule>, edges: readonly Before[]): readonly Before[] {
  const into = new Map<string, Before>()
  for (const edge of edges) {
    if (waiting.has(edge.earlier.id) && waiting.has(edge.later.id)) into.set(edge.later.id, edge)
  }
  const walked: Before[] = []
  const seen = new Set<string>()
  let at = [...waiting.keys()][0] ?? ''
  while (!seen.has(at)) {
    seen.add(at)
    const edge = into.get(at)
    if (edge === undefined) break
    walked.push(edge)
    at = edge.earlier.id
  }
  return walked.slice(walked.findIndex(({ later }) => later.id === at))
}

function cycleProblem(cycle: readonly Before[]): Problem {
  const names = cycle.map(({ later }) => later.id).toSorted()
  const first = cycle.map(({ later }) => later).toSorted(byId)[0]
  const because = cycle.map((edge) => edge.because).toSorted()
  const problem = {
    code: 'rules_wait_for_each_other',
    message: `no order of ${names.join(', ')} is safe: ${because.join('; ')}`,
    remedy: 'let one of them anonymise instead of purge, or read its start from another table',
  }
  return first?.source.problem([], problem) ?? { ...problem, at: names.join(', '), path: '' }
}
