/** One world tried: what the program plans, explains and does beside what the oracle says of it. */
import { sql } from 'kysely'
import { expect } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { PolicyError } from '../../src/base/errors.ts'
import { silentLog } from '../../src/base/log.ts'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import { keyAlias, keyEquals, keySet } from '../../src/db/governed.ts'
import { enforcePlan } from '../../src/enforce/run.ts'
import { readBoundary, type Cutoff } from '../../src/plan/boundary.ts'
import { judged, type Verdict } from '../../src/plan/census.ts'
import { viewOf } from '../../src/plan/due.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import { makePlan, type Stand } from '../../src/plan/make.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { prepare, valueOf } from '../../src/plan/prepare.ts'
import { parsePolicies } from '../../src/policy/parse.ts'
import type { Bed } from '../support/bed.ts'
import { localDay, type Day } from './calendar.ts'
import { verdictNow } from './judge.ts'
import { policyOf } from './policy.ts'
import { foretell, type Future } from './run.ts'
import { keyColumns, keyOf, leftOf, ordersOf, schemaOf, selectLeft } from './sql.ts'
import { along, begin, rowsOf, type State } from './state.ts'
import type { World, WorldRule } from './world.ts'

/** What the trials met, so that a test can tell that they looked everywhere. */
export type Met = {
  readonly verdicts: Map<Verdict, number>
  cases: number
  rows: number
  acted: number
  /** Rules that a floor kept from acting. */
  floored: number
}

let trials = 0

/** Fails if plan, explanation or run say anything else than the oracle about any row. */
export async function tryWorld(bed: Bed, world: World, met: Met): Promise<void> {
  trials += 1
  const schema = `w${trials}`
  const ruleId = (id: string): string => `${id}-${schema}`
  try {
    await bed.run(schemaOf(world, schema))
    await bed.run(`grant usage on schema ${schema} to ${bed.roles.daemon};
      grant all on all tables in schema ${schema} to ${bed.roles.daemon}`)
    if (world.orders.length > 0) await bed.run(ordersOf(world, schema, ruleId))
    await compare({ bed, world, schema, ruleId, met })
  } catch (error) {
    throw retold(error, [
      schemaOf(world, schema),
      ordersOf(world, schema, ruleId),
      policyOf(world, schema, ruleId),
    ])
  } finally {
    await bed.run('update retentiond.hold set lifted_at = now() where lifted_at is null')
    await bed.run(`drop schema if exists ${schema} cascade`)
  }
}

/** What went wrong, with all that it takes to see it again: SQL and policy. */
function retold(error: unknown, world: readonly string[]): Error {
  const problems = error instanceof PolicyError ? error.problems : []
  const said = error instanceof Error ? error.message : String(error)
  const compared = error instanceof Error && 'actual' in error && 'expected' in error
  const sides = compared
    ? [`program: ${JSON.stringify(error.actual)}`, `oracle:  ${JSON.stringify(error.expected)}`]
    : []
  const told = problems.map(({ code, message }) => `${code}: ${message}`)
  return new Error([said, ...sides, ...told, ...world].join('\n'), { cause: error })
}

type Trial = {
  readonly bed: Bed
  readonly world: World
  readonly schema: string
  readonly ruleId: (id: string) => string
  readonly met: Met
}

async function compare(trial: Trial): Promise<void> {
  const { bed, world, schema, ruleId, met } = trial
  const { db } = bed.connection
  const text = policyOf(world, schema, ruleId)
  const set = valueOf(parsePolicies([{ file: `${schema}.yaml`, text }]))
  const { catalog, rules } = await prepare(db, set)
  const planAt = async (stand: Stand): Promise<Plan> =>
    makePlan(db, { policyDigest: set.digest, catalog, rules, stand, approved: null })

  const now = begin(world)
  const plan = await planAt({ kind: 'now' })
  const today = localDay(Date.parse(plan.createdAt) / 1000, world.zone)
  const future = foretell(world, now, today)
  await compareExplanations(trial, rules, { now, today, at: plan.createdAt })
  expect(planned(plan)).toEqual(foretold(trial, future))

  const result = await enforcePlan({
    db,
    clock: systemClock,
    log: silentLog,
    signer: bed.signer,
    set,
    catalog,
    rules,
    plan,
    trigger: 'manual',
    approval: plan.digest,
    acceptClock: false,
    connections: 1,
    holder: 'oracle',
    signal: new AbortController().signal,
  })
  const acts = future.rules.filter((each) => each.acts > 0 || each.along.size > 0)
  expect({
    error: result.error,
    rules: result.rules.map(({ rule, rows, left, error }) => ({ rule, rows, left, error })),
  }).toEqual({
    error: null,
    rules: acts.flatMap(({ rule, acts: rows }) =>
      rows > 0 ? [{ rule: ruleId(rule.id), rows, left: 0, error: null }] : [],
    ),
  })
  await compareRows(trial, future.after)
  const then = foretell(world, future.after, today)
  expect(planned(await planAt({ kind: 'now' }))).toEqual(foretold(trial, then))

  for (const each of [future, then]) tally(met, each)
  met.cases += 1
  met.rows += world.rows.flat().length
  met.floored += future.rules.filter(({ refused }) => refused === 'below_floor').length
  met.acted += future.rules.reduce((sum, { acts: rows }) => sum + rows, 0)
}

