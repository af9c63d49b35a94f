import { sql, type QueryExecutorProvider, type RawBuilder } from 'kysely'
import { invariant } from '../base/errors.ts'
import type { Period, Rule } from '../policy/policy.ts'
import type { FittedRule, Moment } from '../catalog/fitted.ts'

/** Where a plan stands: an instant of the database's clock, or a day somebody asks about. */
export type Cutoff =
  { readonly kind: 'instant'; readonly at: string } | { readonly kind: 'day'; readonly day: string }

/** The values between which a period start is plausible and past: `from <= start < before`. */
export type Range = { readonly from: string; readonly before: string }

/**
 * The law of time for one rule at one cutoff, worked out by PostgreSQL and then only compared with.
 *
 * The start day is the local day of the period start; the retention end is the start day plus the
 * period (the last day of the month if it has no such day); a record is due when today is after it
 * (the way of counting of Regulation (EEC, Euratom) 1182/71, article 3(1) to (3)). Days and whole
 * units are monotone, so that is the same as: the start day is before `firstDayNotDue`, the
 * smallest day whose retention end is today or later.
 */
export type Boundary = {
  /** Calendar days, YYYY-MM-DD, in the rule's zone. */
  readonly today: string
  readonly firstDayNotDue: string
  /** Of what started before it the rule should have acted already; null: it says no `within`. */
  readonly firstDayNotOverdue: string | null
  readonly date: Range
  readonly instant: Range
  /** For timestamps without time zone, by the zone of their wall clock. */
  readonly local: ReadonlyMap<string, Range>
  /** Of the other rules that decide about the same rows, by their ids. */
  readonly others: ReadonlyMap<string, Boundary>
}

/** The boundary of a rule that decides beside the one it was read for. */
export function boundaryOf(boundary: Boundary, { rule }: Pick<FittedRule, 'rule'>): Boundary {
  const other = boundary.others.get(rule.id)
  invariant(other !== undefined, `no boundary was read for rule ${rule.id}`)
  return { ...other, others: boundary.others }
}

type BoundaryRow = {
  readonly zone: string
  readonly today: string
  readonly first_day: string
  readonly first_day_not_overdue: string | null
  readonly plausible: string
  readonly instant_from: string
  readonly instant_before: string
  readonly local_from: string
  readonly local_before: string
}

/** Computes the boundary of a rule and of those that decide beside it. Reads no table. */
export async function readBoundary(
  db: QueryExecutorProvider,
  fitted: Pick<FittedRule, 'rule' | 'start' | 'rivals' | 'superseding'>,
  cutoff: Cutoff,
): Promise<Boundary> {
  const others = new Map<string, Boundary>()
  for (const other of [...fitted.rivals, ...fitted.superseding]) {
    others.set(other.rule.id, await readOne(db, other, cutoff))
  }
  return { ...(await readOne(db, fitted, cutoff)), others }
}

/** One statement, which reads no table. */
async function readOne(
  db: QueryExecutorProvider,
  fitted: Pick<FittedRule, 'rule' | 'start'>,
  cutoff: Cutoff,
): Promise<Boundary> {
  const { rule } = fitted
  const zones = [...new Set([rule.zone, ...momentsOf(fitted).flatMap((moment) => zoneOf(moment))])]
  const { rows } = await sql<BoundaryRow>`
    with
      given as (
        select
          ${todayAt(rule, cutoff)} as today,
          cast(${rule.plausibleFrom}::text as date) as plausible
      ),
      days as (
        select
          today,
          plausible,
          ${firstDayNotDue(sql`today`, rule.keep)} as first_day,
          ${firstDayNotOverdue(sql`today`, rule)} as not_overdue
        from given
      ),
      bounds as (
        select
          today,
          plausible,
          first_day,
          not_overdue,
          ${firstInstantOf(sql`first_day`, rule.zone)} as instant_before,
          ${firstInstantOf(sql`plausible`, rule.zone)} as instant_from
        from days
      )
    select
      zone,
      ${asDay(sql`today`)} as today,
      ${asDay(sql`first_day`)} as first_day,
      ${asDay(sql`not_overdue`)} as first_day_not_overdue,
      ${asDay(sql`plausible`)} as plausible,
      ${asClock(sql`instant_from at time zone 'UTC'`)} || 'Z' as instant_from,
      ${asClock(sql`instant_before at time zone 'UTC'`)} || 'Z' as instant_before,
      ${asClock(sql`case when zone = ${rule.zone}::text then plausible::timestamp else ${lateLocalFrom} end`)} as local_from,
      ${asClock(sql`case when zone = ${rule.zone}::text then first_day::timestamp else ${lateLocalBefore} end`)} as local_before
    from bounds
    cross join unnest(${zones}::text[]) as zone`.execute(db)
  return assembled(rows)
}

function assembled(rows: readonly BoundaryRow[]): Boundary {
  const [first] = rows
  if (first === undefined) throw new RangeError('PostgreSQL returned no boundary')
  return {
    today: first.today,
    firstDayNotDue: first.first_day,
    firstDayNotOverdue: first.first_day_not_overdue,
    date: { from: first.plausible, before: first.first_day },
    instant: { from: first.instant_from, before: first.instant_before },
    local: new Map(
      rows.map((row) => [row.zone, { from: row.local_from, before: row.local_before }]),
    ),
    others: new Map(),
  }
}

/** ISO 8601, which PostgreSQL reads alike in every session; how it prints is for sessions to set. */
function asDay(day: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`to_char(${day}, 'YYYY-MM-DD')`
}

