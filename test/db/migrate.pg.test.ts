import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, escapeIdentifier } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { ConfigError } from '../../src/base/errors.ts'
import { connect } from '../../src/db/connect.ts'
import { checkMigrated, migrate, MIGRATIONS } from '../../src/db/migrate.ts'
import { renderRoleGrants, type Roles } from '../../src/db/roles.ts'
import { openTestDatabase } from '../support/database.ts'
import { createRoles, MIGRATIONS_FOLDER } from '../journal/bench.ts'

/** A copy of the migrations that a test may change. */
async function copiedFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-migrations-'))
  onTestFinished(async () => rm(folder, { recursive: true }))
  await cp(MIGRATIONS_FOLDER, folder, { recursive: true })
  return folder
}

/** Names that no role has, dropped after the test if the printed grants made them. */
function freshRoles(): Roles {
  const name = (what: string) => `${what} "${randomBytes(4).toString('hex')}"`
  const roles = {
    owner: name('owner'),
    daemon: name('daemon'),
    auditor: name('auditor'),
    keeper: name('keeper'),
  }
  onTestFinished(async () => {
    const client = new Client({ connectionString: inject('superuserUrl') })
    await client.connect()
    for (const role of Object.values(roles)) {
      await client.query(`drop role if exists ${escapeIdentifier(role)}`)
    }
    await client.end()
  })
  return roles
}

async function refusalOf(work: Promise<unknown>): Promise<ConfigError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ConfigError)) throw new Error('expected a ConfigError', { cause: error })
  return error
}

test('a second migration finds nothing to do', async () => {
  await using database = await openTestDatabase()
  const options = { folder: MIGRATIONS_FOLDER, roles: await createRoles(database) }
  await using superuser = connect(database.superuserUrl)

  expect(await migrate(superuser.db, options)).toEqual(MIGRATIONS)
  expect(await migrate(superuser.db, options)).toEqual([])
  await checkMigrated(superuser.db)
})

test('two migrations at once apply everything once', async () => {
  await using database = await openTestDatabase()
  const options = { folder: MIGRATIONS_FOLDER, roles: await createRoles(database) }
  await using superuser = connect(database.superuserUrl)

  const applied = await Promise.all([
    migrate(superuser.db, options),
    migrate(superuser.db, options),
  ])

  expect(applied.flat()).toEqual(MIGRATIONS)
})

test('a migration leaves no lock behind', async () => {
  await using database = await openTestDatabase()
  const options = { folder: MIGRATIONS_FOLDER, roles: await createRoles(database) }
  await using superuser = connect(database.superuserUrl)
  await migrate(superuser.db, options)

  const { rows } = await database.superuser.query(
    `select from pg_locks where locktype = 'advisory'
     and database = (select oid from pg_database where datname = current_database())`,
  )

  expect(rows).toEqual([])
})

test('an edited migration is refused', async () => {
  await using database = await openTestDatabase()
  const folder = await copiedFolder()
  const options = { folder, roles: await createRoles(database) }
  await using superuser = connect(database.superuserUrl)
  await migrate(superuser.db, options)
  await writeFile(join(folder, '0001_journal.sql'), 'select 1;')

  const error = await refusalOf(migrate(superuser.db, options))

  expect(error.message).toBe('migration 0001_journal was edited after it was applied')
})

test('a migration that was applied and is missing is refused', async () => {
  await using database = await openTestDatabase()
  const folder = await copiedFolder()
  const options = { folder, roles: await createRoles(database) }
  await using superuser = connect(database.superuserUrl)
  await migrate(superuser.db, options)
  await rm(join(folder, '0001_journal.sql'))

  const error = await refusalOf(migrate(superuser.db, options))

  expect(error.message).toBe('migration 0001_journal was applied, but its file is missing')
})

test('a migration that fails takes those before it back', async () => {
  await using database = await openTestDatabase()
  const folder = await copiedFolder()
  await writeFile(join(folder, '0002_broken.sql'), 'create table retentiond.more (); select 1/0;')
  await using superuser = connect(database.superuserUrl)
  const roles = await createRoles(database)

  await expect(migrate(superuser.db, { folder, roles })).rejects.toMatchObject({
    code: 'DATABASE_FAILED',
    sqlstate: '22012',
  })
  await expect(checkMigrated(superuser.db)).rejects.toThrow(/never migrated/)
})

test('roles that are missing are all named, with the SQL that makes them', async () => {
  await using database = await openTestDatabase()
  const roles = freshRoles()
  await using superuser = connect(database.superuserUrl)

  const error = await refusalOf(migrate(superuser.db, { folder: MIGRATIONS_FOLDER, roles }))

  for (const role of Object.values(roles))
    expect(error.message).toContain(`role ${role} does not exist`)
  expect(error.remedy).toContain(
    renderRoleGrants(roles, { database: database.name, serverVersion: inject('major') }),
  )
})

