/** Holds among the rules of a set: which sources reach a rule, and what they read must stay as it is. */
import { printTable, sameTable, type TableName } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { ruleDigest } from './digest.ts'
import { columnsRead, tiesOf, type HoldSource, type Rule } from './policy.ts'

/** Gives each rule the sources that may hold a row of it, and the digest that covers them. */
export function withHolds(rules: readonly Rule[], sources: readonly HoldSource[]): readonly Rule[] {
  if (sources.length === 0) return rules
  return rules.map((rule) => {
    const asked = new Set(tablesAsked(rule, rules).map((table) => printTable(table)))
    const holds = sources.filter(({ covers }) =>
      covers.some(({ table }) => asked.has(printTable(table))),
    )
    if (holds.length === 0) return rule
    const reached = { ...rule, holds }
    return { ...reached, digest: ruleDigest(reached) }
  })
}

/**
 * The tables of which a held row keeps a row of the rule: its own, those that go along, and above
 * each the tables to which it refers by a reference that any rule declares.
 */
export function tablesAsked(rule: Rule, rules: readonly Rule[]): readonly TableName[] {
  const asked: TableName[] = [...goingTables(rule)]
  // `asked` grows while it is walked.
  for (const table of asked) {
    for (const above of tablesAbove(table, rules)) {
      if (!asked.some((known) => sameTable(known, above))) asked.push(above)
    }
  }
  return asked
}

/** The tables to which some rule says that `table` refers. */
function tablesAbove(table: TableName, rules: readonly Rule[]): readonly TableName[] {
  return rules
    .filter((rule) => tiesOf(rule).some((tie) => sameTable(tie.table, table)))
    .flatMap((rule) => goingTables(rule).filter((going) => !sameTable(going, table)))
}

/** The governed table, and those whose rows change with its rows. */
function goingTables(rule: Rule): readonly TableName[] {
  const along = tiesOf(rule).filter(({ as }) => as === 'with_parent' || as === 'detach')
  return [rule.table, ...along.map(({ table }) => table)]
}

/** Finds masks of what a hold is recognised by: a masked row would be let go. */
export function maskedHolds(
  rules: readonly Rule[],
  sources: readonly HoldSource[],
): readonly Problem[] {
  const read = [...sources.flatMap(readBySource), ...rules.flatMap(readAsSubject)]
  return rules.flatMap((rule) => {
    if (rule.action.kind !== 'anonymise') return []
    return rule.action.masks.flatMap(({ column, strategy }): readonly Problem[] => {
      const found = read.find((each) => each.column === column && sameTable(each.table, rule.table))
      if (found === undefined || strategy.kind === 'keep') return []
      const message = `${column} is ${found.role}: masking it would let go what is held`
      const remedy = 'write { keep: "why" } for it'
      const path = ['then', 'anonymise', column]
      return [rule.source.problem(path, { code: 'mask_decides', message, remedy })]
    })
  })
}

type Read = { readonly table: TableName; readonly column: string; readonly role: string }

function readBySource(source: HoldSource): readonly Read[] {
  const role = `read by the hold source ${printTable(source.table)}`
  const links = source.covers.flatMap((cover) =>
    cover.links.flatMap(({ source: column, own }): readonly Read[] => [
      { table: source.table, column, role },
      ...(own === null ? [] : [{ table: cover.table, column: own, role }]),
    ]),
  )
  const tested = columnsRead(source.while).map((column) => ({ table: source.table, column, role }))
  return [...links, ...tested]
}

function readAsSubject({ id, table, subject }: Rule): readonly Read[] {
  return subject.map((column) => ({ table, column, role: `the subject of rule ${id}` }))
}

/** Finds sources that hold rows of tables about which no rule says anything. */
export function idleCovers(
  rules: readonly Rule[],
  sources: readonly HoldSource[],
): readonly Problem[] {
  const spoken = rules.flatMap((rule) => [rule.table, ...tiesOf(rule).map(({ table }) => table)])
  return sources.flatMap((source) =>
    source.covers
      .filter(({ table }) => !spoken.some((known) => sameTable(known, table)))
      .map(({ table }) => {
        const name = printTable(table)
        const message = `no rule speaks of ${name}: nothing there is ever destroyed`
        return source.source.problem(['covers', name], {
          code: 'hold_covers_nothing',
          message,
          remedy: 'remove it, or name the table that a rule governs',
        })
      }),
  )
}