function asClock(clock: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`to_char(${clock}, 'YYYY-MM-DD"T"HH24:MI:SS')`
}

function momentsOf({ start }: Pick<FittedRule, 'start'>): readonly Moment[] {
  if (start.kind === 'column') return [start.moment]
  const events = [...start.own, ...start.sources.map((source) => source.moment)]
  return start.none === null ? events : [...events, start.none]
}

function zoneOf(moment: Moment): readonly string[] {
  return moment.frame.kind === 'local' ? [moment.frame.zone] : []
}

function todayAt(rule: Rule, cutoff: Cutoff) {
  return cutoff.kind === 'day'
    ? sql`cast(${cutoff.day}::text as date)`
    : sql`(cast(${cutoff.at}::text as timestamptz) at time zone ${rule.zone}::text)::date`
}

/** The smallest day whose retention end is `today` or later: from it on nothing is due. */
export function firstDayNotDue(today: RawBuilder<unknown>, keep: Period): RawBuilder<unknown> {
  // Month ends move the answer by three days at most.
  return sql`(
    select min(day)
    from generate_series(-5, 5) as step
    cross join lateral (select (${today} - ${periodOf(keep)})::date + step as day) as candidate
    where (day + ${periodOf(keep)})::date >= ${today}
  )`
}

/** The smallest day from which the period and `within` after it end today or later. */
function firstDayNotOverdue(
  today: RawBuilder<unknown>,
  { keep, within }: Pick<Rule, 'keep' | 'within'>,
): RawBuilder<unknown> {
  if (within === null) return sql`null::date`
  // Two month ends, one after the other.
  return sql`(
    select min(day)
    from generate_series(-10, 10) as step
    cross join lateral (
      select ((${today} - ${periodOf(within)})::date - ${periodOf(keep)})::date + step as day
    ) as candidate
    where ${latestDay(sql`day`, { keep, within })} >= ${today}
  )`
}

/** The last day on which a record with this start day is in time. */
export function latestDay(
  day: RawBuilder<unknown>,
  { keep, within }: { readonly keep: Period; readonly within: Period },
): RawBuilder<unknown> {
  return sql`((${day} + ${periodOf(keep)})::date + ${periodOf(within)})::date`
}

export function periodOf(keep: Period): RawBuilder<unknown> {
  switch (keep.unit) {
    case 'day':
      return sql`make_interval(days => ${keep.count}::int)`
    case 'week':
      return sql`make_interval(weeks => ${keep.count}::int)`
    case 'month':
      return sql`make_interval(months => ${keep.count}::int)`
    case 'year':
      return sql`make_interval(years => ${keep.count}::int)`
    default:
      return keep.unit satisfies never
  }
}

/**
 * The least instant whose local day is `day` or later. Not `day::timestamp at time zone`: where
 * midnight comes twice (Azores, Havana, St John's) that is the second one, up to a day early for
 * what starts between the two. Searched by the minute, then by the second, since offsets before
 * standard time have seconds; no zone ever turned back across midnight for less than a minute.
 */
export function firstInstantOf(day: ReturnType<typeof sql>, zone: string) {
  return sql`(
    select min(second)
    from (
      select min(minute) as minute
      from generate_series(
        (${day}::timestamp at time zone 'UTC') - interval '26 hours',
        (${day}::timestamp at time zone 'UTC') + interval '26 hours',
        interval '1 minute'
      ) as minute
      where (minute at time zone ${zone}::text)::date >= ${day}
    ) as coarse
    cross join generate_series(
      coarse.minute - interval '59 seconds', coarse.minute, interval '1 second'
    ) as second
    where (second at time zone ${zone}::text)::date >= ${day}
  )`
}

/**
 * A wall clock in another zone than the rule's can mean two instants: in a repeated hour, and in one
 * that was skipped, which programs write that add hours to local times. The bound is the earliest
 * wall clock by which an instant from the boundary on can be meant, so that a row below it lies
 * before the boundary however it is read: late by as much as clocks are turned, never early. The
 * first line is what the clock shows from the boundary on; it may have been turned back since the
 * look a minute before, hence the minute taken off. The second is what it would show, had it not
 * been put forward a moment ago by more than the time since.
 */
const lateLocalBefore = sql`(
  select min(shown)
  from generate_series(0, 1560) as minute
  cross join lateral (values
    (
      (instant_before + minute * interval '1 minute') at time zone zone,
      least(minute, 1) * interval '-1 minute',
      true
    ),
    (
      (instant_before - minute * interval '1 minute') at time zone zone,
      minute * interval '1 minute',
      (instant_before at time zone zone)
        - ((instant_before - minute * interval '1 minute') at time zone zone)
        > (2 * minute - 1) * interval '1 minute'
    )
  ) as look (clock, ahead, counts)
  cross join lateral (select clock + ahead) as reading (shown)
  where counts
)`

/** The mirror image for the plausible side: a row from it on is plausible however it is read. */
const lateLocalFrom = sql`(
  select max(shown)
  from generate_series(0, 1560) as minute
  cross join lateral (values
    (
      (instant_from - minute * interval '1 minute') at time zone zone,
      least(minute, 1) * interval '1 minute',
      true
    ),
    (
      (instant_from + minute * interval '1 minute') at time zone zone,
      minute * interval '-1 minute',
      ((instant_from + minute * interval '1 minute') at time zone zone)
        - (instant_from at time zone zone)
        > (2 * minute - 1) * interval '1 minute'
    )
  ) as look (clock, ahead, counts)
  cross join lateral (select clock + ahead) as reading (shown)
  where counts
)`
