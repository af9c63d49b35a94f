/**
 * A client that does not wait for ever. A link that is cut without a word (a firewall that forgets,
 * a pooler that hangs) leaves a statement without an answer, and PostgreSQL's own timeouts run on
 * the other side of it. Such a client is destroyed, so that the pool opens another one.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { Client, type QueryResult } from 'pg'

/** Longer than the server may take, by what an answer may take on its way. */
const ON_ITS_WAY_MS = 30_000

/** Outside a transaction nothing of ours takes longer. */
const ALONE_MS = 60_000

const allowed = new AsyncLocalStorage<number>()

/** Runs `work`, whose statements the server itself ends after `statementMs`. */
export async function allowing<T>(statementMs: number, work: () => Promise<T>): Promise<T> {
  return allowed.run(statementMs + ON_ITS_WAY_MS, work)
}

/** Makes the class of the clients of a pool; `answerMs` replaces how long each may wait, for tests. */
export function watchedClient(answerMs?: number): typeof Client {
  return class WatchedClient extends Client {
    override query(...args: unknown[]): never {
      const ask = super.query.bind(this) as (...passed: unknown[]) => unknown
      const answer = ask(...args)
      if (answer instanceof Promise) this.#watch(answer as Promise<QueryResult>)
      return answer as never
    }

    #watch(answer: Promise<unknown>): void {
      const timer = setTimeout(() => this.#destroy(), answerMs ?? allowed.getStore() ?? ALONE_MS)
      const answered = (): void => clearTimeout(timer)
      answer.then(answered, answered)
    }

    /** Not `end`, which says goodbye to the server and waits for it. */
    #destroy(): void {
      const { stream } = (this as unknown as { connection: { stream: { destroy(): void } } })
        .connection
      stream.destroy()
    }
  }
}
