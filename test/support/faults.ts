/** What goes wrong around a batch: other sessions in its way, connections cut, answers lost. */
import { once } from 'node:events'
import { connect as dial, createServer, type Socket } from 'node:net'
import { Client } from 'pg'
import type { BatchStep } from '../../src/enforce/batch.ts'

/** Every step of a batch, in its order. */
export const STEPS: readonly BatchStep[] = [
  'begun',
  'lease',
  'shape',
  'rows',
  'related',
  'catalog',
  'decided',
  'acted',
  'checked',
  'journalled',
]

/** How a statement of another session ended. */
export type Outcome = {
  readonly statement: string
  /** Rows that it reached; 0 if it failed. */
  readonly rows: number
  /** The ids that it returned. */
  readonly ids: readonly number[]
  /** Null if it succeeded. */
  readonly sqlstate: string | null
}

/**
 * A session of the application. It never waits inside a hook of a batch, which would wait for
 * itself: a statement that meets a lock of ours is left waiting, and ends after the batch.
 */
export interface AppSession extends AsyncDisposable {
  readonly pid: number
  /** A statement is still waiting. */
  readonly busy: boolean
  /** Sends a statement, and returns when it has ended or waits for a lock. */
  send(statement: string, ended?: (outcome: Outcome) => void): Promise<void>
  /** Returns when what was sent has ended, or still waits for a lock. */
  settle(): Promise<void>
  /** Returns when everything sent has ended. */
  drain(): Promise<void>
}

/** Opens a session; `observer` looks whether it waits. */
export async function openSession(url: string, observer: Client): Promise<AppSession> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return new Session(client, rows[0]?.pid ?? 0, observer)
}

class Session implements AppSession {
  readonly pid: number
  readonly #client: Client
  readonly #observer: Client
  #pending: Promise<unknown> = Promise.resolve()
  #open = 0

  constructor(client: Client, pid: number, observer: Client) {
    this.#client = client
    this.pid = pid
    this.#observer = observer
  }

  get busy(): boolean {
    return this.#open > 0
  }

  async send(statement: string, ended: (outcome: Outcome) => void = () => {}): Promise<void> {
    this.#open += 1
    const run = async () => {
      const outcome = await this.#client.query<{ id: number }>(statement).then(
        ({ rowCount, rows }): Outcome => ({
          statement,
          rows: rowCount ?? 0,
          ids: rows.map((row) => row.id),
          sqlstate: null,
        }),
        (error: unknown): Outcome => ({ statement, rows: 0, ids: [], sqlstate: sqlstate(error) }),
      )
      this.#open -= 1
      ended(outcome)
    }
    this.#pending = Promise.all([this.#pending, run()])
    await this.settle()
  }

  async settle(): Promise<void> {
    // Asked over the wire, so that each look gives the statement its time.
    while (this.#open > 0) {
      const { rows } = await this.#observer.query<{ waits: boolean }>(
        'select cardinality(pg_blocking_pids($1)) > 0 as waits',
        [this.pid],
      )
      if (this.#open > 0 && rows[0]?.waits === true) return
    }
  }

  async drain(): Promise<void> {
    await this.#pending
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain()
    await this.#client.end()
  }
}

function sqlstate(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}

/** Ends every session of a role, as a restart of the server would. */
export async function terminate(superuser: Client, role: string): Promise<void> {
  await superuser.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1',
    [role],
  )
}

/** Where a link is cut when the client says COMMIT. */
export type Cut =
  /** The server never hears it. */
  | 'before commit'
  /** The server commits, and its answer is lost. */
  | 'answer to commit'
  /** The server is still committing when the client loses the link. */
  | 'during commit'

/** A link to the server that can be cut. */
export interface Link extends AsyncDisposable {
  readonly url: string
  /** Cuts at the next commit of a connection that sent `marked` before. */
  arm(cut: Cut, marked: string): void
  /** Commits that were cut. */
  readonly cuts: number
}

/** Opens a link to the server of `url`. */
export async function openLink(url: string): Promise<Link> {
  const target = new URL(url)
  const state: { cut: Cut | null; marked: string; cuts: number } = {
    cut: null,
    marked: '',
    cuts: 0,
  }
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = dial(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    let marked = false
    let losing = false
    let orphaned = false
    client.on('data', (data) => {
      marked ||= state.marked !== '' && data.includes(state.marked)
      if (state.cut === null || !marked || !isCommit(data)) {
        upstream.write(data)
        return
      }
      const { cut } = state
      state.cut = null
      state.cuts += 1
      if (cut === 'before commit') upstream.destroy()
      else upstream.write(data)
      // The server finds the link cut only when it has committed.
      if (cut === 'answer to commit') losing = true
      else {
        orphaned = true
        client.destroy()
      }
    })
    upstream.on('data', (data) => {
      if (losing) {
        client.destroy()
        upstream.destroy()
      } else if (!client.destroyed) client.write(data)
    })
    upstream.on('close', () => client.destroy())
    client.on('close', () => {
      if (!orphaned) upstream.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const through = new URL(url)
  through.hostname = '127.0.0.1'
  through.port = String(typeof address === 'object' ? address?.port : '')
  return {
    url: through.href,
    arm: (cut, marked) => Object.assign(state, { cut, marked }),
    get cuts() {
      return state.cuts
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function isCommit(data: Buffer): boolean {
  return /commit\0/i.test(data.toString('latin1'))
}
