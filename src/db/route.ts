/**
 * The way to the database. A URL may name several servers, of which one is the primary: after a
 * failover connections go to the new one. A URL that comes from a file is read again for each
 * connection, so that a rotated password is used without a restart.
 */
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { Pool, PoolClient } from 'pg'

export type RouteOptions = {
  /** The connection string as it stands now. */
  readonly url: () => string
  readonly open: (url: string) => Pool
}

/** One URL for each server that a connection string names, as `host:5432,other:5433`. */
export function serversOf(url: string): readonly string[] {
  const [, before = '', servers = '', after = ''] =
    /^([a-z]+:\/\/(?:[^@/]*@)?)([^/?]*)(.*)$/s.exec(url) ?? []
  return servers.includes(',')
    ? servers.split(',').map((server) => `${before}${server}${after}`)
    : [url]
}

/** A pool for each server; gives connections to the primary, or to a standby if there is no other. */
export class Route implements PostgresPool {
  readonly #given: RouteOptions
  #url: string | null = null
  #pools: readonly Pool[] = []
  /** The pool that was right last. */
  #preferred = 0
  readonly #primary = new WeakSet<PoolClient>()

  constructor(options: RouteOptions) {
    this.#given = options
  }

  /** How the latest pool is set up; asked for by the interface. */
  get options(): object {
    return this.#pools[0]?.options ?? {}
  }

  async connect(): Promise<PostgresPoolClient> {
    const pools = this.#current()
    const [only] = pools
    if (pools.length === 1 && only !== undefined) return only.connect()
    const standbys: PoolClient[] = []
    const failures: unknown[] = []
    const first = this.#preferred
    for (let tried = 0; tried < pools.length; tried += 1) {
      const at = (first + tried) % pools.length
      const client = await pools[at]?.connect().catch((error: unknown) => failures.push(error))
      if (client === undefined || typeof client === 'number') continue
      if (await this.#isPrimary(client)) {
        this.#preferred = at
        for (const standby of standbys) standby.release()
        return client
      }
      standbys.push(client)
    }
    const [standby, ...others] = standbys
    for (const other of others) other.release()
    if (standby !== undefined) return standby
    throw failures[0]
  }

  async end(): Promise<void> {
    await Promise.all(this.#pools.map(async (pool) => pool.end()))
  }

  /** A server is demoted by a restart, which ends its connections: one that was of a primary stays so. */
  async #isPrimary(client: PoolClient): Promise<boolean> {
    if (this.#primary.has(client)) return true
    try {
      const { rows } = await client.query<{ standby: boolean }>(
        'select pg_catalog.pg_is_in_recovery() as standby',
      )
      if (rows[0]?.standby !== false) return false
      this.#primary.add(client)
      return true
    } catch {
      // Its server went away between the two: the pool drops it, and the next server is tried.
      return false
    }
  }

  #current(): readonly Pool[] {
    const url = this.#given.url()
    if (url === this.#url) return this.#pools
    // Clients that are at work go on to their end.
    for (const pool of this.#pools) void pool.end()
    this.#url = url
    this.#preferred = 0
    this.#pools = serversOf(url).map((server) => this.#given.open(server))
    return this.#pools
  }
}
