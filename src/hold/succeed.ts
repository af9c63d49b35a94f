/**
 * A new journal takes the place of one that cannot be continued. The old schema is set aside whole,
 * for auditors; what persons ordered to keep comes along. One transaction: there is no moment at which
 * a hold is nowhere.
 */
import { sql, type Transaction } from 'kysely'
import type { Clock } from '../base/clock.ts'
import { RefusedError } from '../base/errors.ts'
import type { Db } from '../db/connect.ts'
import { migrate } from '../db/migrate.ts'
import type { Roles } from '../db/roles.ts'
import type { OwnTables } from '../db/schema.ts'
import type { Previous, WhySucceeded } from '../journal/entry.ts'
import { printTreeHead, type TreeHead } from '../journal/merkle.ts'
import { rootAt, treeHead } from '../journal/nodes.ts'
import { readHead } from '../journal/read.ts'
import type { Signer } from '../journal/signature.ts'
import { appendEntry, openLog } from '../journal/store.ts'
import { digestOfCase } from './hold.ts'

export type SucceedOptions = {
  readonly folder: string
  readonly roles: Roles
  readonly product: string
  /** Null: as the journal before was called. */
  readonly origin: string | null
  readonly why: WhySucceeded
  /** The last head of the journal before that is known to be good; null: as it stands. */
  readonly last: TreeHead | null
}

export type Succeeded = {
  readonly origin: string
  readonly previous: Previous
  /** Where the journal before is now. */
  readonly schema: string
  /** Holds that came along, by their numbers. */
  readonly holds: readonly number[]
}

type Tools = { readonly db: Db; readonly signer: Signer; readonly clock: Clock }

/** Sets the journal aside and begins another one that names it. */
export async function succeed(
  { db, signer, clock }: Tools,
  options: SucceedOptions,
): Promise<Succeeded> {
  const { folder, roles, product } = options
  const done: Succeeded[] = []
  let set: { readonly previous: Previous; readonly schema: string } | undefined
  await migrate(db, {
    folder,
    roles,
    before: async (trx) => {
      set = await setAside(trx, options)
    },
    after: async (trx) => {
      if (set === undefined) return
      const { previous, schema } = set
      const named = options.origin ?? previous.origin.replace(/\/[0-9a-f]{8}$/, '')
      const log = { origin: named, product, owner: roles.owner, previous }
      const origin = await openLog(trx, signer, log, clock)
      await sql`set local role ${sql.id(roles.owner)}`.execute(trx)
      const holds = await bringHolds(trx, schema, { signer, clock })
      done.push({ origin, previous, schema, holds })
    },
  })
  return done[0] as Succeeded
}

/** Moves the schema out of the way; auditors may still read it, nobody may write to it. */
async function setAside(
  trx: Transaction<OwnTables>,
  { why, last, roles }: SucceedOptions,
): Promise<{ readonly previous: Previous; readonly schema: string }> {
  const head = await readHead(trx)
  if (head === null) {
    throw new RefusedError('there is no journal that another one could take the place of', {
      remedy: 'run: retentiond migrate',
    })
  }
  const known = last ?? (await treeHead(trx))
  if (known.size > head.size || !(await rootAt(trx, known.size)).root.equals(known.root)) {
    throw new RefusedError(`the journal does not have the head ${printTreeHead(known)}`, {
      remedy: 'name the last head that is known to be good and still there',
    })
  }
  const schema = `retentiond_${head.origin.slice(-8)}`
  await sql`alter schema retentiond rename to ${sql.id(schema)}`.execute(trx)
  await sql`
    revoke usage on schema ${sql.id(schema)}
    from ${sql.id(roles.daemon)}, ${sql.id(roles.keeper)}`.execute(trx)
  return { previous: { ...known, origin: head.origin, why }, schema }
}

/** Open holds keep their numbers, and are said to be placed in the new journal too. */
async function bringHolds(
  trx: Transaction<OwnTables>,
  schema: string,
  { signer, clock }: Pick<Tools, 'signer' | 'clock'>,
): Promise<readonly number[]> {
  const { rows } = await sql<HoldRow>`
    insert into retentiond.hold (
      id, case_reference, scope, rule, table_oid, table_name, key_columns, subject, key, until, placed_at
    )
    overriding system value
    select
      id, case_reference, scope, rule, table_oid, table_name, key_columns, subject, key, until, placed_at
    from ${sql.id(schema, 'hold')}
    where lifted_at is null
    order by id
    returning id, case_reference, scope, rule, table_name`.execute(trx)
  await sql`
    select setval(
      pg_get_serial_sequence('retentiond.hold', 'id'),
      (select coalesce(max(id), 0) + 1 from ${sql.id(schema, 'hold')}),
      false
    )`.execute(trx)
  for (const { id, case_reference: reference, scope, rule, table_name: table } of rows) {
    const target = rule ?? table
    const placed = { type: 'hold', phase: 'placed', hold: Number(id), scope, target } as const
    await appendEntry(trx, signer, { ...placed, caseDigest: digestOfCase(reference) }, clock)
  }
  return rows.map(({ id }) => Number(id))
}

type HoldRow = {
  readonly id: bigint
  readonly case_reference: string
  readonly scope: 'rule' | 'subject' | 'row'
  readonly rule: string | null
  readonly table_name: string | null
}
