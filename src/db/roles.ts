import { escapeIdentifier, escapeLiteral } from 'pg'

/** The roles of one database. A cluster may hold several sets, under other names. */
export type Roles = {
  /** Owns the schema; nobody logs in as it. */
  readonly owner: string
  /** What the daemon connects as: appends to the journal, and has what the policies need. */
  readonly daemon: string
  /** Reads the journal, and nothing that holds a key of a governed row. */
  readonly auditor: string
  /** Places and lifts holds: whoever may lift one is not the program that would then act. */
  readonly keeper: string
}

export const DEFAULT_ROLES: Roles = {
  owner: 'retentiond_owner',
  daemon: 'retentiond',
  auditor: 'retentiond_auditor',
  keeper: 'retentiond_keeper',
}

export type RoleGrantOptions = {
  readonly database: string
  /** Who runs `retentiond migrate`; left out if that is a superuser, who needs no grant. */
  readonly migrator?: string
  /** Major version of the server. */
  readonly serverVersion: number
}

/** Renders the SQL that a DBA runs once per database. It may be run again. */
export function renderRoleGrants(roles: Roles, options: RoleGrantOptions): string {
  const database = escapeIdentifier(options.database)
  const logins = [roles.daemon, roles.auditor, roles.keeper].map((role) => escapeIdentifier(role))
  const statements = [
    '-- Owns the schema retentiond; nobody logs in as it.',
    createRole(roles.owner, 'nologin'),
    '-- The daemon: give it a password or a certificate. It must never be a superuser.',
    createRole(roles.daemon, 'login'),
    '-- Auditors: read the journal, and nothing else.',
    createRole(roles.auditor, 'login'),
    '-- Keepers: place and lift holds, and see whether what they hold is there.',
    createRole(roles.keeper, 'login'),
    `grant connect on database ${database} to ${logins.join(', ')};`,
    '-- When it refuses a row, PostgreSQL writes the whole row into its log; of these roles it shall not.',
    ...[roles.daemon, roles.keeper].map((role) => quietLog(role, options.database)),
    ...(options.migrator === undefined ? [] : migratorGrants(roles, options, options.migrator)),
  ]
  return `${statements.join('\n')}\n`
}

function migratorGrants(roles: Roles, options: RoleGrantOptions, name: string): readonly string[] {
  const migrator = escapeIdentifier(name)
  const owner = escapeIdentifier(roles.owner)
  // Without inheriting: the migrator has the owner's rights only while it says `set role`. Before
  // 16 that is a property of the role itself, which is not ours to change.
  const how = options.serverVersion >= 16 ? ' with set true, inherit false' : ''
  return [
    '-- Whoever runs the migration makes the schema, and becomes its owner to fill it.',
    `grant create on database ${escapeIdentifier(options.database)} to ${migrator};`,
    `grant ${owner} to ${migrator}${how};`,
  ]
}

/** Only a superuser may say so; whoever else runs this is told. */
function quietLog(role: string, database: string): string {
  const to = `${escapeIdentifier(role)} in database ${escapeIdentifier(database)}`
  const body = [
    'begin',
    `  alter role ${to} set log_error_verbosity = 'terse';`,
    `  alter role ${to} set log_parameter_max_length = 0;`,
    `  alter role ${to} set log_parameter_max_length_on_error = 0;`,
    'exception when insufficient_privilege then',
    `  raise warning 'the server log may show values of rows: let a superuser set log_error_verbosity for %', ${escapeLiteral(role)};`,
    'end',
  ].join('\n')
  const quote = dollarQuote(body)
  return `do ${quote}\n${body}\n${quote};`
}

/** `create role` has no `if not exists`. */
function createRole(role: string, login: 'login' | 'nologin'): string {
  const rights = `${login} nosuperuser nocreatedb nocreaterole noreplication nobypassrls`
  const body = [
    'begin',
    `  if not exists (select from pg_catalog.pg_roles where rolname = ${escapeLiteral(role)}) then`,
    `    create role ${escapeIdentifier(role)} ${rights};`,
    '  end if;',
    'end',
  ].join('\n')
  const quote = dollarQuote(body)
  return `do ${quote}\n${body}\n${quote};`
}

/** A dollar quote that the body does not hold: a role may be called anything. */
function dollarQuote(body: string): string {
  let quote = '$grant$'
  for (let n = 1; body.includes(quote); n += 1) quote = `$grant${n}$`
  return quote
}
