/**
 * Rules on rows that a rule has moved to its archive. What is out of the application's reach is not
 * out of a policy's: later phases of the rule, and other rules on its table, go on there.
 */
import { printTable, sameTable, type TableName } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import { ruleDigest } from './digest.ts'
import type { Action, Along, EventSource, HoldSource, Rule } from './policy.ts'
import { isSibling, tiesOf, writtenId } from './policy.ts'

type Block = Extract<Action, { kind: 'block' }>

/** The rules, and beside each whose rows may stand in an archive the same rule on that. */
export function withArchives(rules: readonly Rule[]): readonly Rule[] {
  const archived = rules.flatMap((blocking) =>
    blocking.action.kind === 'block'
      ? rules
          .filter((rule) => sameTable(rule.table, blocking.table) && goesOn(rule, blocking))
          .flatMap((rule) => inArchive(rule, blocking))
      : [],
  )
  return [...rules, ...archived]
}

/** Earlier phases had their time before; the latest acts alone. */
function goesOn(rule: Rule, blocking: Rule): boolean {
  if (rule.action.kind === 'block') return false
  return !isSibling(rule, blocking) || (rule.phase?.number ?? 0) > (blocking.phase?.number ?? 0)
}

/** The rule as it reads where `blocking` has moved the rows. */
export function inArchive(rule: Rule, blocking: Rule): readonly Rule[] {
  if (blocking.action.kind !== 'block') return []
  const { archive } = blocking.action
  const moved = {
    ...rule,
    id: `${rule.id}.archive`,
    archived: { of: rule.table, rule: writtenId(rule) },
    table: archive,
    start: startInArchive(rule, blocking.action),
    ...tiesInArchive(rule, blocking.action),
    inheritance: null,
    triggers: [],
  }
  return [{ ...moved, digest: ruleDigest(moved) }]
}

/** What went along goes along there too; nothing else refers to an archive. */
function tiesInArchive(
  { table, references, logical }: Rule,
  { archive, along }: Block,
): Pick<Rule, 'references' | 'logical'> {
  const archives = [{ table, archive }, ...along]
  const archiveOf = (name: TableName): TableName | undefined =>
    archives.find((each) => sameTable(each.table, name))?.archive
  return {
    references: references.flatMap((each) => {
      const there = each.as === 'with_parent' ? archiveOf(each.table) : undefined
      return there === undefined ? [] : [{ ...each, table: there }]
    }),
    logical: logical.flatMap((each) => {
      const there = each.as === 'with_parent' ? archiveOf(each.table) : undefined
      const to = archiveOf(each.to)
      return there === undefined || to === undefined ? [] : [{ ...each, table: there, to }]
    }),
  }
}

/**
 * What went along says when the period starts, and so does what came to the record since, in the
 * table that the application has: neither outvotes the other. No foreign key of the archive lets a
 * row of `via` be locked in its stead.
 */
function startInArchive({ start, table }: Rule, block: Block): Rule['start'] {
  if (start.kind === 'column') return start
  const archives = new Map(
    [{ table, archive: block.archive }, ...block.along].map((each) => [
      printTable(each.table),
      each.archive,
    ]),
  )
  const archiveOf = (name: TableName): TableName => archives.get(printTable(name)) ?? name
  const sources = start.sources.flatMap((source): readonly EventSource[] => {
    const there = { ...source, via: null }
    const tables = [source.table, ...source.hops.map((hop) => hop.table)]
    if (!tables.some((each) => archives.has(printTable(each)))) return [there]
    const hops = source.hops.map((hop) => ({ ...hop, table: archiveOf(hop.table) }))
    return [there, { ...there, table: archiveOf(source.table), hops }]
  })
  return { ...start, sources }
}

/** Every table that loses rows to an archive, and that archive. */
export function archivesOf(rules: readonly Rule[]): readonly Along[] {
  return rules.flatMap(({ table, action }): readonly Along[] =>
    action.kind === 'block' ? [{ table, archive: action.archive }, ...action.along] : [],
  )
}

/** Holds of a table are on its rows wherever they stand. */
export function holdsInArchives(
  holds: readonly HoldSource[],
  rules: readonly Rule[],
): readonly HoldSource[] {
  const governed = rules.flatMap((rule) => [rule.table, ...tiesOf(rule).map((tie) => tie.table)])
  const archives = archivesOf(rules).filter(({ archive }) =>
    governed.some((table) => sameTable(table, archive)),
  )
  if (archives.length === 0) return holds
  return holds.map((hold) => ({
    ...hold,
    covers: hold.covers.flatMap((cover) => [
      cover,
      ...archives
        .filter(({ table, archive }) => {
          const isNamed = hold.covers.some((each) => sameTable(each.table, archive))
          return sameTable(table, cover.table) && !isNamed
        })
        .map(({ archive }) => ({ ...cover, table: archive })),
    ]),
  }))
}

/** Finds archives that are missing, shared, or governed by a rule that people wrote. */
export function archiveProblems(rules: readonly Rule[]): readonly Problem[] {
  const seen = new Map<string, Rule>()
  return rules.flatMap((rule) => {
    const { action } = rule
    if (action.kind !== 'block') return []
    const given = [
      { table: rule.table, archive: action.archive, path: ['then', 'block', 'archive'] },
      ...action.along.map((each) => {
        return { ...each, path: ['then', 'block', 'along', printTable(each.table)] }
      }),
    ]
    return [
      ...alongProblems(rule, action),
      ...given.flatMap((each) => shared(rule, each, rules, seen)),
    ]
  })
}

function alongProblems(rule: Rule, { along }: Block): readonly Problem[] {
  const going = tiesOf(rule).filter(({ as }) => as === 'with_parent')
  const lost = going.filter(({ table }) => !along.some((each) => sameTable(each.table, table)))
  const idle = along.filter(({ table }) => !going.some((each) => sameTable(each.table, table)))
  return [
    ...lost.map(({ table }) =>
      rule.source.problem(['then', 'block'], {
        code: 'along_missing',
        message: `rows of ${printTable(table)} go along, and nothing says where to`,
        remedy: `add under along: \`${printTable(table)}: schema.table\`, an archive of its own`,
      }),
    ),
    ...idle.map(({ table }) =>
      rule.source.problem(['then', 'block', 'along', printTable(table)], {
        code: 'along_unused',
        message: `rows of ${printTable(table)} do not go along`,
        remedy: 'remove it, or write with_parent under references',
      }),
    ),
  ]
}

function shared(
  rule: Rule,
  { archive, path }: { readonly archive: TableName; readonly path: readonly string[] },
  rules: readonly Rule[],
  seen: Map<string, Rule>,
): readonly Problem[] {
  const name = printTable(archive)
  const problem = (code: string, message: string, remedy: string): readonly Problem[] => [
    rule.source.problem(path, { code, message, remedy }),
  ]
  const other = seen.get(name)
  seen.set(name, other ?? rule)
  if (other !== undefined) {
    return problem('archive_shared', `${name} is an archive already`, 'give each table its own')
  }
  const owner = rules.find(
    (each) =>
      each.archived === null &&
      (sameTable(each.table, archive) || tiesOf(each).some((tie) => sameTable(tie.table, archive))),
  )
  if (owner === undefined) return []
  const message = `rule ${owner.id} governs ${name}: what stands there is the archive's`
  return problem('archive_governed', message, 'write what becomes of blocked rows as phases')
}
