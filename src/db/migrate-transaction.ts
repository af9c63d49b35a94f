import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
  type DatabaseConnection,
  type CompiledQuery,
  type Driver,
  type QueryExecutorProvider,
  type Transaction,
} from 'kysely'
import type { OwnTables } from './schema.ts'

/** Any number that no other program uses: `retentio` in ASCII. */
const MIGRATION_LOCK = '8243122671965202799'

/**
 * Waits until no other migration of this database runs. The lock ends with the transaction: a lock
 * of the session, which Kysely would take, stays behind a pooler on a connection that is no longer
 * ours to unlock.
 */
export async function lockMigrations(trx: QueryExecutorProvider): Promise<void> {
  await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK}::bigint)`.execute(trx)
}

class TransactionLockAdapter extends PostgresAdapter {
  override async acquireMigrationLock(db: QueryExecutorProvider): Promise<void> {
    await lockMigrations(db)
  }

  override async releaseMigrationLock(): Promise<void> {
    // Released by the end of the transaction.
  }
}

/**
 * A Kysely for its Migrator, on the one connection of a transaction that is open already, with the
 * lock above. The adapter belongs to the dialect, and a transaction cannot be given another one.
 */
export function insideTransaction(trx: Transaction<OwnTables>): Kysely<unknown> {
  const connection: DatabaseConnection = {
    executeQuery: async <R>(query: CompiledQuery) => trx.executeQuery<R>(query),
    streamQuery: () => {
      throw new Error('a migration does not stream')
    },
  }
  // Begin, commit and rollback are the caller's: one transaction holds every migration.
  const driver: Driver = {
    init: async () => {},
    acquireConnection: async () => connection,
    beginTransaction: async () => {},
    commitTransaction: async () => {},
    rollbackTransaction: async () => {},
    releaseConnection: async () => {},
    destroy: async () => {},
  }
  return new Kysely({
    dialect: {
      createAdapter: () => new TransactionLockAdapter(),
      createDriver: () => driver,
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}
