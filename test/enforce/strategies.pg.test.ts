import { expect } from 'vitest'
import { inSnapshot } from '../../src/db/transaction.ts'
import { explainRecord } from '../../src/plan/explain.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { renderPlan } from '../../src/plan/render.ts'
import { test, type Bed } from '../support/bed.ts'
import { pseudonymKey } from '../support/builders.ts'

const SCHEMA = `
  create schema crm;
  create table crm.person (
    id int primary key, left_on date, login text unique, mail text unique, name text, remark text,
    born date, income int, home point, ip inet, profile jsonb, photo bytea, nicks text[], phone text
  );
  insert into crm.person
  select n, '2001-01-01', 'canary' || n, 'canary' || n || '@example.org', 'Canary ' || n,
    'call 0612345678', '1984-07-21', 43210, '(48.85661,2.35222)', '203.0.113.77',
    '{"name": "canary", "tier": 1}', repeat('canary', 10)::bytea, '{canary}', null
  from generate_series(1, 5) as n`

const MASKS = {
  login: '{ random: 16 }',
  mail: 'pseudonym',
  name: '{ partial: { first: 1 } }',
  remark: '{ pattern: { find: "[0-9]+", with: "…" } }',
  born: '{ truncate: year }',
  income: '{ bucket: 5000 }',
  home: '{ round: 1 }',
  ip: '{ network: { v4: 24, v6: 48 } }',
  profile: '{ json: { "$.name": { constant: none } } }',
  photo: 'nothing',
  nicks: '{ constant: "{}" }',
  phone: '{ random: 8 }',
  left_on: '{ keep: the period starts there }',
}

function policy(masks: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ ...MASKS, ...masks }).map(
    ([column, mask]) => `        ${column}: ${mask}\n`,
  )
  return `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 2 } }
rules:
  - id: person
    table: crm.person
    start: left_on
    keep: 1 year
    then:
      anonymise:
${lines.join('')}`
}

async function people(bed: Bed): Promise<readonly Record<string, string | null>[]> {
  return bed
    .rows("select to_jsonb(person) - 'id' as person from crm.person order by id")
    .then((rows) => rows.map((row) => row['person'] as Record<string, string | null>))
}

test('an anonymisation by every strategy leaves nothing of what was there, and is done once', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(policy())

  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [{ rows: 5 }] })

  const after = await people(bed)
  expect(JSON.stringify(after)).not.toContain('canary')
  expect(after[0]).toMatchObject({
    name: 'C*******',
    remark: 'call …',
    born: '1984-01-01',
    income: 40000,
    home: '(48.9,2.4)',
    ip: '203.0.113.0/24',
    profile: { name: 'none', tier: 1 },
    photo: null,
    nicks: [],
    phone: null,
  })
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [] })
  expect(await people(bed)).toEqual(after)
})

test('what somebody fills in again is masked again, each strategy by itself and that row alone', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(policy())
  await bed.enforce()
  const before = await people(bed)

  for (const [column, value] of Object.entries({
    login: 'canary',
    mail: 'canary@example.org',
    name: 'Canary',
    remark: 'call 07',
    born: '1990-02-02',
    income: '41000',
    home: '(48.85,2.35)',
    ip: '198.51.100.1',
    profile: '{"name": "canary"}',
    photo: 'canary',
    nicks: '{canary}',
    phone: '0612345678',
  })) {
    await bed.run(`update crm.person set ${column} = '${value}' where id = 3`)
    const { rules } = await bed.enforce()
    expect({ column, rows: rules[0]?.rows }).toEqual({ column, rows: 1 })
  }

  const after = await people(bed)
  expect(JSON.stringify(after)).not.toContain('anary')
  expect(after.toSpliced(2, 1)).toEqual(before.toSpliced(2, 1))
})

