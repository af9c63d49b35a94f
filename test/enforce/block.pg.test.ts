import { expect } from 'vitest'
import { PolicyError, RefusedError } from '../../src/base/errors.ts'
import { inSnapshot } from '../../src/db/transaction.ts'
import { parseEntry } from '../../src/journal/entry.ts'
import { readEntries } from '../../src/journal/read.ts'
import { renderExplanation } from '../../src/plan/explain-text.ts'
import { explainRecord, type Explanation } from '../../src/plan/explain.ts'
import { renderPlan } from '../../src/plan/render.ts'
import { CASE, openDesk, row } from '../hold/desk.ts'
import { test, type Bed } from '../support/bed.ts'

/** Person n left so many months ago: none, 40, 130, 150; person 5 is still there. */
const TABLES = `
  create schema crm;
  create function crm.ago(months int) returns date language sql
  return (current_date - make_interval(months => months))::date;
  create table crm.company (id int primary key, name text);
  create table crm.person (
    id int primary key, company_id int references crm.company, name text, mail text, photo json,
    home point, initial text generated always as (left(name, 1)) stored
  );
  create table crm.contract (
    id int primary key, person_id int not null references crm.person, ended_on date
  );
  insert into crm.company values (7, 'seven');
  insert into crm.person (id, company_id, name, mail, photo, home)
  select n, 7, 'Canary ' || n, 'p' || n || '@example.org', '{ "a":  1, "a": 2}', '(0, -0)'
  from generate_series(1, 5) as n;
  insert into crm.contract values
    (10, 1, crm.ago(1)), (20, 2, crm.ago(40)), (21, 2, crm.ago(99)), (30, 3, crm.ago(130)),
    (40, 4, crm.ago(150)), (50, 5, null), (51, 5, crm.ago(150));`

const ARCHIVES = `
  create schema crm_archive;
  create table crm_archive.person (like crm.person);
  alter table crm_archive.person add primary key (id);
  create table crm_archive.contract (like crm.contract);
  alter table crm_archive.contract add primary key (id);
  alter table crm_archive.contract add foreign key (person_id) references crm_archive.person;`

const PHASES = `
      - after: 3 years
        block: { archive: crm_archive.person, along: { crm.contract: crm_archive.contract } }
      - after: 10 years
        anonymise:
          name: nothing
          photo: nothing
          home: nothing
          mail: { keep: 'the subject' }
      - after: 12 years
        purge: true`

const BLOCK_ALONE = `
      block: { archive: crm_archive.person, along: { crm.contract: crm_archive.contract } }
    keep: 3 years`

const policy = (then = PHASES, more = ''): string => `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10000, max_percent: 100 } }
${more}rules:
  - id: person
    table: crm.person
    subject: mail
    start: { latest: crm.contract.ended_on, by: { person_id: id } }
    then:${then}
    references: { crm.contract: with_parent }
`

async function set(bed: Bed): Promise<void> {
  await bed.run(TABLES)
  await bed.run(ARCHIVES)
}

async function stateOf(bed: Bed) {
  const of = (table: string, shown: string): string =>
    `(select coalesce(array_agg(${shown} order by id), '{}') from ${table})`
  const name = "id || coalesce(' ' || name, '')"
  const [state] = await bed.rows(`select
    ${of('crm.person', name)} as people, ${of('crm.contract', 'id')} as contracts,
    ${of('crm_archive.person', name)} as blocked, ${of('crm_archive.contract', 'id')} as along`)
  return state
}

async function explain(
  { connection }: Bed,
  { rules, catalog }: Awaited<ReturnType<Bed['govern']>>,
  [name, id]: readonly [string, string],
): Promise<Explanation> {
  const table = catalog.tables.get(name)
  const key = rules[0]?.key ?? []
  if (table === undefined) throw new Error('no table')
  const at = new Date().toISOString()
  return inSnapshot(connection.db, async (trx) =>
    explainRecord(trx, { rules, table, key, values: [id], at }),
  )
}

test('a blocked row is moved whole with those that go along, and its later phases follow it there', async ({
  bed,
}) => {
  await set(bed)
  await bed.govern(policy())
  const before = await bed.rows('select person::text as row from crm.person where id = 2')

  const plan = await bed.plan()
  expect(plan.rules.map(({ rule, table, counts: { due } }) => [rule, table, due])).toEqual([
    ['person.anonymise', 'crm.person', 1],
    ['person.anonymise.archive', 'crm_archive.person', 0],
    ['person.block', 'crm.person', 1],
    ['person.purge', 'crm.person', 1],
    ['person.purge.archive', 'crm_archive.person', 0],
  ])
  expect(await bed.enforce({ plan })).toMatchObject({ outcome: 'done' })

  // Rows that the rule is late with are masked or purged where they stand.
  expect(await stateOf(bed)).toEqual({
    people: ['1 Canary 1', '3', '5 Canary 5'],
    contracts: [10, 30, 50, 51],
    blocked: ['2 Canary 2'],
    along: [20, 21],
  })
  expect(await bed.rows('select person::text as row from crm_archive.person')).toEqual(before)
  expect(await bed.enforce()).toMatchObject({ outcome: 'done', rules: [] })

  await bed.run('update crm_archive.contract set ended_on = crm.ago(121)')
  expect(await bed.enforce()).toMatchObject({
    rules: [{ rule: 'person.anonymise.archive', rows: 1, childRows: 0 }],
  })
  expect(await stateOf(bed)).toMatchObject({ blocked: ['2'], along: [20, 21] })

  await bed.run('update crm_archive.contract set ended_on = crm.ago(145)')
  expect(await bed.enforce()).toMatchObject({
    rules: [{ rule: 'person.purge.archive', rows: 1, childRows: 2 }],
  })
  expect(await stateOf(bed)).toMatchObject({ blocked: [], along: [] })
})

