import { expect } from 'vitest'
import { test } from '../support/bed.ts'
import {
  expectedLeft,
  expectRows,
  governSample,
  isThere,
  runScript,
  untouched,
  verdictOf,
  type Expectation,
} from './sample.ts'

const CUTS = { '3 years': '2025-08-01', '5 years': '2023-01-01', '10 years': '2003-10-17' }

/** Who is due, in plain SQL over the sample as it was. Its timestamps are local ones. */
const EXPECTED: Expectation = {
  customer: {
    table: 'customer',
    key: 'customer_id',
    due: `
      select customer_id from invoice group by customer_id
      having max(invoice_date)::date < '${CUTS['3 years']}'`,
  },
  invoice_line: {
    table: 'invoice_line',
    key: 'invoice_line_id',
    due: `
      select invoice_line_id from invoice_line join invoice using (invoice_id)
      where invoice_date::date < '${CUTS['5 years']}'`,
  },
  // An invoice decides about its customer, and stays until the customer has been acted on.
  invoice: {
    table: 'invoice',
    key: 'invoice_id',
    due: `
      select invoice_id from invoice
      where invoice_date::date < '${CUTS['5 years']}'
        and customer_id in (select customer_id from expected.customer)`,
  },
  employee: {
    table: 'employee',
    key: 'employee_id',
    due: `
      select employee_id from employee
      where title <> 'General Manager' and hire_date::date < '${CUTS['10 years']}'`,
  },
}

test.skipIf(!isThere('chinook.sql'))(
  'of a music shop with a hierarchy of its staff exactly the due rows change',
  async ({ bed }) => {
    await runScript(bed, 'chinook.sql')
    await bed.run(
      'create unique index on customer (email); create unique index on employee (email)',
    )
    await bed.run('analyze')
    const governed = await governSample(bed, 'chinook.yaml', CUTS)
    const counts = await expectRows(bed, EXPECTED)
    const before = await untouched(bed, EXPECTED)

    const plan = await bed.plan()
    const due = plan.rules.map((rule) => [rule.rule.replace('-', '_'), rule.counts.due])
    expect(Object.fromEntries(due)).toEqual(counts)
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(2)
    // The only general manager, and an employee hired after the cut.
    expect(await verdictOf(bed, governed, 'employee', 1)).toBe('outside')
    expect(await verdictOf(bed, governed, 'employee', 8)).toBe('running')

    expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0, refused: [] })

    expect(await untouched(bed, EXPECTED)).toEqual(before)
    expect((await expectedLeft(bed, EXPECTED, 'invoice')).there).toBe(0)
    expect((await expectedLeft(bed, EXPECTED, 'invoice_line')).there).toBe(0)
    expect(
      await expectedLeft(
        bed,
        EXPECTED,
        'customer',
        `first_name ~ '^[0-9a-f]{16}$' and last_name = 'Anonymised' and company is null
          and address is null and fax is null and email = customer_id || '@anonymised.invalid'
          and coalesce(phone, '') !~ '[0-9]' and coalesce(postal_code, '*') ~ '[*]$'`,
      ),
    ).toEqual({ there: counts['customer'], matching: counts['customer'] })
    expect(
      await expectedLeft(
        bed,
        EXPECTED,
        'employee',
        `last_name = 'Employee ' || employee_id and first_name = '' and phone is null
          and birth_date = date_trunc('year', birth_date) and email ~ '^[0-9a-f]{40}$'`,
      ),
    ).toEqual({ there: counts['employee'], matching: counts['employee'] })
    expect(await bed.enforce()).toMatchObject({ outcome: 'done', exit: 0, rules: [] })
    expect(await untouched(bed, EXPECTED)).toEqual(before)
  },
)
