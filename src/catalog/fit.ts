import { printTable, type TableName } from '../base/names.ts'
import type { Parsed, Problem } from '../base/problem.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import { archivesOf } from '../policy/archives.ts'
import {
  readingsOf,
  tablesRead,
  takesAway,
  tiesOf,
  type Along,
  type PolicySet,
  type Rule,
} from '../policy/policy.ts'
import type { Catalog, Table } from './catalog.ts'
import { tablesOf } from './chain.ts'
import { fitArchive, openArchives } from './fit-archive.ts'
import { findPlaced } from './fit-citus.ts'
import { companionsOf, type Companions } from './fit-companions.ts'
import { decidedBy, type Decided } from './fit-detach.ts'
import { reportUnknownEquality } from './fit-equality.ts'
import { fitHoldSources, holdsOf, holdTables } from './fit-holds.ts'
import { fitMasks, maskDigest } from './fit-masks.ts'
import { readersOf } from './fit-readers.ts'
import { fitReferences } from './fit-references.ts'
import { fitSetOff } from './fit-set-off.ts'
import { fitSoftDeleted } from './fit-soft-deleted.ts'
import { fitStart } from './fit-start.ts'
import { findColumn, findTable, fitKey, isGovernable, reportFor, type Report } from './fit-table.ts'
import { isTangled, type FittedRule, type StartedRule } from './fitted.ts'
import { grantFor, isMet, needsOf } from './needs.ts'

type UnreadRule = Omit<FittedRule, 'readers' | 'reaches' | 'held' | 'holding' | keyof Companions>

/**
 * Fits every rule of the set to the catalog, in the order of the set, or says everything that does
 * not fit. All or nothing: a rule that does not fit may be the one that keeps another's rows.
 */
export function fitPolicies(
  set: PolicySet,
  catalog: Catalog,
  pseudonyms: PseudonymKey | null = null,
): Parsed<readonly FittedRule[]> {
  const fitted = fitWithoutRights(set, catalog, pseudonyms)
  if (fitted.problems !== undefined) return fitted
  const problems = fitted.value.flatMap((rule) => [
    ...missingRights(rule, catalog),
    ...openArchives(rule.rule, rule.archive?.moves ?? [], catalog),
  ])
  return problems.length > 0 ? { problems: distinctProblems(problems) } : fitted
}

/** As `fitPolicies`, for `grants`, which asks what our role does not have yet. */
export function fitWithoutRights(
  set: PolicySet,
  catalog: Catalog,
  pseudonyms: PseudonymKey | null = null,
): Parsed<readonly FittedRule[]> {
  const problems: Problem[] = []
  const decided = decidedBy(set)
  const unread = set.rules.flatMap(
    (rule) => fitRule(rule, { catalog, pseudonyms, problems, decided }) ?? [],
  )
  const coverings = fitHoldSources(set, catalog, problems)
  if (problems.length > 0) return { problems: distinctProblems(problems) }
  const value = unread.map((rule) =>
    withReaders({ ...rule, ...holdsOf(rule, unread, coverings, catalog) }, unread),
  )
  const placed = findPlaced(value, catalog)
  return placed.length > 0 ? { problems: distinctProblems(placed) } : { value }
}

/** Phases of one rule have what does not fit in common. */
function distinctProblems(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()]
}

type Fitting = {
  readonly catalog: Catalog
  readonly pseudonyms: PseudonymKey | null
  readonly problems: Problem[]
  readonly decided: readonly Decided[]
}

function fitRule(rule: Rule, fitting: Fitting): UnreadRule | undefined {
  const { catalog, pseudonyms, problems, decided } = fitting
  const report = reportFor(rule, problems)
  // The rule that moves rows there says so.
  if (rule.archived !== null && !catalog.tables.has(printTable(rule.table))) return undefined
  const table = findTable(catalog, rule.table, ['table'], report)
  if (table === undefined || !isGovernable(table, rule, ['table'], report)) return undefined
  const before = problems.length
  const key = fitKey(table, ['table'], report)
  for (const column of rule.subject) findColumn(table, column, ['subject'], report)
  for (const { column, place } of readingsOf(rule.where, ['where'])) {
    findColumn(table, column, place, report)
  }
  fitSoftDeleted(rule, table, report)
  const start = fitStart({ rule, table, catalog, report })
  const masks = fitMasks(rule, table, pseudonyms, report)
  const references = fitReferences({ rule, table, catalog, report, decided })
  const triggers = fitSetOff({ rule, table, masks, ...references }, report)
  if (problems.length > before || key === undefined || start === undefined) return undefined
  reportUnknownEquality({ rule, table, key, start, ...references }, report)
  const fitted = { rule, table, key, start, masks, maskDigest: maskDigest(masks), ...references }
  reportReadingItself(fitted, report)
  if (problems.length > before) return undefined
  const archive = fitArchive({ fitted, catalog, report })
  if (problems.length > before || archive === undefined) return undefined
  return { ...fitted, triggers, archive }
}