test('the journal names a block, what went along, and the archives, and no key', async ({
  bed,
}) => {
  await set(bed)
  await bed.govern(policy())
  await bed.enforce()

  const entries = []
  for await (const { body } of readEntries(bed.connection.db)) entries.push(parseEntry(body).entry)

  expect(entries).toContainEqual(
    expect.objectContaining({
      type: 'policy',
      rule: 'person.block',
      action: 'block',
      archives: [
        { target: 'crm.person', archive: 'crm_archive.person' },
        { target: 'crm.contract', archive: 'crm_archive.contract' },
      ],
    }),
  )
  expect(entries).toContainEqual(
    expect.objectContaining({
      type: 'batch',
      target: 'crm.person',
      action: 'block',
      method: 'sql-move',
      rows: 1,
      children: [{ target: 'crm.contract', action: 'block', rows: 2 }],
    }),
  )
})

test('a hold reaches a record before and after it was blocked, by its old key, its subject, its rule and above', async ({
  bed,
}) => {
  await set(bed)
  await bed.run('alter table crm.company add at date')
  const company = `  - id: company
    table: crm.company
    start: at
    keep: 1 year
    then: purge
    references: { crm.person: own_rule }
`
  const source = 'holds: [{ table: crm.litigation, covers: { crm.person: person_id } }]\n'
  await bed.run('create table crm.litigation (id int primary key, person_id int)')
  const { rules } = await bed.govern(policy(PHASES, source) + company)
  await using desk = openDesk(bed, rules)
  await desk.place(row('crm.person', '2'))
  expect((await bed.plan()).rules.find(({ rule }) => rule === 'person.block')?.counts.held).toBe(1)
  await desk.lift()
  await bed.enforce()
  await bed.run('update crm_archive.contract set ended_on = crm.ago(121)')

  const held = async (): Promise<number> =>
    (await bed.plan()).rules.find(({ rule }) => rule === 'person.anonymise.archive')?.counts.held ??
    -1
  expect(await held()).toBe(0)
  for (const scope of [
    row('crm.person', '2'),
    row('crm_archive.person', '2'),
    row('crm.company', '7'),
    { kind: 'subject', value: 'p2@example.org' },
    { kind: 'rule', rule: 'person' },
  ] as const) {
    await desk.place(scope)
    expect([scope, await held()]).toEqual([scope, 1])
    await desk.lift(CASE)
  }
  await bed.run('insert into crm.litigation values (1, 2)')
  expect(await held()).toBe(1)
  await expect(desk.place(row('crm.person', '4'))).rejects.toBeInstanceOf(RefusedError)
})

test('a record that is open again after it was blocked is reported with the remedy, and left alone', async ({
  bed,
}) => {
  await set(bed)
  // Nothing but an agreement keeps a new contract from naming a person that is not there.
  await bed.run(`
    alter table crm.contract drop constraint contract_person_id_fkey;
    alter table crm_archive.contract drop constraint contract_person_id_fkey;
    create schema store;
    alter table crm_archive.contract set schema store`)
  const alone = PHASES.replace(', along: { crm.contract: crm_archive.contract }', '')
  const governed = await bed.govern(
    policy(alone).replace('    references: { crm.contract: with_parent }\n', ''),
  )
  expect(await bed.enforce()).toMatchObject({ outcome: 'done' })
  await bed.run('update crm.contract set ended_on = crm.ago(150) where person_id = 2')
  await bed.run('insert into crm.contract values (22, 2, null)')

  const plan = await bed.plan()
  const block = plan.rules.find(({ rule }) => rule === 'person.block')
  expect(block?.archive).toEqual({ table: 'crm_archive.person', rows: 1, reopened: 1 })
  expect(block?.remarks.map(({ code }) => code)).toContain('blocked_although_open')
  expect(renderPlan(plan)).toContain('1 BLOCKED ALTHOUGH OPEN')
  const found = await explain(bed, governed, ['crm.person', '2'])
  expect(found.archived).toEqual({
    archive: 'crm_archive.person',
    rule: 'person.block',
    reopened: true,
  })
  expect(found.rules.map(({ verdict }) => verdict)).toEqual(['open', 'open'])
  expect(renderExplanation(found, 'en')).toContain('BLOCKED ALTHOUGH OPEN')
  expect(renderExplanation(found, 'fr')).toContain("BLOQUÉ BIEN QU'OUVERT")
  await bed.enforce()
  expect(await bed.rows('select name from crm_archive.person')).toEqual([{ name: 'Canary 2' }])

  await bed.run('delete from crm.contract where id = 22')
  expect((await explain(bed, governed, ['crm.person', '2'])).archived?.reopened).toBe(false)
})