test('the printed SQL is all that a migrator without superuser needs, and may be run twice', async () => {
  await using database = await openTestDatabase()
  const roles = freshRoles()
  const migrator = await database.createRole('migrator')
  const options = { folder: MIGRATIONS_FOLDER, roles }
  await using connection = connect(database.urlOf(migrator))
  const error = await refusalOf(migrate(connection.db, options))
  const grants = error.remedy?.slice(error.remedy.indexOf('\n') + 1) ?? ''

  await database.superuser.query(grants)
  await database.superuser.query(grants)

  expect(error.message).toContain(`role ${migrator} may not create a schema`)
  expect(await migrate(connection.db, options)).toEqual(MIGRATIONS)
  const { rows } = await database.superuser.query(
    "select pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = 'retentiond'",
  )
  expect(rows).toEqual([{ owner: roles.owner }])
})

test('a migrator that may not become the owner is told so', async () => {
  await using database = await openTestDatabase()
  const roles = await createRoles(database)
  const migrator = await database.createRole('migrator')
  await database.superuser.query(`grant create on database ${database.name} to ${migrator}`)
  await using connection = connect(database.urlOf(migrator))

  const error = await refusalOf(migrate(connection.db, { folder: MIGRATIONS_FOLDER, roles }))

  expect(error.message).toBe(
    `the database is not ready to be migrated: role ${migrator} may not become ${roles.owner}`,
  )
})

test('a daemon that could rewrite the journal is refused', async () => {
  await using database = await openTestDatabase()
  const roles = await createRoles(database)
  await database.superuser.query(`grant ${roles.owner} to ${roles.daemon}`)
  await database.superuser.query(`alter role ${roles.auditor} superuser`)
  await using superuser = connect(database.superuserUrl)

  const error = await refusalOf(migrate(superuser.db, { folder: MIGRATIONS_FOLDER, roles }))

  expect(error.message).toContain(`role ${roles.daemon} is a member of ${roles.owner}`)
  expect(error.message).toContain(`role ${roles.auditor} is a superuser`)
})

test('owner, daemon, auditor and keeper are four roles', async () => {
  await using database = await openTestDatabase()
  const roles = await createRoles(database)
  await using superuser = connect(database.superuserUrl)
  const options = { folder: MIGRATIONS_FOLDER, roles: { ...roles, auditor: roles.daemon } }

  const error = await refusalOf(migrate(superuser.db, options))

  expect(error.message).toContain('owner, daemon, auditor and keeper must be four roles')
})

test('a schema retentiond of another owner is refused, one of the owner is filled', async () => {
  await using database = await openTestDatabase()
  const roles = await createRoles(database)
  const stranger = await database.createRole('stranger')
  const options = { folder: MIGRATIONS_FOLDER, roles }
  await using superuser = connect(database.superuserUrl)
  await database.superuser.query(`create schema retentiond authorization ${stranger}`)

  const error = await refusalOf(migrate(superuser.db, options))
  await database.superuser.query(`alter schema retentiond owner to ${roles.owner}`)

  expect(error.message).toContain(`belongs to ${stranger}, not to ${roles.owner}`)
  expect(await migrate(superuser.db, options)).toEqual(MIGRATIONS)
})

test('a database that was never migrated, is older, is newer or is closed to us is told apart', async () => {
  await using database = await openTestDatabase()
  const roles = await createRoles(database)
  const stranger = await database.createRole('stranger')
  await using daemon = connect(database.urlOf(roles.daemon))
  await using outsider = connect(database.urlOf(stranger))
  await using superuser = connect(database.superuserUrl)
  const say = async () => (await refusalOf(checkMigrated(daemon.db))).message

  const never = await say()
  await migrate(superuser.db, { folder: MIGRATIONS_FOLDER, roles })
  await checkMigrated(daemon.db)
  const closed = (await refusalOf(checkMigrated(outsider.db))).message
  await database.superuser.query("insert into retentiond.migration values ('9999_later', '')")
  const newer = await say()
  await database.superuser.query('delete from retentiond.migration')
  const older = await say()

  expect(never).toBe('the database has no schema retentiond: it was never migrated')
  expect(closed).toBe(`role ${stranger} may not read the schema retentiond`)
  expect(newer).toBe('the database is newer than this program: it has 9999_later')
  expect(older).toBe(`the database is older than this program: it lacks ${MIGRATIONS.join(', ')}`)
})
