import { expect, test } from 'vitest'
import type { BatchStep } from '../../src/enforce/batch.ts'
import { openBed, type Bed } from '../support/bed.ts'
import { openSession, STEPS, type Outcome } from '../support/faults.ts'
import { openApplication, policyOf } from './application.ts'

/** Something a migration of the application may do to the tables that the rule reaches. */
type Migration = {
  readonly name: string
  readonly up: string
  readonly down: string
  readonly steps: readonly BatchStep[]
}

/** Before any lock, among the rows, after the shape was proved, and last. */
const FEW: readonly BatchStep[] = ['begun', 'rows', 'catalog', 'journalled']

const TWO: readonly BatchStep[] = ['rows', 'journalled']

const TRIGGER = 'each row execute function suppress_redundant_updates_trigger()'
const CONTRACT_KEY = 'contract_customer_id_fkey'
const SURVEY_KEY = 'survey_ticket_id_fkey'

const MIGRATIONS: readonly Migration[] = [
  {
    name: 'a foreign key to the governed table',
    up: 'create table crm.note (ticket_id bigint references crm.ticket on delete cascade)',
    down: 'drop table crm.note',
    steps: STEPS,
  },
  {
    name: 'a foreign key to a table that goes along',
    up: 'create table crm.note (message_id bigint references crm.message on delete cascade)',
    down: 'drop table crm.note',
    steps: FEW,
  },
  {
    name: 'a trigger on the governed table',
    up: `create trigger keep before delete on crm.ticket for ${TRIGGER}`,
    down: 'drop trigger keep on crm.ticket',
    steps: STEPS,
  },
  {
    name: 'a trigger on a table that goes along',
    up: `create trigger keep before delete on crm.message for ${TRIGGER}`,
    down: 'drop trigger keep on crm.message',
    steps: FEW,
  },
  {
    name: 'a rewrite rule on the governed table',
    up: 'create rule keep as on delete to crm.ticket do instead nothing',
    down: 'drop rule keep on crm.ticket',
    steps: FEW,
  },
  {
    name: 'a new column',
    up: 'alter table crm.ticket add subject text',
    down: 'alter table crm.ticket drop subject',
    steps: STEPS,
  },
  {
    name: 'another name of a link',
    up: 'alter table crm.ticket rename customer_id to client_id',
    down: 'alter table crm.ticket rename client_id to customer_id',
    steps: STEPS,
  },
  {
    name: 'another name of the column of the filter',
    up: 'alter table crm.ticket rename status to state',
    down: 'alter table crm.ticket rename state to status',
    steps: FEW,
  },
  {
    name: 'another name of the period start',
    up: 'alter table crm.contract rename ended_on to over_on',
    down: 'alter table crm.contract rename over_on to ended_on',
    steps: FEW,
  },
  {
    name: "another name of the parent's key",
    up: 'alter table crm.customer rename id to number',
    down: 'alter table crm.customer rename number to id',
    steps: FEW,
  },
  {
    name: 'another name of a table that goes along',
    up: 'alter table crm.message rename to letter',
    down: 'alter table crm.letter rename to message',
    steps: FEW,
  },
  {
    name: 'another type of the column of the filter',
    up: 'alter table crm.ticket alter status type varchar(40)',
    down: 'alter table crm.ticket alter status type text',
    steps: TWO,
  },
  {
    name: 'a column that is dropped',
    up: 'alter table crm.message drop body',
    down: 'alter table crm.message add body text',
    steps: TWO,
  },
  {
    name: 'a table that is dropped and made again',
    up: 'do $$ begin drop table crm.survey; create table crm.survey (id bigint primary key, ticket_id bigint references crm.ticket, sent_on date); grant all on crm.survey to public; end $$',
    // Another table for good: there is no way back, and so one step is tried.
    down: 'select 1',
    steps: ['rows'],
  },
  {
    name: 'no foreign key of the source any more',
    up: `alter table crm.contract drop constraint ${CONTRACT_KEY}`,
    down: `alter table crm.contract add constraint ${CONTRACT_KEY} foreign key (customer_id) references crm.customer`,
    steps: FEW,
  },
  {
    name: 'no foreign key of a blocking table any more',
    up: `alter table crm.survey drop constraint ${SURVEY_KEY}`,
    down: `alter table crm.survey add constraint ${SURVEY_KEY} foreign key (ticket_id) references crm.ticket`,
    steps: FEW,
  },
]

type Migrated = { readonly step: BatchStep; readonly sqlstate: string | null; readonly run: string }

/** Runs the ticket rule in batches of two, with the statement after a step of the second batch. */
async function migrateAfter(bed: Bed, step: BatchStep, statement: string): Promise<Migrated> {
  const { superuserUrl, superuser } = bed.database
  await using session = await openSession(superuserUrl, superuser)
  const outcomes: Outcome[] = []
  let batch = 0
  const { outcome } = await bed.enforce({
    onStep: async (at) => {
      if (at === 'begun') batch += 1
      // What waited for the last batch is done before this one looks.
      if (at === 'begun') await session.drain()
      if (batch === 2 && at === step) await session.send(statement, (one) => outcomes.push(one))
    },
  })
  await session.drain()
  return { step, sqlstate: outcomes[0]?.sqlstate ?? null, run: outcome }
}

test.for(MIGRATIONS)('$name ends a run before the next row goes', async ({ up, down, steps }) => {
  await using bed = await openBed()
  await openApplication(bed, steps.length * 4 + 2)
  await bed.govern(policyOf(['ticket'], 2))

  const migrated: Migrated[] = []
  for (const step of steps) {
    migrated.push(await migrateAfter(bed, step, up))
    await bed.run(down)
  }

  expect(migrated).toEqual(steps.map((step) => ({ step, sqlstate: null, run: 'catalog' })))
})
