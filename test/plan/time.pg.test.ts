import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FittedStart, Frame } from '../../src/catalog/fitted.ts'
import { connect, type Connection, type Db } from '../../src/db/connect.ts'
import { firstDayNotDue, readBoundary } from '../../src/plan/boundary.ts'
import { isPast } from '../../src/plan/moment.ts'
import type { Rule } from '../../src/policy/policy.ts'
import { ruleWith } from '../policy/documents.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'
import * as oracle from '../support/time-oracle.ts'
import { DAY, HOUR, type Micros, type Period, type Wall } from '../support/time-oracle.ts'

const ZONES = [
  'Europe/Paris',
  'Atlantic/Azores',
  'America/Havana',
  'America/Santiago',
  'Africa/Cairo',
  'Africa/Casablanca',
  'America/St_Johns',
  'Pacific/Apia',
  'Asia/Kathmandu',
  'UTC',
]

const PERIODS: readonly Period[] = [
  { count: 1, unit: 'day' },
  { count: 1, unit: 'week' },
  { count: 1, unit: 'month' },
  { count: 6, unit: 'month' },
  { count: 12, unit: 'month' },
  { count: 1, unit: 'year' },
  { count: 5, unit: 'year' },
  { count: 10, unit: 'year' },
]

/** Node and PostgreSQL bring time zone data of their own; from here to there they must be one. */
const [FIRST_YEAR, LAST_YEAR] = [1990, 2023]

const QUARTER = HOUR / 4n
const LEAP_AND_ENDS = [
  '2000-02-29',
  '2004-02-28',
  '2004-02-29',
  '2005-03-01',
  '2012-02-29',
  '2013-02-28',
  '2009-01-31',
  '2010-04-30',
  '2010-12-31',
  '2011-01-01',
  '2011-12-30',
]

/** One law: a rule's zone and period, asked at an instant. */
type Question = {
  readonly zone: string
  readonly period: Period
  readonly cutoff: Micros
  /** First plausible day. */
  readonly from: string
}

let database: TestDatabase
let connection: Connection
let db: Db

// Nothing is written: one database for all.
beforeAll(async () => {
  database = await openTestDatabase()
  connection = connect(database.superuserUrl)
  db = connection.db
})

