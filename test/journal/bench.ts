import { connect, type Connection, type Db } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import type { Roles } from '../../src/db/roles.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import type { EntryDraft } from '../../src/journal/entry.ts'
import type { Signer } from '../../src/journal/signature.ts'
import { appendEntry, openLog, type Appended } from '../../src/journal/store.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'
import { fixedClock, testSigner } from './builders.ts'

export const MIGRATIONS_FOLDER = new URL('../../migrations', import.meta.url).pathname

/** A database with our schema, its roles, and a connection of the daemon's role. */
export interface JournalBench extends AsyncDisposable {
  readonly database: TestDatabase
  readonly roles: Roles
  readonly signer: Signer
  readonly origin: string
  /** As the daemon. */
  readonly db: Db
  append(draft: EntryDraft): Promise<Appended>
}

export async function createRoles(database: TestDatabase): Promise<Roles> {
  return {
    owner: await database.createRole('owner'),
    daemon: await database.createRole('daemon'),
    auditor: await database.createRole('auditor'),
    keeper: await database.createRole('keeper'),
  }
}

/** Migrates as superuser and opens a journal. */
export async function openJournalBench(): Promise<JournalBench> {
  const database = await openTestDatabase()
  const roles = await createRoles(database)
  const origin = await prepare(database, roles)
  const daemon: Connection = connect(database.urlOf(roles.daemon), { max: 8 })
  return {
    database,
    roles,
    signer: testSigner,
    origin,
    db: daemon.db,
    append: async (draft) =>
      inTransaction(daemon.db, async (trx) => appendEntry(trx, testSigner, draft, fixedClock)),
    [Symbol.asyncDispose]: async () => {
      await daemon[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

async function prepare(database: TestDatabase, roles: Roles): Promise<string> {
  await using migrator = connect(database.superuserUrl)
  await migrate(migrator.db, { folder: MIGRATIONS_FOLDER, roles })
  const options = { origin: 'example.test/purge', product: 'retentiond test', owner: roles.owner }
  // Awaited here: the connection closes when this function returns.
  return await inTransaction(migrator.db, async (trx) =>
    openLog(trx, testSigner, options, fixedClock),
  )
}
