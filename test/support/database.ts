import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { inject } from 'vitest'

export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  readonly superuserUrl: string
  /** Connection string for a role of this database, made with `createRole`. */
  urlOf(role: string): string
  /** Creates a login role whose name is unique in the cluster, and returns that name. */
  createRole(prefix: string): Promise<string>
  /** A superuser's client, closed with the database. */
  readonly superuser: Client
}

const PASSWORD = 'test'

/**
 * Creates an empty database on the server of the running project, or on that of another superuser's
 * connection string; disposing drops it.
 */
export async function openTestDatabase(url = inject('superuserUrl')): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const server = new URL(url)
  await onServer(url, async (client) => client.query(`create database ${name} strategy file_copy`))

  const superuserUrl = withPath(server, name)
  const superuser = new Client({ connectionString: superuserUrl })
  superuser.on('error', () => {})
  await superuser.connect()
  const roles: string[] = []
  return {
    name,
    superuserUrl,
    superuser,
    urlOf: (role) => {
      const url = new URL(superuserUrl)
      url.username = role
      url.password = PASSWORD
      return url.href
    },
    createRole: async (prefix) => {
      const role = `${prefix}_${randomBytes(4).toString('hex')}`
      await superuser.query(`create role ${role} login password '${PASSWORD}'`)
      roles.push(role)
      return role
    },
    [Symbol.asyncDispose]: async () => {
      await superuser.end()
      await onServer(url, async (client) => {
        await client.query(`drop database ${name} with (force)`)
        for (const role of roles) await client.query(`drop role if exists ${role}`)
      })
    },
  }
}

async function onServer(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

function withPath(url: URL, database: string): string {
  const copy = new URL(url)
  copy.pathname = `/${database}`
  return copy.href
}