afterAll(async () => {
  await connection[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

test.for(ZONES)('PostgreSQL and the oracle set the clocks of %s alike', async (zone) => {
  const turned = oracle.transitions(zone, FIRST_YEAR - 12, LAST_YEAR + 1)
  const instants = turned.flatMap((at) => [at - 1n, at, at + HOUR])
  const { rows } = await sql<{ wall: string }>`
    select to_char(at::timestamptz at time zone ${zone}::text, 'YYYY-MM-DD"T"HH24:MI:SS.US') as wall
    from unnest(${instants.map((at) => `${oracle.printMicros(at)}Z`)}::text[])
      with ordinality as given (at, position)
    order by position`.execute(db)

  expect(rows.map(({ wall }) => wall)).toEqual(
    instants.map((at) => oracle.printMicros(oracle.wallOf(at, zone))),
  )
})

test.for(ZONES)(
  'in %s an instant is due when the day after its retention end begins',
  async (zone) => {
    const wrong: string[] = []

    for (const question of questionsIn(zone)) {
      const today = oracle.localDay(question.cutoff, zone)
      const starts = instantsAround(oracle.firstDayNotDue(today, question.period), zone)
      const past = await askInstants(question, starts)
      for (const [position, start] of starts.entries()) {
        const due = oracle.isDueOn(today, oracle.localDay(start, zone), question.period)
        // The one difference allowed: kept until the next day, never due a day early.
        const agrees =
          past[position] === due || (due && oracle.isRepeatedBeforeMidnight(start, zone))
        if (!agrees) wrong.push(describe(question, oracle.printMicros(start)))
      }
    }

    expect(wrong).toEqual([])
  },
)

test.for(ZONES)(
  'in %s a calendar day and a local time of the zone itself are due exactly by the law',
  async (zone) => {
    const wrong: string[] = []

    for (const question of questionsIn(zone)) {
      const today = oracle.localDay(question.cutoff, zone)
      const first = oracle.firstDayNotDue(today, question.period)
      const days = Array.from({ length: 81 }, (_, step) => oracle.addDays(first, step - 40))
      const walls = days.flatMap((day) => edgesOf(oracle.instant(`${day}T00:00:00Z`)))
      const pastDays = await ask(question, { kind: 'date' }, days)
      const local: Frame = { kind: 'local', zone }
      const pastWalls = await ask(question, local, walls.map(oracle.printMicros))
      for (const [position, day] of days.entries()) {
        const due = oracle.isDueOn(today, day, question.period)
        if (pastDays[position] !== due) wrong.push(describe(question, day))
      }
      for (const [position, wall] of walls.entries()) {
        const due = oracle.isDueOn(today, oracle.dayOfWall(wall), question.period)
        if (pastWalls[position] !== due) wrong.push(describe(question, oracle.printMicros(wall)))
      }
    }

    expect(wrong).toEqual([])
  },
)

const PAIRS = [
  ['Europe/Paris', 'Atlantic/Azores'],
  ['Atlantic/Azores', 'Europe/Paris'],
  ['Atlantic/Azores', 'Africa/Casablanca'],
  ['America/Havana', 'America/St_Johns'],
  ['America/St_Johns', 'America/Havana'],
  ['UTC', 'Europe/Paris'],
  ['Europe/Paris', 'Pacific/Apia'],
  ['Pacific/Apia', 'Africa/Cairo'],
  ['Africa/Cairo', 'America/Havana'],
] as const

test.for(PAIRS)(
  'days of %s, local times of %s: never early however the clock is read, and late by no more than clocks are turned',
  async ([zone, columnZone]) => {
    const wrong: string[] = []

    const questions = [...questionsIn(zone), ...questionsAtTurnsOf(columnZone, zone)]

    for (const question of everyNth(questions, 30)) {
      const today = oracle.localDay(question.cutoff, zone)
      const walls = wallsAround(oracle.firstDayNotDue(today, question.period), zone, columnZone)
      const frame: Frame = { kind: 'local', zone: columnZone }
      const past = await ask(question, frame, walls.map(oracle.printMicros))
      for (const [position, wall] of walls.entries()) {
        const meant = oracle.readings(wall, columnZone)
        const isDue = (at: Micros) =>
          oracle.isDueOn(today, oracle.localDay(at, zone), question.period)
        const isSurelyDue = () =>
          slackAt(wall, columnZone).every((late) => meant.every((at) => isDue(at + late))) &&
          meant.every((at) => oracle.wallOf(at, columnZone) === wall) &&
          !meant.some((at) => oracle.isRepeatedBeforeMidnight(at + HOUR, zone))
        const agrees = past[position] === true ? meant.every(isDue) : !isSurelyDue()
        if (!agrees) wrong.push(describe(question, oracle.printMicros(wall)))
      }
    }

    expect(wrong).toEqual([])
  },
)

test.for(PAIRS)(
  'days of %s, local times of %s: due only if plausible however the clock is read',
  async ([zone, columnZone]) => {
    const wrong: string[] = []
    const cutoff = oracle.instant('2023-06-01T12:00:00Z')

    for (const day of turnsOf(columnZone, zone)) {
      const question: Question = { zone, period: { count: 1, unit: 'day' }, cutoff, from: day }
      const first = oracle.firstInstantOf(day, zone)
      const walls = wallsAround(day, zone, columnZone)
      const frame: Frame = { kind: 'local', zone: columnZone }
      const past = await ask(question, frame, walls.map(oracle.printMicros))
      for (const [position, wall] of walls.entries()) {
        const meant = oracle.readings(wall, columnZone)
        const late = slackAt(wall, columnZone).at(-1) ?? HOUR
        const agrees =
          past[position] === true
            ? meant.every((at) => at >= first)
            : meant.some((at) => at < first + late)
        if (!agrees) wrong.push(describe(question, oracle.printMicros(wall)))
      }
    }

    expect(wrong).toEqual([])
  },
)

test.for(PERIODS)(
  'the first day not due of $count $unit is that of the calendar on every day of four years',
  async (period) => {
    const { rows } = await sql<{ day: string; first: string }>`
      select today::text as day, ${firstDayNotDue(sql`today`, period)}::text as first
      from (
        select '2019-12-30'::date + step as today from generate_series(0, 4 * 366) as step
      ) as days
      order by today`.execute(db)

    expect(rows.length).toBe(4 * 366 + 1)
    expect(rows.map(({ first }) => first)).toEqual(
      rows.map(({ day }) => oracle.firstDayNotDue(day, period)),
    )
  },
)

/** Questions whose first day not due is one on which the clocks were turned, a leap day or an end. */
function questionsIn(zone: string): readonly Question[] {
  return questionsAtTurnsOf(zone, zone)
}

function questionsAtTurnsOf(turned: string, zone: string): readonly Question[] {
  return turnsOf(turned, zone).map((day, position) => {
    const period = PERIODS[position % PERIODS.length] as Period
    const today = oracle.addDays(oracle.retentionEnd(day, period), position % 3 === 0 ? 1 : 0)
    return { zone, period, cutoff: momentOf(today, zone, position), from: '1950-01-01' }
  })
}

/** Days of `zone` on which the clocks of `turned` were turned, the days after, leap days and ends. */
function turnsOf(turned: string, zone: string): readonly string[] {
  const turns = everyNth(oracle.transitions(turned, FIRST_YEAR, LAST_YEAR - 11), 8)
  const days = turns.map((at) => oracle.localDay(at, zone))
  return [...days, ...days.map((day) => oracle.addDays(day, 1)), ...LEAP_AND_ENDS]
}

/** The first instant of a local day, its last one, or its noon. */
function momentOf(day: string, zone: string, choice: number): Micros {
  const noon = oracle.instant(`${day}T12:00:00Z`)
  const shown = noon - oracle.offsetAt(noon, zone)
  const next = oracle.changeBetween(shown, shown + DAY, (at) => oracle.localDay(at, zone) <= day)
  return [oracle.firstInstantOf(day, zone), next - 1n, shown][choice % 3] ?? shown
}

/** A quarter of an hour apart for two days, and to the microsecond where the local day changes. */
function instantsAround(day: string, zone: string): readonly Micros[] {
  const middle = oracle.instant(`${day}T00:00:00Z`)
  const middleHere = middle - oracle.offsetAt(middle, zone)
  const steps = Array.from({ length: 217 }, (_, step) => middleHere + BigInt(step - 108) * QUARTER)
  const changes = steps.flatMap((at) => {
    const see = (each: Micros) => oracle.localDay(each, zone)
    return see(at) === see(at + QUARTER) ? [] : edgesOf(oracle.changeBetween(at, at + QUARTER, see))
  })
  return [...steps, ...changes, ...steps.map((at, n) => at - BigInt(n) * 37n * DAY + BigInt(n))]
}

function wallsAround(day: string, zone: string, columnZone: string): readonly Wall[] {
  const middle = oracle.instant(`${day}T00:00:00Z`)
  const shown = oracle.wallOf(middle - oracle.offsetAt(middle, zone), columnZone)
  const steps = Array.from({ length: 57 }, (_, step) => shown + BigInt(step - 28) * QUARTER)
  return steps.flatMap((wall) => [wall - 1n, wall, wall + 1n])
}

function edgesOf(at: bigint): readonly bigint[] {
  return [-HOUR, -1_000_000n, -1n, 0n, 1n, 1_000_000n, HOUR].map((step) => at + step)
}

/** How late a local time of another zone may become due: an hour, or what its clocks were turned. */
function slackAt(wall: Wall, zone: string): readonly Micros[] {
  const before = oracle.offsetAt(wall - 38n * HOUR, zone)
  const turned = oracle.offsetAt(wall + 26n * HOUR, zone) - before
  const most = turned > HOUR ? turned : HOUR
  return Array.from({ length: Number(most / QUARTER) + 1 }, (_, step) => BigInt(step) * QUARTER)
}

/** About `most` of the items. The step is odd: clocks are put forward and back in turn. */
function everyNth<T>(items: readonly T[], most: number): readonly T[] {
  const step = Math.ceil(items.length / most) | 1
  return items.filter((_, position) => position % step === 0)
}

function fittedFor({ zone, period, from }: Question, frame: Frame) {
  const start: FittedStart = { kind: 'column', moment: { column: 'at', frame } }
  const rule: Rule = { ...ruleWith(''), zone, keep: period, plausibleFrom: from }
  return { rule, start }
}

async function askInstants(question: Question, starts: readonly Micros[]) {
  return ask(
    question,
    { kind: 'instant' },
    starts.map((at) => `${oracle.printMicros(at)}Z`),
  )
}

const TYPES: Readonly<Record<Frame['kind'], string>> = {
  date: 'date',
  instant: 'timestamptz',
  local: 'timestamp',
  epoch: 'int8',
  uuid7: 'uuid',
  text: 'text',
}

/** What the program's own fragments say about many starts at once. */
async function ask(
  question: Question,
  frame: Frame,
  starts: readonly string[],
): Promise<readonly boolean[]> {
  const fitted = fittedFor(question, frame)
  const at = `${oracle.printMicros(question.cutoff)}Z`
  const boundary = await readBoundary(
    db,
    { ...fitted, rivals: [], superseding: [] },
    { kind: 'instant', at },
  )
  const type = sql.id(TYPES[frame.kind])
  const { rows } = await sql<{ past: boolean }>`
    select ${isPast(sql`record.at`, frame, { rule: fitted.rule, boundary })} as past
    from (
      select cast(start as ${type}) as at, position
      from unnest(${starts}::text[]) with ordinality as given (start, position)
    ) as record
    order by position`.execute(db)
  return rows.map(({ past }) => past)
}

function describe({ zone, period, cutoff }: Question, start: string): string {
  return `${start} for ${period.count} ${period.unit} at ${oracle.printMicros(cutoff)}Z in ${zone}`
}
