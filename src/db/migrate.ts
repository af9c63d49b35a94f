import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { sql, type Kysely, type Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import { ConfigError, invariant } from '../base/errors.ts'
import { requirePrepared } from './migrate-rights.ts'
import { insideTransaction, lockMigrations } from './migrate-transaction.ts'
import type { Roles } from './roles.ts'
import type { OwnTables } from './schema.ts'
import { classify } from './sqlstate.ts'
import { inTransaction } from './transaction.ts'

/** The migrations this program was written against, oldest first: the files of migrations/. */
export const MIGRATIONS: readonly string[] = [
  '0001_journal',
  '0002_hold',
  '0003_approval',
  '0004_checkpoint',
  '0005_evidence',
  '0006_anchor',
  '0007_archive',
  '0008_sink',
]

export type MigrateOptions = {
  /** Holds the numbered .sql files. */
  readonly folder: string
  readonly roles: Roles
  /** Done in the same transaction, before the schema is looked for and after it is there. */
  readonly before?: (trx: Transaction<OwnTables>) => Promise<void>
  readonly after?: (trx: Transaction<OwnTables>) => Promise<void>
}

type MigrationFile = { readonly name: string; readonly text: string; readonly sha256: string }

/**
 * Brings our schema up to date and returns the names of the migrations it applied: all of them or,
 * if one fails, none. Before it changes anything it names every role and right that is missing.
 */
export async function migrate(
  db: Kysely<OwnTables>,
  { folder, roles, before, after }: MigrateOptions,
): Promise<readonly string[]> {
  const files = await readMigrations(folder)
  try {
    return await inTransaction(db, async (trx) => {
      await beUnhurried(trx)
      await lockMigrations(trx)
      await before?.(trx)
      await requirePrepared(trx, roles)
      await createSchema(trx, roles)
      await requireUnedited(trx, files)
      const applied = await applyPending(trx, files)
      await after?.(trx)
      return applied
    })
  } catch (error) {
    throw classify(error)
  }
}

/** Throws a ConfigError unless the database has exactly the schema that this program knows. */
export async function checkMigrated(db: Kysely<OwnTables>): Promise<void> {
  const place = await findMigrationTable(db)
  if (place === null) {
    throw new ConfigError('the database has no schema retentiond: it was never migrated', {
      remedy: 'run: retentiond migrate',
    })
  }
  if (!place.readable) {
    throw new ConfigError(`role ${place.role} may not read the schema retentiond`, {
      remedy: 'connect as the role that was named to retentiond migrate as daemon or auditor',
    })
  }
  const applied = new Set(await readApplied(db))
  const unknown = [...applied].filter((name) => !MIGRATIONS.includes(name))
  if (unknown.length > 0) {
    throw new ConfigError(`the database is newer than this program: it has ${unknown.join(', ')}`, {
      remedy: 'run the version of retentiond that migrated this database, or a newer one',
    })
  }
  const missing = MIGRATIONS.filter((name) => !applied.has(name))
  if (missing.length > 0) {
    throw new ConfigError(
      `the database is older than this program: it lacks ${missing.join(', ')}`,
      {
        remedy: 'run: retentiond migrate',
      },
    )
  }
}

/** A migration may take long, and waits for nobody but another migration. */
async function beUnhurried(trx: Transaction<OwnTables>): Promise<void> {
  await sql`
    select
      set_config('statement_timeout', '600s', true),
      set_config('lock_timeout', '60s', true)`.execute(trx)
}

async function readMigrations(folder: string): Promise<readonly MigrationFile[]> {
  const names = (await readdir(folder)).filter((file) => file.endsWith('.sql')).toSorted()
  return Promise.all(
    names.map(async (file) => {
      const text = await readFile(join(folder, file), 'utf8')
      const sha256 = createHash('sha256').update(text).digest('hex')
      return { name: basename(file, '.sql'), text, sha256 }
    }),
  )
}

/** Makes the schema if it is not there, and goes on as its owner to the end of the transaction. */
async function createSchema(trx: Transaction<OwnTables>, roles: Roles): Promise<void> {
  await sql`create schema if not exists retentiond authorization ${sql.id(roles.owner)}`.execute(
    trx,
  )
  await sql`set local role ${sql.id(roles.owner)}`.execute(trx)
  await sql`
    select
      set_config('retentiond.daemon_role', ${roles.daemon}, true),
      set_config('retentiond.auditor_role', ${roles.auditor}, true),
      set_config('retentiond.keeper_role', ${roles.keeper}, true)`.execute(trx)
  await trx.schema
    .withSchema('retentiond')
    .createTable('migration_file')
    .ifNotExists()
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .execute()
}

/** A file that changed after it was applied says something else than the database does. */
async function requireUnedited(
  trx: Transaction<OwnTables>,
  files: readonly MigrationFile[],
): Promise<void> {
  const applied = await trx
    .selectFrom('retentiond.migration_file')
    .select(['name', 'sha256'])
    .orderBy('name')
    .execute()
  for (const { name, sha256 } of applied) {
    const file = files.find((candidate) => candidate.name === name)
    if (file === undefined) {
      throw new ConfigError(`migration ${name} was applied, but its file is missing`, {
        remedy: 'run the version of retentiond that applied it, or a newer one',
      })
    }
    if (file.sha256 !== sha256) {
      throw new ConfigError(`migration ${name} was edited after it was applied`, {
        remedy: 'put the released file back; a change of the schema is a new file',
      })
    }
  }
}

async function applyPending(
  trx: Transaction<OwnTables>,
  files: readonly MigrationFile[],
): Promise<readonly string[]> {
  const migrator = new Migrator({
    db: insideTransaction(trx),
    migrationTableSchema: 'retentiond',
    migrationTableName: 'migration',
    migrationLockTableName: 'migration_lock',
    provider: {
      getMigrations: async () =>
        Object.fromEntries(files.map((file) => [file.name, { up: async () => apply(trx, file) }])),
    },
  })
  const { error, results } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
  invariant(results !== undefined, 'the migrator gave neither results nor an error')
  return results.map(({ migrationName }) => migrationName)
}

async function apply(
  trx: Transaction<OwnTables>,
  { name, text, sha256 }: MigrationFile,
): Promise<void> {
  // The one place for sql.raw: the text is a file of this program, not something made of values.
  await sql.raw(text).execute(trx)
  await trx.insertInto('retentiond.migration_file').values({ name, sha256 }).execute()
}

type MigrationTablePlace = { readonly role: string; readonly readable: boolean }

async function findMigrationTable(db: Kysely<OwnTables>): Promise<MigrationTablePlace | null> {
  const { rows } = await sql<MigrationTablePlace>`
    select
      current_user as role,
      has_schema_privilege(namespace.oid, 'usage')
        and has_table_privilege(class.oid, 'select') as readable
    from pg_catalog.pg_class as class
    join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
    where namespace.nspname = 'retentiond'
      and class.relname = 'migration'`.execute(db)
  return rows[0] ?? null
}

async function readApplied(db: Kysely<OwnTables>): Promise<readonly string[]> {
  const rows = await db.selectFrom('retentiond.migration').select('name').orderBy('name').execute()
  return rows.map(({ name }) => name)
}
