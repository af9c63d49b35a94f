/**
 * Who else has a say on the rows of each rule, how many rows they have in common, and who wins. The
 * order is fixed (a hold, then the longest period, then what still decides or refers): no priorities.
 */
import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { printTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import { conjunction, disjunction, tableId } from '../db/governed.ts'
import { readBoundary, type Cutoff } from './boundary.ts'
import { isDue, isInClass, viewOf, type View } from './due.ts'
import { namingFilter } from './filter-fails.ts'
import { countReferring } from './going.ts'
import { heldBy } from './hindrance.ts'
import { hinders, hindrancesOf } from './named-hindrances.ts'

export const MEETINGS = [
  'hold',
  'hold_source',
  'other_rule',
  'acts_instead',
  'refers',
  'still_decides',
  'still_holds',
  'goes_along',
  'loses_link',
] as const

/** How the two meet. */
export type Meeting = (typeof MEETINGS)[number]

export type Conflict = {
  /** The table on which they meet: the rule's, or that of the rows that go along. */
  readonly table: string
  readonly rule: string
  readonly meeting: Meeting
  /** A rule or a table; `holds placed` for what persons ordered. */
  readonly meets: string
  /** Rows of the rule's record class that both have a say on. */
  readonly rows: number
  /** Of these, how many are due under the rule by time and go the winner's way. */
  readonly due: number
  /** Rules, a table or `holds placed`. */
  readonly wins: string
}

/** Counts, for every rule, the rows that somebody else has a say on. Reads only. */
export async function findConflicts(
  db: QueryExecutorProvider,
  rules: readonly FittedRule[],
  cutoff: Cutoff,
): Promise<readonly Conflict[]> {
  const found: Conflict[] = []
  for (const fitted of rules) {
    const view = viewOf(fitted, await readBoundary(db, fitted, cutoff))
    found.push(...(await namingFilter(fitted, async () => conflictsOf(db, view, rules))))
  }
  return found
}

async function conflictsOf(
  db: QueryExecutorProvider,
  view: View,
  rules: readonly FittedRule[],
): Promise<readonly Conflict[]> {
  const found: Conflict[] = []
  for (const { common, winning, ...pair } of pairsOf(view, rules)) {
    found.push({ ...pair, ...(await countPair(db, view, { common, winning })) })
  }
  return [...found, ...(await alongWith(db, view))]
}

type Pair = Omit<Conflict, 'rows' | 'due'> & {
  /** True of a row that both have a say on. */
  readonly common: RawBuilder<unknown>
  /** True of such a row that goes the winner's way, if it is due. */
  readonly winning: RawBuilder<unknown>
}

function pairsOf(view: View, rules: readonly FittedRule[]): readonly Pair[] {
  return [...holdPairs(view), ...rulePairs(view), ...hindrancePairs(view, rules)]
}

function holdPairs(view: View): readonly Pair[] {
  const grounds = heldBy(view)
  const sources = new Set(grounds.map(({ source }) => source))
  return [...sources].map((source) => {
    const held = disjunction(
      grounds.filter((ground) => ground.source === source).map(({ condition }) => condition()),
    )
    const name = source ?? 'holds placed'
    const meeting = source === null ? 'hold' : 'hold_source'
    return { ...placeOf(view), meeting, meets: name, wins: name, common: held, winning: held }
  })
}

function rulePairs(view: View): readonly Pair[] {
  const { fitted } = view
  const { keepers, superseding } = hindrancesOf(view)
  const speaksOf = (id: string) => {
    const other = [...fitted.rivals, ...fitted.superseding].find(({ rule }) => rule.id === id)
    return other === undefined ? sql`false` : sql`${isInClass({ ...view, fitted: other })} is true`
  }
  const pair = (meeting: Meeting, { name, condition }: (typeof keepers)[number]): Pair => ({
    ...placeOf(view),
    meeting,
    meets: name,
    wins: name,
    common: speaksOf(name),
    winning: condition,
  })
  return [
    ...keepers.map((each) => pair('other_rule', each)),
    ...superseding.map((each) => pair('acts_instead', each)),
  ]
}

function hindrancePairs(view: View, rules: readonly FittedRule[]): readonly Pair[] {
  const { blockers, readers, holding } = hindrancesOf(view)
  const pair = (meeting: Meeting, each: (typeof blockers)[number], wins: string): Pair => {
    const hindered = hinders(view, each)
    const { name } = each
    return { ...placeOf(view), meeting, meets: name, wins, common: hindered, winning: hindered }
  }
  const governing = (table: string): string => {
    const ids = rules.filter((each) => printTable(each.table) === table).map(({ rule }) => rule.id)
    return ids.length === 0 ? table : ids.join(', ')
  }
  return [
    ...blockers.map((each) => pair('refers', each, governing(each.name))),
    ...readers.map((each) => pair('still_decides', each, each.name)),
    ...holding.map((each) => pair('still_holds', each, each.name)),
  ]
}

function placeOf({ fitted }: View): Pick<Conflict, 'table' | 'rule'> {
  return { table: printTable(fitted.table), rule: fitted.rule.id }
}

type Counts = Pick<Conflict, 'rows' | 'due'>

async function countPair(
  db: QueryExecutorProvider,
  view: View,
  { common, winning }: Pick<Pair, 'common' | 'winning'>,
): Promise<Counts> {
  const due = conjunction([isDue(view), winning])
  const { rows } = await sql<Record<keyof Counts, string>>`
    select count(*)::text as rows, count(*) filter (where ${due})::text as due
    from ${tableId(view.fitted.table)} as row
    where ${conjunction([isInClass(view), common])}`.execute(db)
  return { rows: Number(rows[0]?.rows ?? 0), due: Number(rows[0]?.due ?? 0) }
}

/** Rows of other tables that have no say: the rule takes them along, or their link to its rows. */
async function alongWith(db: QueryExecutorProvider, view: View): Promise<readonly Conflict[]> {
  const { rule, table, children, detached } = view.fitted
  const found: Conflict[] = []
  for (const child of [...children, ...detached]) {
    const count = async (matching: RawBuilder<unknown>): Promise<number> => {
      const { rows } = await countReferring(view, child, matching).execute(db)
      return Number(rows[0]?.rows ?? 0)
    }
    found.push({
      table: printTable(child.table),
      rule: rule.id,
      meeting: children.includes(child) ? 'goes_along' : 'loses_link',
      meets: printTable(table),
      rows: await count(isInClass(view)),
      due: await count(isDue(view)),
      wins: rule.id,
    })
  }
  return found
}
