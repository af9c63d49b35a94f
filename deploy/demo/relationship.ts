import { DateTime } from 'luxon'
import { ZONE, type Days } from './days.ts'
import { noRows, type Row, type Rows } from './rows.ts'

/** A customer made by hand, with one row at least in every table that a customer reaches. */
export type Relationship = {
  /** Of the customer; the keys of all its other rows follow from it. */
  readonly id: number
  /** The last day of each contract: null, a sentinel or YYYY-MM-DD. */
  readonly ends: readonly (string | null)[]
  /** False: the invoice is for a service without a contract. */
  readonly invoiceHasContract?: boolean
  /** The customer who is billed, and the one who pays, if not this one. */
  readonly billedTo?: number
  readonly paidBy?: number
  /** The customer is or was before a court. */
  readonly litigation?: 'open' | 'closed'
}

const FIRST_NAMES = ['Camille', 'Dominique', 'Claude', 'Maxence', 'Sacha', 'Éloïse', 'Noé'] as const
const LAST_NAMES = ['Martin', 'Lefèvre', 'N’Guyen', 'Garçon', 'Le Goff'] as const

/** Makes the rows of a relationship; one that never had a contract has no accounts either. */
export function relationshipRows(relationship: Relationship, days: Days): Rows {
  const { id, ends } = relationship
  const name = nameOf(id)
  const starts = ends.map((end) => startOf(end, days))
  const first = starts[0] ?? days.today.minus({ years: 2 })
  return {
    ...noRows(),
    'crm.customer': [customer(id, first)],
    'crm.contract': ends.map((end, index) => ({
      id: contractId(id, index),
      customer_id: id,
      kind: 'subscription',
      signatory: name,
      started_on: iso(starts[index] ?? first),
      ended_on: end,
      monthly_fee: 150,
    })),
    ...contactRows(id, first),
    ...(ends.length === 0 ? {} : accountRows(relationship, first)),
    ...supportRows(id, first),
    ...litigationRows(relationship, days),
  }
}

/** A key of a table whose keys are uuids: the same number always has the same one. */
export function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

/** A day as PostgreSQL reads it. */
export function iso(day: DateTime): string {
  return day.toFormat('yyyy-MM-dd')
}

function contractId(customer: number, index: number): number {
  return customer * 10 + index
}

function nameOf(id: number): string {
  return `${FIRST_NAMES[id % FIRST_NAMES.length]} ${LAST_NAMES[id % LAST_NAMES.length]}`
}

/** Two years before a real end; for the other kinds of end a day that fits all of them. */
function startOf(end: string | null, days: Days): DateTime {
  const day = DateTime.fromISO(end ?? '', { zone: ZONE })
  const isRealEnd = day.isValid && day.year > 1990 && day.year < 9999
  return isRealEnd ? day.minus({ years: 2 }) : days.today.minus({ years: 6 })
}

function customer(id: number, createdOn: DateTime): Row {
  return {
    id,
    reference: `C-${String(id).padStart(6, '0')}`,
    full_name: nameOf(id),
    email: `client-${id}@entreprise-${id}.example`,
    phone: `+33 6 39 98 00 ${String(id).padStart(2, '0')}`,
    postal_address: `${id} rue des Bleuets, 44000 Nantes`,
    company: `Entreprise ${id} SARL`,
    position: 'Gérance',
    notes: 'Préfère être rappelé le matin.',
    last_ip: `192.0.2.${id}`,
    last_device_id: uuidOf(id),
    newsletter: true,
    origin: 'site',
    country: 'FR',
    created_on: iso(createdOn),
  }
}

function contactRows(id: number, from: DateTime): Partial<Rows> {
  return {
    'crm.contact': [
      {
        id: uuidOf(id),
        customer_id: id,
        origin: 'contract',
        full_name: nameOf(id + 1),
        email: `contact-${id}@entreprise-${id}.example`,
        phone: null,
        company: `Entreprise ${id} SARL`,
        position: 'Comptabilité',
        created_at: from.toISO(),
      },
    ],
    'crm.exchange': [
      {
        id,
        contact_id: uuidOf(id),
        channel: 'telephone',
        took_place_at: from.plus({ days: 3, hours: 10 }).toISO(),
        summary: 'Premier appel.',
      },
    ],
  }
}

function accountRows(relationship: Relationship, from: DateTime): Partial<Rows> {
  const { id, billedTo = id, paidBy = id, invoiceHasContract = true } = relationship
  const issued = from.plus({ months: 1 })
  const invoice = { fiscal_year: issued.year, invoice_number: id }
  return {
    'billing.invoice': [
      {
        fiscal_year: issued.year,
        number: id,
        customer_id: billedTo,
        contract_id: invoiceHasContract ? contractId(id, 0) : null,
        issued_on: iso(issued),
        billed_to: nameOf(billedTo),
        billing_address: `${billedTo} rue des Bleuets, 44000 Nantes`,
        total: 300,
      },
    ],
    'billing.invoice_line': [1, 2].map((line) => ({
      ...invoice,
      line,
      description: line === 1 ? 'Abonnement' : 'Assistance',
      quantity: 1,
      unit_price: 150,
    })),
    'billing.bank_record': [
      {
        id,
        customer_id: paidBy,
        ...invoice,
        holder: nameOf(paidBy),
        // The specimen number of the French banks: it belongs to nobody.
        iban: 'FR1420041010050500013M02606',
        bic: 'PSSTFRPPXXX',
        booked_on: iso(issued.plus({ days: 30 })),
        amount: 300,
      },
    ],
    'billing.expense_report': [
      {
        id: uuidOf(id),
        customer_id: id,
        claimant: nameOf(id + 2),
        submitted_on: iso(issued),
        category: 'train',
        amount: 84.5,
      },
    ],
  }
}

function litigationRows({ id, litigation }: Relationship, days: Days): Partial<Rows> {
  if (litigation === undefined) return {}
  const opened = days.today.minus({ years: 2 })
  return {
    'legal.litigation': [
      {
        id,
        customer_id: id,
        docket: `RG ${opened.year}/${String(id).padStart(5, '0')}`,
        opened_on: iso(opened),
        closed_on: litigation === 'open' ? null : iso(opened.plus({ months: 9 })),
      },
    ],
  }
}

function supportRows(id: number, from: DateTime): Partial<Rows> {
  const opened = from.plus({ months: 1, hours: 9 })
  return {
    'support.ticket': [
      {
        id,
        customer_id: id,
        opened_at: opened.toISO(),
        closed_at: opened.plus({ days: 2 }).toISO(),
        status: 'closed',
        subject: 'Export impossible',
      },
    ],
    'support.message': [1, 2].map((turn) => ({
      id: id * 10 + turn,
      ticket_id: id,
      author: turn === 1 ? nameOf(id) : 'Support',
      sent_at: opened.plus({ hours: turn }).toISO(),
      body: turn === 1 ? 'Le bouton ne répond plus.' : 'C’est corrigé.',
    })),
    'support.attachment': [
      { message_id: id * 10 + 1, position: 1, file_name: 'capture.png', size_bytes: 48_213 },
    ],
  }
}
