import { inventAddress, inventIp, inventPerson, type Chance } from './chance.ts'
import type { Row } from './rows.ts'

/** A bulk customer with the contracts that the other tables are built on. */
export type Client = {
  readonly row: Row & { readonly id: number; readonly full_name: string }
  readonly postalAddress: string
  readonly contracts: readonly Contract[]
}

export type Contract = {
  readonly id: number
  /** Days before today. */
  readonly startedAgo: number
  /** Days before today; 0 of a contract that runs. */
  readonly endedAgo: number
  readonly row: Row
}

/** The first key of bulk rows in every table; the smaller ones belong to the edge cases. */
export const FIRST_ID = 1001

/** Shares of the customers; the rest of them have ended their relationship. */
const PROSPECTS = 0.08
const OPEN = 0.62

/** The oldest end of a relationship, in days: a company that has purged nothing for thirteen years. */
const OLDEST_END = 13 * 365

/** Invents customers and the contracts of those who are not prospects. */
export function inventClients(chance: Chance, count: number): readonly Client[] {
  let nextContract = FIRST_ID
  return Array.from({ length: count }, (_, index) => {
    const contracts = inventContracts(chance, FIRST_ID + index, nextContract)
    nextContract += contracts.length
    return inventClient(chance, FIRST_ID + index, contracts)
  })
}

function inventContracts(chance: Chance, customer: number, id: number): readonly Contract[] {
  const { faker } = chance
  const lot = faker.number.float()
  if (lot < PROSPECTS) return []
  const endedAgo = lot < OPEN ? 0 : faker.number.int({ min: 1, max: OLDEST_END })
  const count = faker.helpers.arrayElement([1, 1, 2, 2, 3])
  const contracts: Contract[] = []
  let end = endedAgo
  for (let nth = 0; nth < count; nth += 1) {
    const startedAgo = end + faker.number.int({ min: 200, max: 900 })
    const term = { id: id + nth, customer, startedAgo, endedAgo: end }
    contracts.push({ id: term.id, startedAgo, endedAgo: end, row: contractRow(chance, term) })
    end = startedAgo + faker.number.int({ min: 1, max: 60 })
  }
  return contracts
}

function contractRow(
  { faker, dayAgo }: Chance,
  term: Omit<Contract, 'row'> & { readonly customer: number },
): Row {
  return {
    id: term.id,
    customer_id: term.customer,
    kind: faker.helpers.arrayElement(['subscription', 'maintenance', 'licence', 'training']),
    signatory: faker.person.fullName(),
    started_on: dayAgo(term.startedAgo),
    ended_on: term.endedAgo === 0 ? openEnd(faker.number.int(99)) : dayAgo(term.endedAgo),
    monthly_fee: faker.number.int({ min: 20, max: 900 }),
  }
}

/** How a contract without an end is written: 2 in 100 have lost their date in the first CRM. */
function openEnd(lot: number): string | null {
  if (lot < 2) return '1970-01-01'
  return lot < 12 ? '9999-12-31' : null
}

function inventClient(chance: Chance, id: number, contracts: readonly Contract[]): Client {
  const { faker, dayAgo } = chance
  const person = inventPerson(faker, String(id))
  const postalAddress = inventAddress(faker)
  const knownFor = contracts.at(-1)?.startedAgo ?? faker.number.int({ min: 10, max: OLDEST_END })
  const row = {
    id,
    reference: `C-${String(id).padStart(6, '0')}`,
    full_name: person.fullName,
    email: person.email,
    phone: faker.number.int(9) < 8 ? person.phone : null,
    postal_address: postalAddress,
    company: person.company,
    position: person.position,
    notes: faker.number.int(3) === 0 ? `A rencontré ${faker.person.fullName()} au salon.` : null,
    last_ip: inventIp(faker),
    last_device_id: faker.string.uuid(),
    newsletter: faker.number.int(1) === 0,
    origin: faker.helpers.arrayElement(['site', 'referral', 'trade fair', 'partner']),
    country: faker.helpers.arrayElement(['FR', 'FR', 'FR', 'FR', 'BE', 'CH', 'LU']),
    created_on: dayAgo(knownFor + 30),
  }
  return { row, postalAddress, contracts }
}

const CONTACT_ORIGINS = ['site form', 'contract', 'exchange', 'business card', 'social network']

/** Invents the people known at the customers, and `strangers` who belong to none. */
export function inventContacts(
  chance: Chance,
  clients: readonly Client[],
  strangers: number,
): readonly Row[] {
  const { faker } = chance
  const owners = [
    ...clients.flatMap(({ row, contracts }) =>
      contracts.length === 0 || faker.number.int(4) === 0 ? [] : [row.id],
    ),
    ...Array.from({ length: strangers }, () => null),
  ]
  return owners.map((owner, index) => {
    const person = inventPerson(faker, `c${index}`)
    return {
      id: faker.string.uuid(),
      customer_id: owner,
      origin: faker.helpers.arrayElement(CONTACT_ORIGINS),
      full_name: person.fullName,
      email: faker.number.int(4) === 0 ? null : person.email,
      phone: faker.number.int(1) === 0 ? null : person.phone,
      company: person.company,
      position: person.position,
      created_at: chance.instantAgo(faker.number.int({ min: 1, max: OLDEST_END })),
    }
  })
}

/** Invents one to three calls or e-mails with each contact. */
export function inventExchanges(chance: Chance, contacts: readonly Row[]): readonly Row[] {
  const { faker } = chance
  return contacts
    .flatMap(({ id }) => Array.from({ length: faker.number.int({ min: 1, max: 3 }) }, () => id))
    .map((contact, index) => ({
      id: FIRST_ID + index,
      contact_id: contact ?? null,
      channel: faker.helpers.arrayElement(['telephone', 'e-mail']),
      took_place_at: chance.instantAgo(faker.number.int({ min: 1, max: OLDEST_END })),
      summary: faker.helpers.arrayElement([
        'Demande une démonstration.',
        'Relance pour le devis.',
        'Question sur la facturation.',
        'Souhaite être rappelé en septembre.',
        'Ne veut plus être contacté par téléphone.',
      ]),
    }))
}
