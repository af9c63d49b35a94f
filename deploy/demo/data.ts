import { inventAccounts } from './accounts.ts'
import { inventIp, openChance, type Chance } from './chance.ts'
import { edgeCases } from './cases.ts'
import { FIRST_ID, inventClients, inventContacts, inventExchanges } from './crowd.ts'
import { inventSupport } from './helpdesk.ts'
import { noRows, together, type Row, type Rows } from './rows.ts'

export type DemoOptions = {
  /** YYYY-MM-DD in Europe/Paris: the day on which the edge cases lie on an edge. */
  readonly today: string
  /** The same seed and day make the same rows. */
  readonly seed?: number
}

/** The day the GDPR became applicable; any number would do. */
const DEFAULT_SEED = 20_180_525

const CUSTOMERS = 4000
const STRANGERS = 900
const CONNECTIONS = 95_000

/** Months are about 30 days: 16 of them, so that a quarter of the connections are due. */
const OLDEST_CONNECTION = 16 * 30

/** Makes all rows of the demo, about 200,000: the edge cases, and a crowd around them. */
export function demoRows({ today, seed = DEFAULT_SEED }: DemoOptions): Rows {
  const { rows: edges } = edgeCases(today)
  const chance = openChance(today, seed)
  const clients = inventClients(chance, CUSTOMERS)
  const contacts = inventContacts(chance, clients, STRANGERS)
  return together(edges, {
    ...noRows(),
    'crm.customer': clients.map(({ row }) => row),
    'crm.contract': clients.flatMap(({ contracts }) => contracts.map(({ row }) => row)),
    'crm.contact': contacts,
    'crm.exchange': inventExchanges(chance, contacts),
    ...inventAccounts(chance, clients),
    ...inventSupport(chance, clients),
    'site.connection': inventConnections(chance),
  })
}

function inventConnections(chance: Chance): readonly Row[] {
  const { faker } = chance
  const devices = Array.from({ length: 5000 }, () => faker.string.uuid())
  const browsers = Array.from({ length: 50 }, () => faker.internet.userAgent())
  return Array.from({ length: CONNECTIONS }, (_, index) => ({
    id: FIRST_ID + index,
    recorded_at: chance.instantAgo(faker.number.int({ min: 1, max: OLDEST_CONNECTION })),
    ip: inventIp(faker),
    device_id: faker.number.int(9) === 0 ? null : faker.helpers.arrayElement(devices),
    page: faker.helpers.arrayElement(['/', '/tarifs', '/contact', '/connexion', '/documentation']),
    user_agent: faker.helpers.arrayElement(browsers),
  }))
}