/** Which of several records a row that goes along decides about could not be told. */
function reportReadingItself(
  fitted: StartedRule & Pick<FittedRule, 'children' | 'together'>,
  report: Report,
): void {
  if (!isTangled(fitted)) return
  const going = [fitted.table, ...fitted.children.map((child) => child.table)]
  const read = going.find((table) => readersOf(table, fitted, fitted).length > 0)
  if (read === undefined) return
  report(
    ['start'],
    'start_goes_along',
    `the period starts at rows of ${printTable(read)}, which may go along with other records of this rule`,
    'read the start from another table, or give the rows that go along a rule of their own',
  )
}

function withReaders(
  fitted: UnreadRule & Pick<FittedRule, 'held' | 'holding'>,
  all: readonly UnreadRule[],
): FittedRule {
  const going = [
    ...(takesAway(fitted.rule) ? [fitted.table] : []),
    ...fitted.children.map((child) => child.table),
  ]
  const readers = going.flatMap((table) =>
    all.flatMap((reader) => readersOf(table, reader, fitted)),
  )
  const { start } = fitted
  const companions = companionsOf(fitted, all)
  const holds = holdTables(fitted)
  const reaches = [
    fitted.table,
    ...fitted.children.map((child) => child.table),
    ...fitted.detached.map((each) => each.table),
    ...fitted.blockers.map((blocker) => blocker.table),
    ...tablesOf(start),
    ...readers.map(({ reader }) => reader.table),
    ...companions.closed,
    ...(fitted.archive?.moves ?? []).map(({ to }) => to),
    ...holds.reached,
  ]
  const loose = looseTables(fitted)
  const closed = [...new Set([...companions.closed, ...holds.closed, ...loose])]
  const refs = reaches.map(({ schema, name, only }) => ({ schema, name, only }))
  return { ...fitted, ...companions, closed, readers, reaches: distinctTables(refs) }
}

/** The tables in which no lock of a row keeps rows from appearing that refer to it. */
function looseTables(rule: Pick<UnreadRule, 'declared' | 'blockers'>): readonly Table[] {
  return [
    ...rule.declared.flatMap(({ key, table, as }) =>
      key.logical && as !== 'own_rule' ? [table] : [],
    ),
    ...rule.blockers.flatMap(({ key, table }) => (key.logical || key.partial ? [table] : [])),
  ]
}

function distinctTables<T extends TableName>(tables: readonly T[]): readonly T[] {
  return [...new Map(tables.map((table) => [printTable(table), table])).values()]
}

function missingRights(fitted: FittedRule, catalog: Catalog): readonly Problem[] {
  const { role } = catalog.database
  return needsOf(fitted, fitted.rule.mode === 'enforce')
    .filter((need) => !isMet(need))
    .map((need) =>
      fitted.rule.source.problem(['table'], {
        code: 'privilege_missing',
        message: `role ${role} may not ${need.right} ${need.columns.join(', ')}${need.columns.length > 0 ? ' of ' : ''}${printTable(need.table)}, ${need.why}`,
        remedy: grantFor(need, role),
      }),
    )
}

/** The tables that the rules name: what the catalog must be asked for. */
export function tablesNamed(set: PolicySet): readonly TableName[] {
  return distinctTables([
    ...set.holds.flatMap(({ table, covers }) => [table, ...covers.map((cover) => cover.table)]),
    ...set.rules.flatMap((rule) => [
      rule.table,
      ...tablesRead(rule),
      ...tiesOf(rule).map((tie) => tie.table),
    ]),
    ...archivesNamed(set).map(({ archive }) => archive),
  ])
}

/** The archives of the rules, each with the table whose rows it takes. */
export function archivesNamed(set: PolicySet): readonly Along[] {
  return archivesOf(set.rules)
}