function tally({ verdicts: met }: Met, { rules }: Future): void {
  for (const { verdicts } of rules) {
    for (const verdict of verdicts.values()) met.set(verdict, (met.get(verdict) ?? 0) + 1)
  }
}

/** What a plan says, in the order of its rules. */
function planned({ rules }: Plan): readonly unknown[] {
  return rules.map(({ rule, counts, children, refusal }) => ({
    rule,
    counts: withoutZeros(counts),
    along: withoutZeros(Object.fromEntries(children.map(({ table, rows }) => [table, rows]))),
    refusal: refusal?.code ?? null,
  }))
}

function foretold({ schema, ruleId }: Trial, { rules }: Future): readonly unknown[] {
  return rules.map(({ rule, verdicts, along: went, refused }) => {
    const counts: Partial<Record<Verdict, number>> = {}
    for (const verdict of verdicts.values()) counts[verdict] = (counts[verdict] ?? 0) + 1
    return {
      rule: ruleId(rule.id),
      counts,
      along: Object.fromEntries([...went].map(([table, rows]) => [`${schema}.t${table}`, rows])),
      refusal: refused,
    }
  })
}

function withoutZeros(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

type Moment = { readonly now: State; readonly today: Day; readonly at: string }

/** The verdict of each rule on each of its rows, and the whole explanation of a few rows. */
async function compareExplanations(
  trial: Trial,
  rules: readonly FittedRule[],
  moment: Moment,
): Promise<void> {
  const { world, ruleId } = trial
  for (const rule of world.rules) {
    const fitted = rules.find((each) => each.rule.id === ruleId(rule.id))
    if (fitted === undefined) throw new Error(`no rule ${rule.id} was fitted`)
    const said = await explainedVerdicts(trial, fitted, rule, moment.at)
    expect(said).toEqual(expectedVerdicts(trial, rule, moment))
  }
  // A whole explanation takes many statements, so one row of each world must do.
  const places = world.rows.flatMap((rows, table) => rows.map(({ id }) => ({ table, id })))
  const place = places[trials % Math.max(1, places.length)]
  if (place !== undefined) await explainOne(trial, rules, moment, place)
}

function expectedVerdicts({ world, ruleId }: Trial, rule: WorldRule, { now, today }: Moment) {
  const table = world.tables[rule.table]
  if (table === undefined) throw new Error('no table')
  const told = rowsOf(now, rule.table).map((row) => {
    const verdict = verdictNow({ world, state: now, today, rule, row })
    return `${ruleId(rule.id)} ${keyOf(table, row.id).join(' ')}: ${verdict}`
  })
  return told.toSorted()
}

async function explainedVerdicts(
  { bed, world }: Trial,
  fitted: FittedRule,
  rule: WorldRule,
  at: string,
): Promise<readonly string[]> {
  const table = world.tables[rule.table]
  const ids = world.rows[rule.table] ?? []
  if (table === undefined || ids.length === 0) return []
  const { db } = bed.connection
  const cutoff: Cutoff = { kind: 'instant', at }
  const view = viewOf(fitted, await readBoundary(db, fitted, cutoff))
  const keys = ids.map(({ id }) => keyOf(table, id))
  const key = sql.join(
    keyColumns(table).map((_, part) => sql`${sql.id('given', keyAlias(part))}::text`),
    sql` || ' ' || `,
  )
  const { rows } = await sql<{ key: string; verdict: Verdict }>`
    select ${key} as key, verdict
    from ${keySet(fitted.key, keys)} as given
    cross join lateral ${judged(view, 'single rows', keyEquals(fitted.key, 'row', 'given'))} as judged`.execute(
    db,
  )
  return rows.map((row) => `${fitted.rule.id} ${row.key}: ${row.verdict}`).toSorted()
}

async function explainOne(
  { bed, world, schema, ruleId }: Trial,
  rules: readonly FittedRule[],
  { now, today, at }: Moment,
  place: { readonly table: number; readonly id: number },
): Promise<void> {
  const table = world.tables[place.table]
  const row = now[place.table]?.get(place.id)
  const inCatalog = rules
    .flatMap((rule) => [{ table: rule.table, key: rule.key }, ...rule.children])
    .find((each) => each.table.schema === schema && each.table.name === `t${place.table}`)
  if (table === undefined || row === undefined || inCatalog === undefined) return
  const explanation = await explainRecord(bed.connection.db, {
    rules,
    table: inCatalog.table,
    key: inCatalog.key,
    values: keyOf(table, place.id),
    at,
  })
  const expected = world.rules.flatMap((rule) =>
    rowsOf(now, rule.table)
      .filter((root) => root === row || along(world, now, rule, root).includes(row))
      .map(
        (root) =>
          `${ruleId(rule.id)}: ${verdictNow({ world, state: now, today, rule, row: root })}`,
      ),
  )
  expect(explanation.rules.map(({ rule, verdict }) => `${rule}: ${verdict}`).toSorted()).toEqual(
    expected.toSorted(),
  )
}

async function compareRows({ bed, world, schema }: Trial, after: State): Promise<void> {
  const rows = await bed.rows<{ table: number; left: string }>(selectLeft(world, schema))
  const found = world.tables.map((_, at) =>
    rows
      .filter(({ table }) => table === at)
      .map(({ left }) => left)
      .toSorted(),
  )
  expect(found).toEqual(world.tables.map((_, at) => leftOf(world, rowsOf(after, at), at)))
}