test('a pseudonym is not pseudonymised when another mask of the rule changes, nor under another key', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.govern(policy())
  await bed.enforce()
  const mails = async () => (await people(bed)).map(({ mail }) => mail)
  const before = await mails()

  await bed.govern(policy({ born: 'nothing' }))
  expect(await bed.enforce()).toMatchObject({ rules: [{ rows: 5 }] })
  expect(await mails()).toEqual(before)
  await bed.govern(policy({ born: 'nothing' }), pseudonymKey(9))
  expect(await bed.enforce()).toMatchObject({ rules: [] })
  await bed.govern(policy(), pseudonymKey(9))
  expect(await bed.enforce()).toMatchObject({ rules: [{ rows: 5 }] })
  expect(await mails()).toEqual(before)
})

test('a column under a key is called pseudonymised by the plan and by every explanation', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  const { catalog, rules } = await bed.govern(policy())

  const plan = renderPlan(await bed.plan())
  const explanation = await inSnapshot(bed.connection.db, async (trx) => {
    const table = catalog.tables.get('crm.person')
    const key = rules[0]?.key ?? []
    if (table === undefined) throw new Error('no table')
    const at = new Date().toISOString()
    return explainRecord(trx, { rules, table, key, values: ['1'], at })
  })

  expect(plan.replaceAll(/\s+/g, ' ')).toContain('pseudonymised (still personal data): mail;')
  expect(renderExplanation(explanation, 'en')).toContain('mail: pseudonymised, not anonymised.')
  expect(renderExplanation(explanation, 'fr')).toContain('mail : pseudonymisé, non anonymisé.')
})

test('a trigger that puts the old row back cannot pass for random digits or a pseudonym', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run(`
    update crm.person set login = md5(id::text), mail = md5(id::text) || 'aaaaaaaa';
    create function crm.restore() returns trigger language plpgsql as $$
    begin
      update crm.person set login = old.login, mail = old.mail where id = old.id;
      return null;
    end $$;
    grant update on crm.person to ${bed.roles.daemon};
    create trigger restore after update on crm.person for each row
      when (pg_trigger_depth() = 0) execute function crm.restore()`)
  const before = await people(bed)
  const triggers = '    triggers: { acknowledge: [restore] }\n'

  for (const only of ['login', 'mail']) {
    const kept = Object.keys(MASKS).filter((column) => column !== only)
    const masks = Object.fromEntries(kept.map((column) => [column, '{ keep: why }']))
    await bed.govern(
      `${policy({ ...masks, login: only === 'login' ? '{ random: 32 }' : '{ keep: why }' })}${triggers}`,
    )
    expect(await bed.enforce()).toMatchObject({ outcome: 'refused', rules: [{ rows: 0 }] })
  }

  expect(await people(bed)).toEqual(before)
})

test('the key of pseudonyms is in no plan, journal, marker or message', async ({ bed }) => {
  await bed.run(SCHEMA)
  const governed = await bed.govern(policy())
  await bed.enforce()

  const secret = '07'.repeat(32)
  const said = [
    JSON.stringify(governed.rules),
    JSON.stringify(await bed.plan()),
    JSON.stringify(await bed.rows('select * from retentiond.anonymised')),
    JSON.stringify(await bed.rows("select encode(body, 'escape') from retentiond.entry")),
  ].join()

  expect(said).toContain(pseudonymKey().id)
  expect(said).not.toContain(secret)
  expect(said).not.toContain('canary')
})

test('a document and a picture of many megabytes are overwritten where they are', async ({
  bed,
}) => {
  await bed.run(SCHEMA)
  await bed.run(`
    update crm.person
    set photo = convert_to(repeat('canary', 5000000), 'UTF8'),
      profile = jsonb_build_object('name', repeat('canary', 3000000), 'tier', 1)
    where id = 1`)
  await bed.govern(policy())
  const before = process.memoryUsage().rss

  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [{ rows: 5 }] })

  expect(process.memoryUsage().rss - before).toBeLessThan(30_000_000)
  const [first] = await people(bed)
  expect(first).toMatchObject({ photo: null, profile: { name: 'none', tier: 1 } })
})
