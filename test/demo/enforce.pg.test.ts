import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { edgeCases, type EdgeCase } from '../../deploy/demo/cases.ts'
import { loadDemo } from '../../deploy/demo/load.ts'
import { EXIT } from '../../src/base/errors.ts'
import { openBed, type Bed } from '../support/bed.ts'

const POLICY = new URL('../../policies/privacy-policy.yaml', import.meta.url)

test('the example policy brings every edge case of the demo to its end, and is then at rest', async () => {
  await using bed = await openBed()
  const today = await todayOf(bed)
  const { cases } = edgeCases(today)
  await loadDemo(bed.database.superuserUrl, { today })
  await bed.govern(await readFile(POLICY, 'utf8'))

  const plan = await bed.plan()
  const run = await bed.enforce({ plan, approval: plan.digest })
  const fates: EdgeCase[] = []
  for (const edge of cases) fates.push({ ...edge, expect: await fateOf(bed, edge) })
  const secondRun = await bed.enforce()

  expect(plan.rules.filter((rule) => rule.refusal !== null)).toEqual([])
  expect(run).toMatchObject({ exit: EXIT.done, outcome: 'done', error: null })
  expect(fates).toEqual(cases)
  expect(secondRun).toMatchObject({ exit: EXIT.done, outcome: 'done', error: null })
  expect(secondRun.rules.filter(({ rows }) => rows > 0)).toEqual([])
})

async function todayOf(bed: Bed): Promise<string> {
  const [row] = await bed.rows<{ today: string }>(
    "select (current_timestamp at time zone 'Europe/Paris')::date::text as today",
  )
  return row?.today ?? ''
}

/** What has become of a row. One that never expires is simply still there, as one that is kept. */
async function fateOf(bed: Bed, edge: EdgeCase): Promise<EdgeCase['expect']> {
  const filter = Object.keys(edge.key).map((column, index) => `${column} = $${index + 1}`)
  const { rows } = await bed.database.superuser.query<Record<string, unknown>>(
    `select * from ${edge.table} where ${filter.join(' and ')}`,
    Object.values(edge.key),
  )
  const [row] = rows
  if (row === undefined) return 'gone'
  if (edge.table === 'crm.customer') {
    const masked = Object.entries(nobody(String(row['id'])))
    if (masked.every(([column, value]) => row[column] === value)) return 'anonymised'
  }
  return edge.expect === 'never expires' ? 'never expires' : 'kept'
}

/** What the policy leaves of a customer, but for the columns that it keeps. */
function nobody(id: string): Record<string, unknown> {
  return {
    full_name: 'Anonymised',
    reference: `anonymised-${id}`,
    email: `${id}@anonymised.invalid`,
    phone: null,
    postal_address: null,
    company: null,
    position: null,
    notes: null,
    last_ip: null,
    last_device_id: null,
    newsletter: false,
    search_text: 'anonymised ',
  }
}
