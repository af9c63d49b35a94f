import { sql, type Transaction } from 'kysely'
import { ConfigError } from '../base/errors.ts'
import { renderRoleGrants, type Roles } from './roles.ts'
import type { OwnTables } from './schema.ts'

type Server = {
  readonly database: string
  readonly version: number
  readonly migrator: string
  readonly superuser: boolean
  /** The migrator may make a schema in this database. */
  readonly may_create: boolean
  /** Owner of the schema retentiond; null if there is none. */
  readonly schema_owner: string | null
}

type RoleState = {
  readonly role: string
  readonly superuser: boolean
  /** The role may become the owner, whether it inherits from it or not. */
  readonly may_own: boolean
  /** The migrator may become this role. */
  readonly may_set: boolean
}

/**
 * Throws a ConfigError that names everything a migration lacks: roles, rights, or a role with more
 * rights than a journal can bear. Its remedy is the SQL that a DBA runs.
 */
export async function requirePrepared(trx: Transaction<OwnTables>, roles: Roles): Promise<void> {
  const server = await readServer(trx)
  const states = await readRoles(trx, roles, server.version)
  const grievances = [
    ...distinct(roles),
    ...missing(roles, states),
    ...rights(roles, server, states),
    ...tooMuch(roles, states),
  ]
  if (grievances.length === 0) return
  // Who could become the owner could rewrite the journal: never advise that for our own roles.
  const named = !server.superuser && !isOneOf(roles, server.migrator)
  const migrator = named ? { migrator: server.migrator } : {}
  const grants = renderRoleGrants(roles, {
    database: server.database,
    serverVersion: server.version,
    ...migrator,
  })
  throw new ConfigError(`the database is not ready to be migrated: ${grievances.join('; ')}`, {
    remedy: `have a superuser run this once in database ${server.database}:\n${grants}`,
  })
}

function distinct(roles: Roles): readonly string[] {
  return new Set(namesOf(roles)).size === 4
    ? []
    : ['owner, daemon, auditor and keeper must be four roles']
}

function isOneOf({ daemon, auditor, keeper }: Roles, role: string): boolean {
  return role === daemon || role === auditor || role === keeper
}

function namesOf({ owner, daemon, auditor, keeper }: Roles): readonly string[] {
  return [owner, daemon, auditor, keeper]
}

function missing(roles: Roles, states: readonly RoleState[]): readonly string[] {
  return namesOf(roles)
    .filter((role) => !states.some((state) => state.role === role))
    .map((role) => `role ${role} does not exist`)
}

function rights(roles: Roles, server: Server, states: readonly RoleState[]): readonly string[] {
  const { migrator, database, schema_owner: schemaOwner } = server
  const owner = states.find(({ role }) => role === roles.owner)
  if (!server.superuser && isOneOf(roles, migrator)) {
    return [`role ${migrator} is one of those that migrate prepares: run it as a superuser`]
  }
  return [
    ...(owner !== undefined && !owner.may_set
      ? [`role ${migrator} may not become ${roles.owner}`]
      : []),
    ...(schemaOwner === null && !server.may_create
      ? [`role ${migrator} may not create a schema in database ${database}`]
      : []),
    ...(schemaOwner !== null && schemaOwner !== roles.owner
      ? [`the schema retentiond belongs to ${schemaOwner}, not to ${roles.owner}`]
      : []),
  ]
}

/** The guards of the journal stop neither a superuser nor who may become its owner. */
function tooMuch(roles: Roles, states: readonly RoleState[]): readonly string[] {
  return states
    .filter(({ role }) => role !== roles.owner)
    .flatMap(({ role, superuser, may_own: mayOwn }) => {
      if (superuser) return [`role ${role} is a superuser`]
      return mayOwn
        ? [`role ${role} is a member of ${roles.owner}, and could rewrite the journal`]
        : []
    })
}

async function readServer(trx: Transaction<OwnTables>): Promise<Server> {
  const { rows } = await sql<Server>`
    select
      current_database()::text as database,
      current_setting('server_version_num')::int / 10000 as version,
      current_user::text as migrator,
      (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as superuser,
      has_database_privilege(current_database(), 'create') as may_create,
      (
        select pg_get_userbyid(nspowner)::text
        from pg_catalog.pg_namespace
        where nspname = 'retentiond'
      ) as schema_owner`.execute(trx)
  const [server] = rows
  if (server === undefined) throw new Error('a select without from gave no row')
  return server
}

async function readRoles(
  trx: Transaction<OwnTables>,
  roles: Roles,
  version: number,
): Promise<readonly RoleState[]> {
  // To become a role is a right of its own since 16; before, every member may.
  const become = version >= 16 ? 'set' : 'member'
  const { rows } = await sql<RoleState>`
    select
      role.rolname::text as role,
      role.rolsuper as superuser,
      coalesce(pg_has_role(role.oid, owner.oid, 'member'), false) as may_own,
      pg_has_role(role.oid, ${become}) as may_set
    from pg_catalog.pg_roles as role
    left join pg_catalog.pg_roles as owner on owner.rolname = ${roles.owner}
    where role.rolname = any (${namesOf(roles)}::text[])
    order by role.rolname`.execute(trx)
  return rows
}
