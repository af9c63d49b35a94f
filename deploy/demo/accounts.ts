import type { Chance } from './chance.ts'
import { FIRST_ID, type Client, type Contract } from './crowd.ts'
import type { Row, Rows } from './rows.ts'

/** Invents invoices with their lines and payments, and the expenses billed to customers. */
export function inventAccounts(chance: Chance, clients: readonly Client[]): Partial<Rows> {
  const invoices = inventInvoices(chance, clients)
  return {
    'billing.invoice': invoices.map(({ row }) => row),
    'billing.invoice_line': invoices.flatMap((invoice) => inventLines(chance, invoice)),
    'billing.bank_record': inventPayments(chance, invoices),
    'billing.expense_report': inventExpenses(chance, clients),
  }
}

type Invoice = {
  readonly client: Client
  readonly key: { readonly fiscal_year: number; readonly invoice_number: number }
  readonly issuedAgo: number
  readonly lineCount: number
  readonly row: Row
}

const LINE_PRICE = 150

function inventInvoices(chance: Chance, clients: readonly Client[]): readonly Invoice[] {
  const { faker } = chance
  const drafts = clients.flatMap((client) =>
    client.contracts.flatMap((contract) =>
      Array.from({ length: faker.number.int({ min: 1, max: 3 }) }, () => ({
        client,
        contract,
        issuedAgo: dayOf(contract, chance),
      })),
    ),
  )
  const lastNumber = new Map<number, number>()
  return drafts
    .toSorted((one, other) => other.issuedAgo - one.issuedAgo)
    .map(({ client, contract, issuedAgo }) => {
      const issuedOn = chance.dayAgo(issuedAgo)
      const year = Number(issuedOn.slice(0, 4))
      const number = lastNumber.get(year) ?? FIRST_ID
      lastNumber.set(year, number + 1)
      const lineCount = faker.number.int({ min: 1, max: 3 })
      const row = {
        fiscal_year: year,
        number,
        customer_id: client.row.id,
        contract_id: contract.id,
        issued_on: issuedOn,
        billed_to: client.row.full_name,
        billing_address: client.postalAddress,
        total: lineCount * LINE_PRICE,
      }
      return {
        client,
        key: { fiscal_year: year, invoice_number: number },
        issuedAgo,
        lineCount,
        row,
      }
    })
}

/** A day while the contract ran, as days before today. */
function dayOf({ startedAgo, endedAgo }: Contract, { faker }: Chance): number {
  return faker.number.int({ min: Math.max(endedAgo, 1), max: startedAgo })
}

function inventLines({ faker }: Chance, { key, lineCount }: Invoice): readonly Row[] {
  return Array.from({ length: lineCount }, (_, index) => ({
    ...key,
    line: index + 1,
    description: faker.helpers.arrayElement(['Abonnement', 'Assistance', 'Formation', 'Licence']),
    quantity: 1,
    unit_price: LINE_PRICE,
  }))
}

/** Two invoices in five were paid by transfer; each by the customer it was sent to. */
function inventPayments(chance: Chance, invoices: readonly Invoice[]): readonly Row[] {
  const { faker } = chance
  return invoices
    .filter(() => faker.number.int(4) < 2)
    .map(({ client, key, issuedAgo, lineCount }, index) => ({
      id: FIRST_ID + index,
      customer_id: client.row.id,
      ...key,
      holder: client.row.full_name,
      iban: faker.finance.iban({ countryCode: 'FR' }),
      bic: 'PSSTFRPPXXX',
      booked_on: chance.dayAgo(Math.max(1, issuedAgo - 30)),
      amount: lineCount * LINE_PRICE,
    }))
}

function inventExpenses(chance: Chance, clients: readonly Client[]): readonly Row[] {
  const { faker } = chance
  return clients
    .flatMap(({ row, contracts }) =>
      (faker.number.int(2) > 0 ? contracts.slice(0, 1) : []).map((contract) => ({ row, contract })),
    )
    .map(({ row, contract }) => ({
      id: faker.string.uuid(),
      customer_id: row.id,
      claimant: faker.person.fullName(),
      submitted_on: chance.dayAgo(dayOf(contract, chance)),
      category: faker.helpers.arrayElement(['train', 'hotel', 'meal', 'mileage']),
      amount: faker.number.int({ min: 1000, max: 40_000 }) / 100,
    }))
}
