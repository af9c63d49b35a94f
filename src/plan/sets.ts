/**
 * Sets of keys that a statement of a plan asks for in many places, such as what another rule takes
 * before this one. Written out in each place, a statement about five rules that read each other's
 * tables would be a megabyte, which PostgreSQL does not plan with all the memory of a machine. So each
 * is a common table of the whole statement, worked out once.
 */
import { sql, type RawBuilder } from 'kysely'

export class KeySets {
  readonly #bodies = new Map<string, RawBuilder<unknown>>()
  readonly #names = new Map<string, string>()

  /** The keys of a set, as `select key from …`. `body` selects one column: an array of texts. */
  keysOf(id: string, body: () => RawBuilder<unknown>): RawBuilder<unknown> {
    const known = this.#names.get(id)
    const name = known ?? `keys_${this.#names.size + 1}`
    if (known === undefined) {
      this.#names.set(id, name)
      // What the body asks for itself is put before it.
      const built = body()
      this.#bodies.set(name, built)
    }
    return sql`select key from ${sql.id(name)}`
  }

  /** The statement, with every set before it that it asks for. */
  before<T>(statement: RawBuilder<T>): RawBuilder<T> {
    if (this.#bodies.size === 0) return statement
    const sets = [...this.#bodies].map(([name, body]) => sql`${sql.id(name)} (key) as (${body})`)
    return sql<T>`with ${sql.join(sets)} select * from (${statement}) as stated`
  }
}
