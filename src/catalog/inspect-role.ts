/** What our role may do beyond what the rules need: whoever has it can pass by every guard of the journal. */
import { sql, type QueryExecutorProvider } from 'kysely'
import type { TableRef } from '../db/governed.ts'

/** A power that no rule needs. */
export type Power = { readonly code: string; readonly message: string; readonly remedy: string }

/** In the order of what is told; of a superuser nothing else is said, since it may do everything. */
type Found = {
  readonly role: string
  readonly superuser: boolean
  readonly createsRoles: boolean
  readonly replicates: boolean
  readonly bypassesForNothing: boolean
  /** Predefined roles that it is a member of, and that reach beyond tables or to all of them. */
  readonly memberships: readonly string[]
  readonly owned: readonly string[]
}

/**
 * Finds what our role may do and should not. The right to pass row security is one of them, unless
 * a table that the rules reach has row security.
 */
export async function inspectPowers(
  db: QueryExecutorProvider,
  reached: readonly TableRef[],
): Promise<readonly Power[]> {
  const { rows } = await sql<Found>`
    with reached as (
      select pg_class.oid, nspname, relname, relowner, relrowsecurity
      from pg_class
      join pg_namespace on pg_namespace.oid = relnamespace
      where (nspname, relname) in (
          select * from unnest(${reached.map(({ schema }) => schema)}::text[], ${reached.map(({ name }) => name)}::text[])
        )
        or (nspname = 'retentiond' and relkind in ('r', 'p'))
    )
    select
      rolname::text as role,
      rolsuper as superuser,
      rolcreaterole as "createsRoles",
      rolreplication as replicates,
      rolbypassrls and not exists (select from reached where relrowsecurity) as "bypassesForNothing",
      array(
        select granted.rolname::text from pg_roles as granted
        where granted.rolname in (
            'pg_write_all_data', 'pg_execute_server_program', 'pg_write_server_files',
            'pg_read_server_files', 'pg_maintain'
          )
          and pg_has_role(own.oid, granted.oid, 'member')
        order by 1
      ) as memberships,
      array(
        select nspname || '.' || relname from reached
        where pg_has_role(own.oid, relowner, 'member')
        order by 1
      ) as owned
    from pg_roles as own
    where rolname = current_user`.execute(db)
  return rows.flatMap((found) => powersOf(found))
}

function powersOf(found: Found): readonly Power[] {
  const { role, superuser, createsRoles, replicates, bypassesForNothing, memberships } = found
  if (superuser) {
    return [
      {
        code: 'role_superuser',
        message: `role ${role} is a superuser: it can rewrite the journal, and no right that is missing stops a rule`,
        remedy: 'connect as the role that `retentiond grants` makes',
      },
    ]
  }
  const attribute = (code: string, may: string, word: string): Power => {
    return { code, message: `role ${role} may ${may}`, remedy: `alter role ${role} ${word};` }
  }
  return [
    ...(createsRoles
      ? [attribute('role_creates_roles', 'create roles, and give itself others', 'nocreaterole')]
      : []),
    ...(replicates
      ? [attribute('role_replicates', 'copy the whole cluster by replication', 'noreplication')]
      : []),
    ...(bypassesForNothing
      ? [attribute('role_bypasses_rls', 'pass by row security, which no rule needs', 'nobypassrls')]
      : []),
    ...memberships.map((granted) => ({
      code: 'role_member',
      message: `role ${role} is a member of ${granted}, which reaches beyond the tables of the rules`,
      remedy: `revoke ${granted} from ${role};`,
    })),
    ...ownership(found),
  ]
}

function ownership({ role, owned }: Found): readonly Power[] {
  if (owned.length === 0) return []
  const [named, more] = [owned.slice(0, 3), owned.length - 3]
  const tables = `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
  return [
    {
      code: 'role_owns_tables',
      message: `role ${role} owns ${tables}, or is a member of the role that does: it can change and drop them, their triggers and their grants`,
      remedy: 'let another role own them, and run what `retentiond grants` prints',
    },
  ]
}
