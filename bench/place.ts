/** Where everything is measured: one server with production-like settings, and a journal beside the tables. */
import { generateKeyPairSync } from 'node:crypto'
import { Client } from 'pg'
import { startPostgres } from '../deploy/embedded/postgres.ts'
import { systemClock } from '../src/base/clock.ts'
import { connect } from '../src/db/connect.ts'
import { migrate } from '../src/db/migrate.ts'
import { DEFAULT_ROLES, renderRoleGrants } from '../src/db/roles.ts'
import { inTransaction } from '../src/db/transaction.ts'
import { signerOf, type Signer } from '../src/journal/signature.ts'
import { openLog } from '../src/journal/store.ts'

export interface Place extends AsyncDisposable {
  /** The application, a superuser here. */
  readonly application: Client
  readonly applicationUrl: string
  /** Of the role that the program connects as. */
  readonly programUrl: string
  readonly signer: Signer
  /** The entry key in PEM, for a program of its own. */
  readonly entryKey: string
  readonly version: string
  /** The server's first process. */
  readonly pid: number
}

/** As a small production server would have them; what the tests switch off is on. */
const SETTINGS = [
  'fsync=on',
  'full_page_writes=on',
  'synchronous_commit=on',
  'max_wal_size=4GB',
  'checkpoint_timeout=15min',
  'wal_compression=off',
  'work_mem=16MB',
  'maintenance_work_mem=256MB',
  'autovacuum=off',
]

const PASSWORD = 'bench'

/** A table of two million rows fits into it, as what an application works with should. */
const SHARED_BUFFERS = '1GB'

/** Starts the server and opens a journal in it. */
export async function openPlace(sharedBuffers = SHARED_BUFFERS): Promise<Place> {
  const settings = [...SETTINGS, `shared_buffers=${sharedBuffers}`]
  const server = await startPostgres({ major: 18, settings })
  const applicationUrl = server.url()
  const application = new Client({ connectionString: applicationUrl })
  await application.connect()
  await application.query(
    renderRoleGrants(DEFAULT_ROLES, { database: 'postgres', serverVersion: 18 }),
  )
  await application.query(`alter role ${DEFAULT_ROLES.daemon} password '${PASSWORD}'`)
  const { privateKey } = generateKeyPairSync('ed25519')
  const entryKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const signer = signerOf(entryKey)
  if (signer === null) throw new Error('no signer')
  await using owner = connect(applicationUrl)
  await migrate(owner.db, { folder: 'migrations', roles: DEFAULT_ROLES })
  const options = { origin: 'bench.example/purge', product: 'bench', owner: DEFAULT_ROLES.owner }
  await inTransaction(owner.db, async (trx) => openLog(trx, signer, options, systemClock))
  const { rows } = await application.query<{ version: string }>(
    "select current_setting('server_version') as version",
  )
  return {
    application,
    applicationUrl,
    programUrl: server.url('postgres', DEFAULT_ROLES.daemon, PASSWORD),
    signer,
    entryKey,
    version: rows[0]?.version ?? '',
    pid: server.pid,
    [Symbol.asyncDispose]: async () => {
      await application.end()
      await server[Symbol.asyncDispose]()
    },
  }
}
