/** The tables of the demo in the order in which foreign keys let them be filled. */
export const TABLES = [
  'crm.customer',
  'crm.contract',
  'crm.contact',
  'crm.exchange',
  'billing.invoice',
  'billing.invoice_line',
  'billing.bank_record',
  'billing.expense_report',
  'support.ticket',
  'support.message',
  'support.attachment',
  'site.connection',
  'legal.litigation',
] as const

export type DemoTable = (typeof TABLES)[number]

/** A row as JSON: dates and instants are ISO 8601 text. */
export type Row = Readonly<Record<string, string | number | boolean | null>>

export type Rows = { readonly [Table in DemoTable]: readonly Row[] }

/** Rows that are still being collected, none yet. */
export function noRows(): { [Table in DemoTable]: Row[] } {
  return {
    'crm.customer': [],
    'crm.contract': [],
    'crm.contact': [],
    'crm.exchange': [],
    'billing.invoice': [],
    'billing.invoice_line': [],
    'billing.bank_record': [],
    'billing.expense_report': [],
    'support.ticket': [],
    'support.message': [],
    'support.attachment': [],
    'site.connection': [],
    'legal.litigation': [],
  }
}

/** Puts the rows of several sources together, table by table. */
export function together(...sources: readonly Rows[]): Rows {
  const all = noRows()
  for (const table of TABLES) all[table] = sources.flatMap((source) => source[table])
  return all
}
