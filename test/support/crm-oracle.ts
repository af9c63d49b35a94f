/**
 * What a plan must say and a run must leave of a small customer database, worked out over arrays by
 * the words of the policies in test/plan/census.pg.test.ts, one record after the other.
 */
import type { Verdict } from '../../src/plan/census.ts'
import { isDueOn, type Period } from './time-oracle.ts'

export type Contract = {
  readonly id: number
  readonly customer: number | null
  readonly state: 'ended' | 'active'
  readonly ended: string | null
}

export type Ticket = {
  readonly id: number
  readonly customer: number | null
  readonly status: 'open' | 'closed'
}

export type Customer = { readonly id: number; readonly left: string | null }

/** A row that belongs to the row `of` of another table. */
export type Part = { readonly id: number; readonly of: number }

export type Note = Part & { readonly made: string | null }

export type Crm = {
  readonly customers: readonly Customer[]
  readonly contracts: readonly Contract[]
  readonly tickets: readonly Ticket[]
  /** Of a ticket. */
  readonly messages: readonly Part[]
  /** With a customer. */
  readonly exchanges: readonly Part[]
  /** On an exchange. */
  readonly notes: readonly Note[]
}

type Judged<T> = { readonly row: T; readonly verdict: Verdict }

const TEN: Period = { count: 10, unit: 'year' }
const FIVE: Period = { count: 5, unit: 'year' }
const TWO: Period = { count: 2, unit: 'year' }

const OPEN = '9999-12-31'
const FIRST_PLAUSIBLE = '1990-01-01'

/** The people are anonymised ten years after their last contract, tickets go after five. */
export function judgeRelationship(crm: Crm, today: string) {
  const customers = crm.customers.map((row) => ({
    row,
    verdict: overEvents(endsOf(crm, row.id, 'active is open'), TEN, today),
  }))
  const tickets = crm.tickets.map((row) => ({
    row,
    verdict:
      row.status === 'open'
        ? ('outside' as const)
        : overEvents(endsOf(crm, row.customer, 'only dates'), FIVE, today),
  }))
  const [acted, gone] = [idsOf(customers, 'due'), idsOf(tickets, 'due')]
  const contracts = crm.contracts.map((row) => {
    const verdict = overEvents(endsOf(crm, row.customer, 'active is open'), TEN, today)
    const decides =
      !acted.has(row.customer ?? 0) ||
      crm.tickets.some(({ id, customer }) => customer === row.customer && !gone.has(id))
    return { row, verdict: verdict === 'due' && decides ? ('deciding' as const) : verdict }
  })
  return { customers, tickets, contracts }
}

/** The people go two years after they left, once no contract and no note is in the way. */
export function judgeDeparture(crm: Crm, today: string) {
  const contracts = crm.contracts.map((row) => ({ row, verdict: overDate(row.ended, FIVE, today) }))
  const notes = crm.notes.map((row) => ({ row, verdict: overDate(row.made, TWO, today) }))
  const [gone, goneNotes] = [idsOf(contracts, 'due'), idsOf(notes, 'due')]
  const customers = crm.customers.map((row) => {
    const verdict = overDate(row.left, TWO, today)
    const exchanges = crm.exchanges.filter(({ of }) => of === row.id)
    const blocked =
      crm.contracts.some(({ id, customer }) => customer === row.id && !gone.has(id)) ||
      crm.notes.some(({ id, of }) => exchanges.some((each) => each.id === of) && !goneNotes.has(id))
    return { row, verdict: verdict === 'due' && blocked ? ('blocked' as const) : verdict }
  })
  return { customers, contracts, notes }
}

export function idsOf<T extends { readonly id: number }>(
  judged: readonly Judged<T>[],
  verdict: Verdict,
): ReadonlySet<number> {
  return new Set(judged.flatMap((each) => (each.verdict === verdict ? [each.row.id] : [])))
}

type Event = { readonly ended: string | null; readonly isOpen: boolean }

function endsOf(
  { contracts }: Crm,
  customer: number | null,
  how: 'active is open' | 'only dates',
): readonly Event[] {
  return contracts
    .filter((contract) => customer !== null && contract.customer === customer)
    .map(({ ended, state }) => ({
      ended,
      isOpen: isOpenDate(ended) || (how === 'active is open' && state === 'active'),
    }))
}

function overEvents(events: readonly Event[], period: Period, today: string): Verdict {
  if (events.length === 0) return 'neverExpires'
  if (events.some(({ ended }) => isImplausibleDate(ended))) return 'implausible'
  if (events.some(({ isOpen }) => isOpen)) return 'open'
  return events.every(({ ended }) => ended !== null && isDueOn(today, ended, period))
    ? 'due'
    : 'running'
}

function overDate(date: string | null, period: Period, today: string): Verdict {
  return overEvents([{ ended: date, isOpen: isOpenDate(date) }], period, today)
}

function isOpenDate(date: string | null): boolean {
  return date === null || date === 'infinity' || date === OPEN
}

function isImplausibleDate(date: string | null): boolean {
  return date !== null && (date === '-infinity' || date < FIRST_PLAUSIBLE)
}
