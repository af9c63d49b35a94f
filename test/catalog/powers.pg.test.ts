import { afterAll, beforeAll, expect, test } from 'vitest'
import { inspectPowers } from '../../src/catalog/inspect-role.ts'
import { connect, type Connection } from '../../src/db/connect.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let connection: Connection
let role: string
let owner: string

beforeAll(async () => {
  database = await openTestDatabase()
  role = await database.createRole('runs')
  owner = await database.createRole('owns')
  await database.superuser.query(`
    create schema site;
    create schema retentiond;
    create table site.visit (id bigint primary key);
    create table site.guest (id bigint primary key);
    create table retentiond.entry (seq bigint primary key);
    alter table site.guest owner to ${role}`)
  connection = connect(database.urlOf(role), { max: 1 })
})

afterAll(async () => {
  await connection[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const VISIT = [{ schema: 'site', name: 'visit', only: true }]

async function powers(): Promise<readonly string[]> {
  return (await inspectPowers(connection.db, VISIT)).map(({ code, message }) =>
    `${code}: ${message}`.replaceAll(role, 'runs').replaceAll(owner, 'owns'),
  )
}

/** Puts the names of the roles where `statement` says runs and owns. */
const sql = async (statement: string) =>
  database.superuser.query(statement.replaceAll('$runs', role).replaceAll('$owns', owner))

test('a role with the rights on its tables alone, and one that owns others, may not too much', async () => {
  expect(await powers()).toEqual([])
})

test.for([
  ['alter role $runs createrole', 'alter role $runs nocreaterole', 'role_creates_roles'],
  ['alter role $runs replication', 'alter role $runs noreplication', 'role_replicates'],
  ['alter role $runs bypassrls', 'alter role $runs nobypassrls', 'role_bypasses_rls'],
  ['grant pg_write_all_data to $runs', 'revoke pg_write_all_data from $runs', 'role_member'],
  ['alter table site.visit owner to $runs', 'alter table site.visit owner to postgres', 'owns_'],
  ['alter role $runs superuser', 'alter role $runs nosuperuser', 'role_superuser'],
] as const)('a power that no rule needs is found: %s', async ([give, take, code]) => {
  await sql(give)

  const found = await powers()
  await sql(take)

  expect(found).toHaveLength(1)
  expect(found[0]).toContain(code)
  expect(await powers()).toEqual([])
})

test('a member of the role that owns the tables or the journal owns them', async () => {
  await sql('alter table site.visit owner to $owns; alter table retentiond.entry owner to $owns')
  await sql('grant $owns to $runs')

  const found = await powers()
  await sql('revoke $owns from $runs')

  expect(found).toEqual([
    'role_owns_tables: role runs owns retentiond.entry, site.visit, or is a member of the role that does: it can change and drop them, their triggers and their grants',
  ])
  expect(await powers()).toEqual([])
})

test('the right to pass row security is needed where a table of the rules has it', async () => {
  await sql('alter role $runs bypassrls; alter table site.visit enable row level security')

  const found = await powers()
  await sql('alter role $runs nobypassrls; alter table site.visit disable row level security')

  expect(found).toEqual([])
})
