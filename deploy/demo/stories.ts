import type { DateTime } from 'luxon'
import type { Days } from './days.ts'
import { iso, type Relationship } from './relationship.ts'
import type { DemoTable } from './rows.ts'

export type Expectation = 'anonymised' | 'kept' | 'gone' | 'never expires'

/** What becomes of a customer and of all the rows around them. */
export type Fate = 'kept' | 'support over' | 'over' | 'prospect'

export type Story = Relationship & {
  readonly name: string
  readonly fate: Fate
  readonly why: string
  /** The table whose row the story is about; the customer's, if not said. */
  readonly about?: DemoTable
  /** Where the story departs from its fate. */
  readonly except?: Partial<Record<DemoTable, Expectation>>
}

/** A customer with an open relationship, on whom other stories lean. */
const OPEN_CUSTOMER = 1

/** The relationships whose dates lie on an edge; a customer has the same key on every day. */
export function stories(days: Days): readonly Story[] {
  return [
    ...singleContracts(days),
    ...severalContracts(days),
    ...withoutEnd(days),
    ...support(days),
    ...stranded(days),
    ...litigated(days),
  ]
}

function singleContracts({ today, tenYears, fiveYears, leapDay }: Days): readonly Story[] {
  const supportIsOver = (end: DateTime) => end < fiveYears.lastKept
  return [
    {
      id: 3,
      name: 'ended 9 years and 364 days ago',
      ends: [iso(tenYears.lastKept.plus({ days: 1 }))],
      fate: 'support over',
      why: 'the last day of the ten years is tomorrow',
    },
    {
      id: 4,
      name: 'ended exactly 10 years ago',
      ends: [iso(tenYears.lastKept)],
      fate: 'support over',
      why: 'today is the last day of the ten years, and a record is due after it',
    },
    {
      id: 5,
      name: 'ended 10 years and a day ago',
      ends: [iso(tenYears.firstDue)],
      fate: 'over',
      why: 'the ten years have passed to their last day',
    },
    {
      id: 6,
      name: 'ended on a 29 February, over',
      ends: [iso(leapDay.firstDue)],
      fate: 'over',
      why: 'ten years later there is no such day: the last one was the 28th, and it has passed',
    },
    {
      id: 7,
      name: 'ended on a 29 February, not over',
      ends: [iso(leapDay.lastKept)],
      fate: supportIsOver(leapDay.lastKept) ? 'support over' : 'kept',
      why: 'its ten years end on a 28 February that has not passed',
    },
    {
      id: 15,
      name: 'ends in six months',
      ends: [iso(today.plus({ months: 6 }))],
      fate: 'kept',
      why: 'an end that is announced has not come',
    },
  ]
}

function severalContracts({ today }: Days): readonly Story[] {
  const ago = (years: number) => iso(today.minus({ years }))
  return [
    {
      id: 2,
      name: 'ended, then re-opened',
      ends: [ago(12), null],
      fate: 'kept',
      why: 'one open contract keeps everything',
    },
    {
      id: 8,
      name: 'several contracts, the newest keeps',
      ends: [ago(14), ago(11), ago(8)],
      fate: 'support over',
      why: 'the relationship ended with its newest contract, eight years ago',
    },
    {
      id: 9,
      name: 'several contracts, the newest is over too',
      ends: [ago(12), ago(14), ago(11)],
      fate: 'over',
      why: 'the relationship ended with its newest contract, eleven years ago',
    },
  ]
}

function withoutEnd({ today }: Days): readonly Story[] {
  const twelveYearsAgo = iso(today.minus({ years: 12 }))
  return [
    {
      id: OPEN_CUSTOMER,
      name: 'relationship open',
      ends: [null],
      fate: 'kept',
      why: 'a contract without an end runs',
    },
    {
      id: 10,
      name: 'open by a sentinel',
      ends: [twelveYearsAgo, '9999-12-31'],
      fate: 'kept',
      why: '9999-12-31 stands for no end',
    },
    {
      id: 11,
      name: 'open by infinity',
      ends: [twelveYearsAgo, 'infinity'],
      fate: 'kept',
      why: 'infinity never comes',
    },
    {
      id: 12,
      name: 'implausible end',
      ends: ['1970-01-01'],
      fate: 'kept',
      why: '1970-01-01 stands for an unknown date: reported, never due',
    },
    {
      id: 13,
      name: 'one implausible end among others',
      ends: [twelveYearsAgo, '1970-01-01'],
      fate: 'kept',
      why: 'nobody knows when that contract ended, and the other may not outvote it',
    },
    {
      id: 14,
      name: 'prospect',
      ends: [],
      fate: 'prospect',
      why: 'without a contract no period ever starts',
    },
  ]
}

function support({ today, fiveYears }: Days): readonly Story[] {
  return [
    {
      id: 16,
      name: 'support, relationship ended exactly 5 years ago',
      about: 'support.ticket',
      ends: [iso(fiveYears.lastKept)],
      fate: 'kept',
      why: 'today is the last day of the five years',
    },
    {
      id: 17,
      name: 'support, relationship ended 5 years and a day ago',
      about: 'support.ticket',
      ends: [iso(fiveYears.firstDue)],
      fate: 'support over',
      why: 'the five years of support are over, the ten of the customer are not',
    },
    {
      id: 18,
      name: 'an old ticket of an open relationship',
      about: 'support.ticket',
      ends: [iso(today.minus({ years: 13 })), null],
      fate: 'kept',
      why: 'the relationship counts, not the age of the ticket, and it is open',
    },
  ]
}

/** Relationships that are over, and that a court may still ask about. */
function litigated({ today }: Days): readonly Story[] {
  const ends = [iso(today.minus({ years: 11 }))]
  return [
    {
      id: 22,
      name: 'over, and before a court',
      ends,
      litigation: 'open',
      fate: 'kept',
      why: 'an open case holds the customer, and everything that refers to them',
    },
    {
      id: 23,
      name: 'over, and before a court once',
      ends,
      litigation: 'closed',
      fate: 'over',
      why: 'the case is closed, and holding did not make the ten years begin again',
    },
  ]
}

/** Contracts that are due themselves and must stay, since a record that is kept needs them. */
function stranded({ today }: Days): readonly Story[] {
  const elevenYearsAgo = iso(today.minus({ years: 11 }))
  const except = {
    'crm.contract': 'kept',
    'billing.invoice': 'kept',
    'billing.invoice_line': 'kept',
    'billing.bank_record': 'kept',
  } as const
  return [
    {
      id: 20,
      name: 'a contract that still decides',
      about: 'crm.contract',
      ends: [elevenYearsAgo],
      invoiceHasContract: false,
      paidBy: OPEN_CUSTOMER,
      fate: 'over',
      except,
      why: 'the payment of an open customer keeps the invoice, whose period this contract decides',
    },
    {
      id: 21,
      name: 'a contract billed to another customer',
      about: 'crm.contract',
      ends: [elevenYearsAgo],
      billedTo: OPEN_CUSTOMER,
      paidBy: OPEN_CUSTOMER,
      fate: 'over',
      except,
      why: 'the invoice of an open customer names this contract',
    },
  ]
}
