import type { DateTime } from 'luxon'
import { daysAround, type Days } from './days.ts'
import { relationshipRows, uuidOf } from './relationship.ts'
import { TABLES, noRows, together, type DemoTable, type Row, type Rows } from './rows.ts'
import { stories, type Expectation, type Fate, type Story } from './stories.ts'

/** What must have become of one row once the policies have been enforced. */
export type EdgeCase = {
  readonly name: string
  readonly table: DemoTable
  /** The primary key, by column. */
  readonly key: Row
  readonly expect: Expectation
  readonly why: string
}

/** Rows on an edge of some rule, and what must become of every one of them. */
export type EdgeCases = { readonly rows: Rows; readonly cases: readonly EdgeCase[] }

/** The primary key of every table, the only columns by which a case names its row. */
export const KEYS: { readonly [Table in DemoTable]: readonly string[] } = {
  'crm.customer': ['id'],
  'crm.contract': ['id'],
  'crm.contact': ['id'],
  'crm.exchange': ['id'],
  'billing.invoice': ['fiscal_year', 'number'],
  'billing.invoice_line': ['fiscal_year', 'invoice_number', 'line'],
  'billing.bank_record': ['id'],
  'billing.expense_report': ['id'],
  'support.ticket': ['id'],
  'support.message': ['id'],
  'support.attachment': ['message_id', 'position'],
  'site.connection': ['id'],
  'legal.litigation': ['id'],
}

const SUPPORT: readonly DemoTable[] = ['support.ticket', 'support.message', 'support.attachment']

/**
 * Makes the edge cases of a day (YYYY-MM-DD in Europe/Paris): only then are they on an edge. The
 * first case of each name is the row that the name is about.
 */
export function edgeCases(today: string): EdgeCases {
  const days = daysAround(today)
  const groups = [
    ...stories(days).map((story) => tell(story, days)),
    prospectOfACard(days),
    ...connections(days),
  ]
  return {
    rows: together(...groups.map(({ rows }) => rows)),
    cases: groups.flatMap(({ cases }) => cases),
  }
}

function tell(story: Story, days: Days): EdgeCases {
  const { name, why, about = 'crm.customer', fate, except = {} } = story
  const rows = relationshipRows(story, days)
  const order = [about, ...TABLES.filter((table) => table !== about)]
  const cases = order.flatMap((table) =>
    rows[table].map((row) => ({
      name,
      table,
      key: keyOf(table, row),
      expect: except[table] ?? expectation(fate, table),
      why,
    })),
  )
  return { rows, cases }
}

function expectation(fate: Fate, table: DemoTable): Expectation {
  // No rule speaks of it: it only holds others.
  if (table === 'legal.litigation') return 'kept'
  switch (fate) {
    case 'kept':
      return 'kept'
    case 'support over':
      return SUPPORT.includes(table) ? 'gone' : 'kept'
    case 'over':
      return table === 'crm.customer' ? 'anonymised' : 'gone'
    case 'prospect':
      return 'never expires'
    default:
      return fate satisfies never
  }
}

function keyOf(table: DemoTable, row: Row): Row {
  return Object.fromEntries(KEYS[table].map((column) => [column, row[column] ?? null]))
}

/** A business card: a contact that belongs to no customer. */
function prospectOfACard(days: Days): EdgeCases {
  const row = {
    id: uuidOf(900),
    customer_id: null,
    origin: 'business card',
    full_name: 'Andrea Rossi',
    email: 'andrea.rossi@salon.example',
    phone: '+33 6 39 98 09 00',
    company: 'Salon des logiciels',
    position: 'Achats',
    created_at: days.today.minus({ years: 12 }).toISO(),
  }
  const why = 'a contact of no customer has no contract, so no period ever starts'
  return {
    rows: { ...noRows(), 'crm.contact': [row] },
    cases: [
      {
        name: 'a business card',
        table: 'crm.contact',
        key: { id: row.id },
        expect: 'never expires',
        why,
      },
    ],
  }
}

/** Connections around the twelve months; the days are those of Paris, not of UTC. */
function connections({ twelveMonths: { lastKept, firstDue } }: Days): readonly EdgeCases[] {
  const notOver = 'today is the last day of its twelve months, or they end later'
  const over = 'its twelve months ended yesterday'
  const noon = { hours: 12 }
  return [
    connection(1, 'connection exactly 12 months ago', lastKept.plus(noon), ['kept', notOver]),
    connection(2, 'connection 12 months and a day ago', firstDue.plus(noon), ['gone', over]),
    connection(3, 'connection a second before midnight', lastKept.minus({ seconds: 1 }), [
      'gone',
      over,
    ]),
    connection(4, 'connection at midnight', lastKept, ['kept', notOver]),
    connection(5, 'connection a second after midnight', lastKept.plus({ seconds: 1 }), [
      'kept',
      'in UTC this second belongs to the day before; days are counted in Paris',
    ]),
  ]
}

function connection(
  id: number,
  name: string,
  recordedAt: DateTime,
  [expect, why]: readonly [Expectation, string],
): EdgeCases {
  const row = {
    id,
    recorded_at: recordedAt.toISO(),
    ip: `203.0.113.${id}`,
    device_id: uuidOf(id),
    page: '/tarifs',
    user_agent: 'Mozilla/5.0',
  }
  return {
    rows: { ...noRows(), 'site.connection': [row] },
    cases: [{ name, table: 'site.connection', key: { id }, expect, why }],
  }
}
