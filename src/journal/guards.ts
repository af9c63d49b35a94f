/**
 * The triggers that stop accidents and ordinary roles from changing the journal. A superuser walks
 * through all of them, so a guard that is missing proves nothing and is no fault of the journal; it
 * says that somebody took it away.
 */
import { sql, type QueryExecutorProvider } from 'kysely'

/** Every guard of the newest schema, as `table.trigger`. */
export const GUARDS: readonly string[] = [
  'anchor.deny_change',
  'anchor.deny_truncate',
  'approval.deny_change',
  'approval.deny_truncate',
  'archived_leaf.deny_change',
  'archived_leaf.deny_truncate',
  'archived_leaf.only_owner',
  'checkpoint.deny_change',
  'checkpoint.deny_truncate',
  'entry.deny_change',
  'entry.deny_truncate',
  'entry.only_archived',
  'entry.only_owner',
  'evidence.deny_change',
  'evidence.deny_truncate',
  'evidence.only_owner',
  'evidence.only_prune',
  'head.deny_delete',
  'head.deny_truncate',
  'head.only_owner',
  'hold.deny_delete',
  'hold.deny_truncate',
  'hold.only_lift',
  'node.deny_change',
  'node.deny_truncate',
  'node.only_owner',
]

/** A guard that does not stand, and in which way. */
export type LostGuard = {
  readonly guard: string
  /** `asleep`: it fires, but not in a session with session_replication_role = replica. */
  readonly state: 'missing' | 'disabled' | 'asleep'
}

/** Finds the guards that are not there, or do not fire in every session. */
export async function findLostGuards(db: QueryExecutorProvider): Promise<readonly LostGuard[]> {
  const { rows } = await sql<{ guard: string; enabled: string }>`
    select relname || '.' || tgname as guard, tgenabled::text as enabled
    from pg_catalog.pg_trigger
    join pg_catalog.pg_class on pg_class.oid = tgrelid
    join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where nspname = 'retentiond' and not tgisinternal`.execute(db)
  const found = new Map(rows.map(({ guard, enabled }) => [guard, enabled]))
  return GUARDS.flatMap((guard) => {
    const enabled = found.get(guard)
    if (enabled === 'A') return []
    const state = enabled === undefined ? 'missing' : enabled === 'D' ? 'disabled' : 'asleep'
    return [{ guard, state }]
  })
}

/** Says what is wrong with a guard, for people. */
export function printLostGuard({ guard, state }: LostGuard): string {
  const [table = '', trigger = ''] = guard.split('.')
  return `trigger ${trigger} of retentiond.${table} ${WHAT[state]}`
}

export const LOST_GUARD_REMEDY =
  'ask who took it away, and put it back as migrations/ has it, with enable always; what it stopped meanwhile, only retentiond journal verify against a head kept elsewhere can tell'

const WHAT: Readonly<Record<LostGuard['state'], string>> = {
  missing: 'is missing',
  disabled: 'is disabled',
  asleep: 'does not fire in sessions with session_replication_role = replica',
}
