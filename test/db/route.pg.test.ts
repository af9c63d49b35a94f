/** Failover, standbys and rotated passwords: faults.md C5, C7, C8 and C15. */
import { sql } from 'kysely'
import { Client } from 'pg'
import { expect, inject, test } from 'vitest'
import { startPostgres } from '../../deploy/embedded/postgres.ts'
import { connect, type Db } from '../../src/db/connect.ts'
import { openTestDatabase } from '../support/database.ts'
import { startStandby } from '../support/standby.ts'

async function portOf(db: Db): Promise<number> {
  const { rows } = await sql<{ port: number }>`select inet_server_port() as port`.execute(db)
  return rows[0]?.port ?? 0
}

async function promote(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('select pg_promote(true, 60)')
  await client.end()
}

test('connections go to the primary, to the promoted standby after it stopped, and to a standby if there is nothing else', async () => {
  const major = inject('major')
  await using primary = await startPostgres({ major })
  await using standby = await startStandby(primary, { major })
  const url = new URL(primary.url())
  const both = primary.url().replace(url.host, `127.0.0.1:${standby.port},${url.host}`)
  await using connection = connect(both, { max: 2 })

  expect(await portOf(connection.db)).toBe(primary.port)

  await primary[Symbol.asyncDispose]()
  // The connection that was open fails once; whoever asks again gets the standby, which only reads.
  await portOf(connection.db).catch(() => {})
  expect(await portOf(connection.db)).toBe(standby.port)
  await expect(sql`create table t (id int)`.execute(connection.db)).rejects.toMatchObject({
    code: '25006',
  })

  await promote(standby.url())
  await sql`create table t (id int)`.execute(connection.db)
  expect(await portOf(connection.db)).toBe(standby.port)
})

test('a rotated password is used for the next connection, without a restart', async () => {
  await using database = await openTestDatabase()
  const role = await database.createRole('rotated')
  const now = { url: database.urlOf(role) }
  await using connection = connect(() => now.url, { max: 1 })
  await sql`select 1`.execute(connection.db)

  await database.superuser.query(`alter role ${role} password 'another'`)
  await sql`select 1`.execute(connection.db)
  now.url = now.url.replace(':test@', ':another@')
  const { rows } = await sql<{ role: string }>`select current_user as role`.execute(connection.db)

  expect(rows).toEqual([{ role }])
})

test('a process outlives connections that the server ends while they idle', async () => {
  await using database = await openTestDatabase()
  await using connection = connect(database.superuserUrl, { max: 1, applicationName: 'idler' })
  await sql`select 1`.execute(connection.db)

  await database.superuser.query(
    "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'idler'",
  )
  await sql`select 1`.execute(connection.db).catch(() => {})

  await expect(sql`select 1`.execute(connection.db)).resolves.toBeDefined()
})
