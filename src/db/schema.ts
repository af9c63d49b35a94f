import type { ColumnType, GeneratedAlways } from 'kysely'

/** An eight-byte integer: read as bigint, since an offset in a file or a token may pass 2^53. */
type Int8 = ColumnType<bigint, bigint | number, bigint | number>

/** An instant as PostgreSQL prints it; a JavaScript Date would cut its microseconds. */
type Instant = ColumnType<string, string | Date, string | Date>

type NullableInstant = ColumnType<
  string | null,
  string | Date | null | undefined,
  string | Date | null
>

/** The one row that orders the journal. Written by the functions of the schema only. */
export type HeadTable = {
  readonly one: boolean
  readonly origin: string
  /** Number of entries, and so the sequence number of the next one. */
  readonly size: Int8
  /** Leaf hash of the newest entry. */
  readonly last_hash: Buffer
  readonly last_time: Instant
}

/** One line of the journal per row, as the bytes that were signed. */
export type EntryTable = {
  readonly seq: Int8
  readonly body: Buffer
  /** Key id (4 bytes) and Ed25519 signature (64 bytes). */
  readonly sig: Buffer
  readonly leaf_hash: GeneratedAlways<Buffer>
}

/** The root of a perfect subtree of the journal's tree, above the leaves. */
export type NodeTable = {
  readonly level: number
  readonly index: Int8
  readonly hash: Buffer
}

/** What an entry hashes to: all that is left of one that was archived. */
export type LeafTable = {
  readonly seq: Int8
  readonly leaf_hash: Buffer
}

/** The tokens of a batch, table after table: one for each row. */
export type EvidenceTable = {
  readonly seq: Int8
  readonly tokens: Buffer
}

/** The signed heads, as they were published. */
export type CheckpointTable = {
  readonly size: Int8
  readonly note: string
}

/** Which checkpoints each sink has taken. */
export type AnchorTable = {
  readonly size: Int8
  readonly sink: string
  /** By the clock of the daemon's host. */
  readonly at: Instant
  readonly receipt: string | null
}

/** Sinks that took nothing the last time they were asked. */
export type SinkFailureTable = {
  readonly sink: string
  /** By the clock of the daemon's host. */
  readonly at: Instant
  /** Since it last took something. */
  readonly failures: number
  readonly message: string
}

/** The right to enforce on this database: a single row. */
export type LeaseTable = {
  readonly one: boolean
  /** The fencing token: grows with every take-over. */
  readonly token: Int8
  /** Null: nobody holds the lease. */
  readonly holder: string | null
  readonly acquired_at: NullableInstant
  readonly expires_at: NullableInstant
}

/** Rows that were anonymised and still exist, by their plain key. Goes when the row goes. */
export type AnonymisedTable = {
  readonly table_oid: number
  readonly key: string[]
  readonly rule: string
  readonly mask_digest: string
  /** Sequence number of the batch entry. */
  readonly seq: Int8
}

/** What a person approved, as the bytes whose digest the journal names. */
export type ApprovalTable = {
  readonly sha256: GeneratedAlways<Buffer>
  readonly body: Buffer
}

/** What persons ordered to keep. A lifted hold has forgotten its key and subject. */
export type HoldTable = {
  readonly id: GeneratedAlways<bigint>
  readonly case_reference: string
  readonly scope: 'rule' | 'subject' | 'row'
  readonly rule: string | null
  readonly table_oid: number | null
  readonly table_name: string | null
  readonly key_columns: string[] | null
  readonly subject: string | null
  readonly key: string[] | null
  /** Reminds only. */
  readonly until: NullableInstant
  readonly placed_at: GeneratedAlways<string>
  readonly lifted_at: NullableInstant
}

/** The migrations applied, in Kysely's form. */
export type MigrationTable = {
  readonly name: string
  readonly timestamp: string
}

/** SHA-256 of every migration file as it was applied, in hexadecimal. */
export type MigrationFileTable = {
  readonly name: string
  readonly sha256: string
}

/** A view: the entries of one type. */
type EntryView = {
  readonly seq: ColumnType<bigint, never, never>
  readonly body: ColumnType<Buffer, never, never>
  readonly sig: ColumnType<Buffer, never, never>
  readonly leaf_hash: ColumnType<Buffer, never, never>
}

/** Our own tables, all in the schema `retentiond`. The names carry it: the search path is pinned. */
export type OwnTables = {
  readonly 'retentiond.head': HeadTable
  readonly 'retentiond.entry': EntryTable
  readonly 'retentiond.policy_entry': EntryView
  readonly 'retentiond.run_entry': EntryView
  readonly 'retentiond.approval_entry': EntryView
  readonly 'retentiond.keys_entry': EntryView
  readonly 'retentiond.evidence_entry': EntryView
  readonly 'retentiond.hold_entry': EntryView
  readonly 'retentiond.archived_entry': EntryView
  readonly 'retentiond.archived_leaf': LeafTable
  readonly 'retentiond.leaf': LeafTable
  readonly 'retentiond.node': NodeTable
  readonly 'retentiond.checkpoint': CheckpointTable
  readonly 'retentiond.anchor': AnchorTable
  readonly 'retentiond.sink_failure': SinkFailureTable
  readonly 'retentiond.evidence': EvidenceTable
  readonly 'retentiond.approval': ApprovalTable
  readonly 'retentiond.lease': LeaseTable
  readonly 'retentiond.anonymised': AnonymisedTable
  readonly 'retentiond.hold': HoldTable
  readonly 'retentiond.migration': MigrationTable
  readonly 'retentiond.migration_file': MigrationFileTable
}
