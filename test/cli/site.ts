import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'
import { retentiond, type Ended, type Environment } from './program.ts'

/**
 * The program as its operators meet it: a database, a folder with a key and policies, and the
 * environment of each role. Nothing is done but by running commands and the SQL that they print.
 */
export interface Site extends AsyncDisposable {
  readonly database: TestDatabase
  readonly folder: string
  /** As the daemon's role; the policies are those last written. */
  readonly env: Environment
  readonly superuser: Environment
  readonly auditor: Environment
  readonly keeper: Environment
  /** Runs a command as the daemon's role, or in another environment. */
  run(args: readonly string[], env?: Environment): Promise<Ended>
  sql<T extends object = Record<string, unknown>>(statement: string): Promise<readonly T[]>
  /** Writes a file of the folder and returns its path. */
  write(name: string, text: string): Promise<string>
  /** Makes the policies consist of one file. */
  govern(yaml: string): Promise<void>
  /** keygen, grants, the passwords that a DBA sets, migrate. */
  prepare(): Promise<void>
}

/** Opens one on the server of the running project, or on that of another superuser's connection string. */
export async function openSite(schema: string, superuserUrl?: string): Promise<Site> {
  const database = await openTestDatabase(superuserUrl)
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-site-'))
  await mkdir(join(folder, 'policies'))
  const id = database.name.replace('test_', '')
  const roles = {
    owner: `owner_${id}`,
    daemon: `daemon_${id}`,
    auditor: `auditor_${id}`,
    keeper: `keeper_${id}`,
  }
  const common = {
    RETENTIOND_POLICIES: join(folder, 'policies'),
    RETENTIOND_ENTRY_KEY_FILE: join(folder, 'entry.key'),
    RETENTIOND_OWNER_ROLE: roles.owner,
    RETENTIOND_DAEMON_ROLE: roles.daemon,
    RETENTIOND_AUDITOR_ROLE: roles.auditor,
    RETENTIOND_KEEPER_ROLE: roles.keeper,
  }
  const as = (url: string): Environment => ({ ...common, RETENTIOND_DATABASE_URL: url })
  const env = as(database.urlOf(roles.daemon))
  const superuser = as(database.superuserUrl)
  const sql = async <T extends object>(statement: string): Promise<readonly T[]> =>
    (await database.superuser.query<T>(statement)).rows
  const run = async (args: readonly string[], environment = env) => retentiond(args, environment)
  await sql(schema)
  return {
    database,
    folder,
    env,
    superuser,
    auditor: as(database.urlOf(roles.auditor)),
    keeper: as(database.urlOf(roles.keeper)),
    run,
    sql,
    write: async (name, text) => {
      await writeFile(join(folder, name), text)
      return join(folder, name)
    },
    govern: async (yaml) => writeFile(join(folder, 'policies', 'policy.yaml'), yaml),
    prepare: async () => {
      const grants = await run(['grants'], superuser)
      if (grants.status !== 0) throw new Error(grants.err)
      await sql(grants.out)
      for (const role of [roles.daemon, roles.auditor, roles.keeper]) {
        await sql(`alter role ${role} password 'test'`)
      }
      await run(['keygen', common.RETENTIOND_ENTRY_KEY_FILE])
      const migrated = await run(['migrate', '--origin', 'test.example/purge'], superuser)
      if (migrated.status !== 0) throw new Error(migrated.err)
    },
    [Symbol.asyncDispose]: async () => {
      for (const role of [roles.daemon, roles.auditor, roles.keeper, roles.owner]) {
        const [found] = await sql(`select from pg_roles where rolname = '${role}'`)
        if (found === undefined) continue
        await sql(`drop owned by ${role} cascade`)
        await sql(`drop role ${role}`)
      }
      await database[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** Host and port of the server, as messages name them. */
export function serverName(): string {
  return new URL(inject('superuserUrl')).host
}
