import type { TableName } from '../base/names.ts'
import type { TableRef, TypeName } from '../db/governed.ts'
import type { Placements } from './inspect-citus.ts'

/** What PostgreSQL says about the tables that the rules speak of, read once and then a value. */
export type Catalog = {
  readonly database: DatabaseFacts
  /** The tables asked for and every table that has a foreign key into them, by `schema.name`. */
  readonly tables: ReadonlyMap<string, Table>
  /** Of each archive asked for, by `schema.name`: roles that can read it and reach its table. */
  readonly readers: ReadonlyMap<string, readonly string[]>
  /** Where Citus keeps the tables that it knows; empty without Citus. */
  readonly placements: Placements
  /** Names of all relations that a rule could have meant, for suggestions. */
  readonly known: readonly string[]
}

export type DatabaseFacts = {
  readonly name: string
  /** Of the cluster (pg_control_system); decimal text. */
  readonly systemIdentifier: string
  /** As server_version_num: 180004. */
  readonly serverVersion: number
  readonly role: string
  readonly superuser: boolean
  readonly inRecovery: boolean
}

export type RelationKind =
  'table' | 'partitioned table' | 'view' | 'materialized view' | 'foreign table' | 'other'

export type Table = TableRef & {
  readonly oid: number
  readonly kind: RelationKind
  readonly temporary: boolean
  readonly columns: readonly Column[]
  /** Primary key first, then unique keys without nulls; a row can be named by any of them. */
  readonly keys: readonly UniqueKey[]
  readonly outbound: readonly ForeignKey[]
  readonly inbound: readonly ForeignKey[]
  /** Enabled triggers that a person made, for any event. */
  readonly triggers: readonly TableTrigger[]
  /** Rewrite rules. */
  readonly rules: readonly string[]
  /** Tables that inherit from this one and are no partitions of it. */
  readonly descendants: readonly string[]
  /** Tables that this one inherits from and is no partition of. */
  readonly ancestors: readonly string[]
  /** The partitioned table that this one is a part of, at the top. */
  readonly partitionOf: TableName | null
  /** How many partitions there are at all levels; not part of the shape. */
  readonly partitions: number
  /** The partitions that hold rows; not part of the shape. */
  readonly leaves: readonly TableName[]
  /** Partitions with something of their own that a statement on the whole would not meet. */
  readonly oddPartitions: readonly (TableName & { readonly why: string })[]
  /** Row security is on, and our role is not exempt from it. */
  readonly rowSecurity: boolean
  /** The table is filled by a subscription: its rows change without firing foreign keys. */
  readonly subscribed: boolean
  /** Publications because of which PostgreSQL refuses the statement: no replica identity names its rows. */
  readonly unreplicated: { readonly update: readonly string[]; readonly delete: readonly string[] }
  /** Functions of the application that PostgreSQL calls by itself: indexes, checks, defaults. */
  readonly functions: readonly (TableName & { readonly place: string })[]
  readonly privileges: Privileges
}

/** A trigger as the catalog has it; `writes` is what its source says of itself, and no proof. */
export type TableTrigger = {
  readonly name: string
  readonly level: 'row' | 'statement'
  readonly timing: 'before' | 'after' | 'instead of'
  readonly events: readonly ('delete' | 'update' | 'insert' | 'truncate')[]
  /** It fires for an update of one of these only; empty: of any. */
  readonly columns: readonly string[]
  readonly function: TableName
  /** SHA-256 of the function's source: an acknowledged trigger that was rewritten is another one. */
  readonly sourceDigest: string
  /** Statements in the source that may write elsewhere: `insert into crm.history`. */
  readonly writes: readonly string[]
}

export type Column = {
  readonly name: string
  readonly type: TypeName
  /** Of a domain, the type below it; otherwise the type itself. */
  readonly baseType: string
  /** For people: `character varying(80)`. */
  readonly typeText: string
  readonly category: string
  readonly notNull: boolean
  readonly generated: boolean
  /** Most characters that fit, for char(n) and varchar(n). */
  readonly maxLength: number | null
}

export type UniqueKey = {
  readonly name: string
  readonly primary: boolean
  readonly columns: readonly string[]
  /** All columns are not null: the key names every row. */
  readonly total: boolean
  /** Nulls count as the same: unique nulls not distinct. */
  readonly nullsEqual: boolean
}

export type ForeignKey = {
  readonly name: string
  readonly from: TableRef
  readonly to: TableRef
  readonly fromColumns: readonly string[]
  readonly toColumns: readonly string[]
  /** As pg_constraint.confdeltype. */
  readonly onDelete: 'a' | 'r' | 'c' | 'n' | 'd'
  /** Stands on partitions of `from`, and not on the whole: rows of others are not checked. */
  readonly partial: boolean
  /** PostgreSQL checks it for every change: whole, enforced, validated, and its triggers fire. */
  readonly enforced: boolean
}

/** What our role may do; column names where the right is per column. */
export type Privileges = {
  readonly schemaUsage: boolean
  readonly select: readonly string[]
  readonly insert: readonly string[]
  readonly update: readonly string[]
  readonly delete: boolean
  /** May take a SHARE lock on the table. */
  readonly lockShare: boolean
}

export function columnOf(table: Table, name: string): Column | undefined {
  return table.columns.find((column) => column.name === name)
}

/** The key by which rows are named: the primary key, else the first unique one without nulls. */
export function rowKey(table: Table): UniqueKey | undefined {
  return table.keys.find((key) => key.total)
}