test('a row that its archive does not take as it is stays, and the others are moved', async ({
  bed,
}) => {
  await set(bed)
  await bed.run(`
    update crm.contract set ended_on = crm.ago(40) where person_id in (1, 3);
    alter table crm_archive.person add constraint odd check (id <> 2);
    create function crm.lie() returns trigger language plpgsql as $$
      begin new.name := 'changed'; return new; end $$`)
  await bed.govern(policy())
  await bed.watch()

  expect(await bed.enforce()).toMatchObject({ outcome: 'partial' })
  expect(await stateOf(bed)).toMatchObject({
    people: ['2 Canary 2', '5 Canary 5'],
    blocked: ['1 Canary 1', '3 Canary 3'],
    along: [10, 30],
  })

  // A trigger that came since the plan is found by the shape; one that was always there refuses the rule.
  await bed.run('alter table crm_archive.person drop constraint odd')
  const plan = await bed.plan()
  await bed.run(
    'create trigger lie before insert on crm_archive.person for each row execute function crm.lie()',
  )
  expect(await bed.enforce({ plan })).toMatchObject({ outcome: 'catalog' })
  await expect(bed.govern(policy())).rejects.toBeInstanceOf(PolicyError)
  await bed.run('drop trigger lie on crm_archive.person')
  await bed.govern(policy())
  expect(await bed.enforce()).toMatchObject({ outcome: 'done' })
})

test('a key that was blocked before is foreseen as blocked, of the row and of what goes along', async ({
  bed,
}) => {
  await set(bed)
  await bed.run(`
    update crm.contract set ended_on = crm.ago(40) where person_id in (1, 3);
    insert into crm_archive.person (id, name) values (2, 'before'), (9, 'before');
    insert into crm_archive.contract values (10, 9, crm.ago(200))`)
  const governed = await bed.govern(policy(BLOCK_ALONE))

  const plan = await bed.plan()
  const result = await bed.enforce({ plan, approval: plan.digest })

  const [block] = plan.rules
  expect(block?.counts).toMatchObject({ due: 2, blocked: 2 })
  expect(block?.remarks.find(({ code }) => code === 'key_taken_in_archive')?.message).toContain(
    'of 2 rows the key',
  )
  expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 2, left: 0 }] })
  const found = await explain(bed, governed, ['crm.person', '1'])
  expect(renderExplanation(found, 'en')).toContain('already in crm_archive.contract by its key')
  expect(renderExplanation(found, 'fr')).toContain('déjà dans crm_archive.contract sous sa clé')
})

test('an archive that somebody reads who reaches the table refuses the rule, and ends a run', async ({
  bed,
}) => {
  await set(bed)
  const app = await bed.database.createRole('app')
  const readers = await bed.database.createRole('readers')
  const fit = async (): Promise<string> => {
    try {
      await bed.govern(policy())
      return 'fits'
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error
      return error.problems
        .map(({ code, message }) => `${code} ${message.split(' can ')[0] ?? ''}`)
        .join()
    }
  }
  await bed.run(`grant select on crm_archive.person to ${app}`)
  expect(await fit()).toBe('fits')
  await bed.run(`grant usage on schema crm_archive to ${app}`)
  expect(await fit()).toBe('fits')
  await bed.run(`grant insert on crm.person to ${app}`)
  expect(await fit()).toBe(`archive_open ${app}`)
  await bed.run(`revoke select on crm_archive.person from ${app}`)
  expect(await fit()).toBe('fits')
  await bed.run(
    `grant select (name) on crm_archive.person to ${readers}; grant ${readers} to ${app}`,
  )
  expect(await fit()).toBe(`archive_open ${app}`)
  await bed.run(`alter role ${app} noinherit`)
  expect(await fit()).toBe(`archive_open ${app}`)
  await bed.run(
    `revoke ${readers} from ${app}; grant select (id) on crm_archive.contract to public`,
  )
  expect(await fit()).toBe('archive_open PUBLIC')
  await bed.run('revoke select (id) on crm_archive.contract from public')
  expect(await fit()).toBe('fits')

  const plan = await bed.plan()
  await bed.run(`grant select on crm_archive.person to ${app}`)
  const result = await bed.enforce({ plan })
  expect(result).toMatchObject({ outcome: 'refused' })
  expect(result.rules.find(({ rule }) => rule === 'person.block')).toMatchObject({ rows: 0 })
  expect(await stateOf(bed)).toMatchObject({ blocked: [] })
})
