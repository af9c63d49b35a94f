/** What a run leaves behind: where what it destroyed or overwrote may still be recovered, and until when. */
import { printTable } from '../base/names.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { ServerResidue, TableResidue } from '../catalog/inspect-residue.ts'
import type { Tended } from './after.ts'

export type Residue = {
  readonly kind:
    | 'dead_rows'
    | 'pages'
    | 'statistics'
    | 'materialised_view'
    | 'history'
    | 'large_objects'
    | 'subscribers'
    | 'replicas'
    | 'slot'
    | 'log'
    | 'backups'
  /** What it is about, by name; null: the server as a whole. */
  readonly of: string | null
  readonly message: string
  /** The last day on which it may be there; null: nobody knows. */
  readonly until: string | null
}

export type Facts = {
  readonly tables: readonly {
    readonly table: string
    readonly tended: Tended
    readonly found: TableResidue
  }[]
  readonly server: ServerResidue
  /** The rules that acted. */
  readonly rules: readonly FittedRule[]
  /** The last day on which a backup is kept; null if some policy does not say how long they are. */
  readonly backupsUntil: string | null
}

/** States it for the tables of a run, then for the server. */
export function residueOf({ tables, server, rules, backupsUntil }: Facts): readonly Residue[] {
  return [
    ...tables.flatMap(({ table, tended, found }) => ofTable(table, tended, found)),
    ...historyOf(rules),
    ...ofServer(server),
    ofBackups(server, backupsUntil),
  ]
}

function ofTable(table: string, tended: Tended, found: TableResidue): readonly Residue[] {
  const { deadRows, readers, largeObjects, publications } = found
  // The server counts with a delay: none counted does not mean that there is none.
  const dead = deadRows > 0 ? `${deadRows} dead rows` : 'dead rows'
  const heap =
    tended.vacuumed && deadRows === 0
      ? line('pages', table, 'free space of its pages, until something else is written there')
      : line('dead_rows', table, `${dead}, until VACUUM or autovacuum has removed them`)
  return [
    heap,
    ...statistics(table, tended, found),
    ...readers.map((view) =>
      line('materialised_view', view, `what it read from ${table}, until it is refreshed`),
    ),
    ...largeObjects.map((column) =>
      line('large_objects', `${table}.${column}`, 'large objects that it named: run vacuumlo'),
    ),
    ...publications.map(({ name, passesDeletes }) =>
      line(
        'subscribers',
        name,
        passesDeletes
          ? `its subscribers' copies of ${table}, until they have applied the run`
          : `its subscribers' copies of ${table}: they are not told what was deleted`,
      ),
    ),
  ]
}

function statistics(
  table: string,
  { analyzed, cleared }: Tended,
  { emptied }: TableResidue,
): readonly Residue[] {
  if (!analyzed) return [line('statistics', table, 'its statistics, until ANALYZE')]
  if (!emptied || cleared) return []
  return [
    line(
      'statistics',
      table,
      'its statistics, which ANALYZE keeps for an empty table: a superuser can delete them from pg_statistic',
    ),
  ]
}

/** Triggers may keep what they saw; what their source writes to is known, what they call is not. */
function historyOf(rules: readonly FittedRule[]): readonly Residue[] {
  const writing = rules.flatMap(({ triggers }) =>
    triggers.filter(({ trigger }) => trigger.writes.length > 0),
  )
  const named = writing.map(({ table, trigger: { name, writes } }): Residue => {
    const of = `${printTable(table)}.${name}`
    return line('history', of, `what this trigger may have copied: ${writes.join(', ')}`)
  })
  return [...new Map(named.map((each) => [each.of, each])).values()]
}

function ofServer({ replicas, lagSeconds, slots }: ServerResidue): readonly Residue[] {
  const lag = lagSeconds === null ? '' : `; the last is ${lagSeconds} s behind`
  const standbys =
    replicas === 0
      ? []
      : [line('replicas', null, `${replicas} replicas, until they have replayed it${lag}`)]
  return [
    ...standbys,
    ...slots.map(({ name, bytes }) =>
      line(
        'slot',
        name,
        bytes === null
          ? 'what this replication slot passes on'
          : `${Math.ceil(bytes / 1024 ** 2)} MB of log that this replication slot retains`,
      ),
    ),
    line('log', null, 'the write-ahead log, until the server has recycled it'),
  ]
}

function ofBackups({ archives }: ServerResidue, until: string | null): Residue {
  const what = archives ? 'backups and archived log' : 'backups'
  const kept = until === null ? ', for as long as they are kept: say so with backups:' : ''
  return { kind: 'backups', of: null, message: `${what}${kept}`, until }
}

function line(kind: Residue['kind'], of: string | null, message: string): Residue {
  return { kind, of, message, until: null }
}
