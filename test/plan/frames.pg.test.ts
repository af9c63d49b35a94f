import * as fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FittedStart, Frame } from '../../src/catalog/fitted.ts'
import { connect, type Connection } from '../../src/db/connect.ts'
import { readBoundary } from '../../src/plan/boundary.ts'
import { dayOf, isImplausible, isOpen, isPast } from '../../src/plan/moment.ts'
import { TEXT_FORMATS, type Rule, type TextFormat } from '../../src/policy/policy.ts'
import { ruleWith } from '../policy/documents.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'
import * as oracle from '../support/time-oracle.ts'
import { DAY, HOUR, type Micros, type Period } from '../support/time-oracle.ts'

let database: TestDatabase
let connection: Connection

beforeAll(async () => {
  database = await openTestDatabase()
  connection = connect(database.superuserUrl)
})

afterAll(async () => {
  await connection[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const ZONES = [
  'Europe/Paris',
  'Atlantic/Azores',
  'America/Havana',
  'Asia/Kathmandu',
  'Pacific/Apia',
]

const SECOND = 1_000_000n

type Question = { readonly zone: string; readonly period: Period; readonly cutoff: Micros }

const questions: fc.Arbitrary<Question> = fc.record({
  zone: fc.constantFrom(...ZONES),
  period: fc.record({
    count: fc.integer({ min: 1, max: 6 }),
    unit: fc.constantFrom('day', 'week', 'month', 'year'),
  }),
  cutoff: fc
    .integer({ min: 0, max: 20 * 366 })
    .map((days) => oracle.instant('2002-06-01T11:00:00Z') + BigInt(days) * DAY),
})

/** Instants to the second or the millisecond: near the first day not due, and anywhere before. */
function startsOf({ zone, period, cutoff }: Question, steps: readonly number[]): readonly Micros[] {
  const first = oracle.firstDayNotDue(oracle.localDay(cutoff, zone), period)
  const middle = oracle.firstInstantOf(first, zone)
  return steps.flatMap((step) => [
    middle + BigInt(step) * SECOND,
    middle + BigInt(step) * 1000n,
    middle - BigInt(Math.abs(step)) * HOUR,
  ])
}

const steps = fc.array(fc.integer({ min: -90_000, max: 90_000 }), { minLength: 20, maxLength: 20 })

type Said = {
  readonly past: boolean
  readonly day: string
  readonly open: boolean
  readonly implausible: boolean
}

async function ask(
  { zone, period, cutoff }: Question,
  frame: Frame,
  type: string,
  values: readonly (string | null)[],
): Promise<readonly Said[]> {
  const start: FittedStart = { kind: 'column', moment: { column: 'at', frame } }
  const rule: Rule = { ...ruleWith(''), zone, keep: period, plausibleFrom: '1965-01-01' }
  const at = `${oracle.printMicros(cutoff)}Z`
  const boundary = await readBoundary(
    connection.db,
    { rule, start, rivals: [], superseding: [] },
    { kind: 'instant', at },
  )
  const law = { rule, boundary }
  const value = sql`record.at`
  const { rows } = await sql<Said>`
    select
      coalesce(${isPast(value, frame, law)}, false) as past,
      ${dayOf(value, frame, law)}::text as day,
      ${isOpen(value, frame, law)} as open,
      ${isImplausible(value, frame, law)} as implausible
    from (
      select cast(start as ${sql.id(type)}) as at, position
      from unnest(${values}::text[]) with ordinality as given (start, position)
    ) as record
    order by position`.execute(connection.db)
  return rows
}

/** Compares with the forward law; what starts in a repeated hour before midnight may be a day late. */
function wrongOnes(question: Question, starts: readonly Micros[], said: readonly Said[]) {
  const { zone, period, cutoff } = question
  const today = oracle.localDay(cutoff, zone)
  return starts.flatMap((at, position) => {
    const day = oracle.localDay(at, zone)
    const due = oracle.isDueOn(today, day, period)
    const row = said[position]
    const agrees =
      row?.past === due || (due && oracle.isRepeatedBeforeMidnight(at, zone) && row?.past === false)
    const plain = row?.open === false && !row.implausible
    return agrees && plain && row.day === day ? [] : [{ at: oracle.printMicros(at), due, row }]
  })
}

function floored(at: Micros, to: Micros): Micros {
  return at - (((at % to) + to) % to)
}

test.for(['seconds', 'milliseconds'] as const)(
  'a count of %s tells the day that the calendar of its zone tells',
  async (unit) => {
    const each = unit === 'seconds' ? SECOND : 1000n
    await fc.assert(
      fc.asyncProperty(questions, steps, async (question, distances) => {
        const starts = startsOf(question, distances).map((at) => floored(at, each))
        const values = starts.map((at) => String(at / each))
        const said = await ask(question, { kind: 'epoch', unit }, 'int8', values)
        expect(wrongOnes(question, starts, said)).toEqual([])
      }),
      { numRuns: 60 },
    )
  },
)

test('a uuid of version 7 tells the day that the calendar of its zone tells', async () => {
  await fc.assert(
    fc.asyncProperty(
      questions,
      steps,
      fc.uuid({ version: 4 }),
      async (question, distances, tail) => {
        const starts = startsOf(question, distances)
          .map((at) => floored(at, 1000n))
          .filter((at) => at >= 0n)
        const values = starts.map((at) => {
          const hex = (at / 1000n).toString(16).padStart(12, '0')
          return `${hex.slice(0, 8)}-${hex.slice(8)}-7${tail.slice(15)}`
        })
        const said = await ask(question, { kind: 'uuid7' }, 'uuid', values)
        expect(wrongOnes(question, starts, said)).toEqual([])
      },
    ),
    { numRuns: 60 },
  )
})

function written(day: string, format: TextFormat): string {
  const [year = '', month = '', date = ''] = day.split('-')
  return format.replace('YYYY', year).replace('MM', month).replace('DD', date)
}

test.for(TEXT_FORMATS)('text in the format %s is due exactly by the law', async (format) => {
  await fc.assert(
    fc.asyncProperty(questions, steps, async (question, distances) => {
      const today = oracle.localDay(question.cutoff, question.zone)
      const first = oracle.firstDayNotDue(today, question.period)
      const days = distances.map((step) => oracle.addDays(first, Math.trunc(step / 2000)))
      const values = days.map((day) => written(day, format))
      const said = await ask(question, { kind: 'text', format }, 'text', values)
      expect(said).toEqual(
        days.map((day) => ({
          past: oracle.isDueOn(today, day, question.period),
          day,
          open: false,
          implausible: false,
        })),
      )
    }),
    { numRuns: 40 },
  )
})

const NO_DAY = { past: false, day: null, open: false, implausible: true }

test.for(TEXT_FORMATS)(
  'any other text than a day in the format %s fails nothing',
  async (format) => {
    const garbled = fc
      .tuple(fc.integer({ min: 0, max: 9999 }), fc.nat(13), fc.integer({ min: 27, max: 32 }))
      .map(([year, month, day]) => {
        const text = [String(year).padStart(4, '0'), month, day].map((part) =>
          String(part).padStart(2, '0'),
        )
        return written(text.join('-'), format)
      })
    const question = {
      zone: 'UTC',
      period: { count: 1, unit: 'year' },
      cutoff: oracle.instant('2010-01-01T00:00:00Z'),
    } as const
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(garbled, fc.string()), { minLength: 30 }),
        async (texts) => {
          const values = texts.map((text) => text.replaceAll('\0', ''))
          const said = await ask(question, { kind: 'text', format }, 'text', values)
          const wrong = values.filter((text, position) => {
            const { past, day, open, implausible } = said[position] ?? NO_DAY
            if (isDay(text, format)) return day === null
            return past || open || day !== null || !implausible
          })
          expect(wrong).toEqual([])
        },
      ),
      { numRuns: 40 },
    )
  },
)

/** A day that a person would read in the text: written again it is the same. */
function isDay(text: string, format: TextFormat): boolean {
  if (text.length !== format.length) return false
  const part = (name: string) =>
    text.slice(format.indexOf(name), format.indexOf(name) + name.length)
  const iso = `${part('YYYY')}-${part('MM')}-${part('DD')}`
  const day = new Date(`${iso}T00:00:00Z`)
  return (
    !Number.isNaN(day.getTime()) &&
    !iso.startsWith('0000') &&
    day.toISOString().startsWith(iso) &&
    written(iso, format) === text
  )
}
