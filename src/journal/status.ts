/** Where a journal stands, at a glance: it reads a few rows and verifies nothing. */
import type { Kysely } from 'kysely'
import { inSnapshot } from '../db/transaction.ts'
import type { OwnTables } from '../db/schema.ts'
import { newestCheckpoint } from './stored-checkpoints.ts'
import { findLostGuards, printLostGuard, type LostGuard } from './guards.ts'
import { readNamedKeys } from './keys.ts'
import { printTreeHead, type TreeHead } from './merkle.ts'
import { treeHead } from './nodes.ts'
import { printVerifierKey } from './note.ts'
import { findEntryBySeq, requireEntry, unfinishedRun } from './read.ts'

export type JournalStatus = {
  readonly origin: string
  readonly head: TreeHead
  /** Database time of the newest entry. */
  readonly newest: string
  /** Entries that the newest checkpoint covers, and the time of the last of them; null if there is none. */
  readonly checkpoint: { readonly size: number; readonly time: string } | null
  readonly entryKey: string
  readonly checkpointKey: string | null
  readonly unfinishedRuns: number
  readonly lostGuards: readonly LostGuard[]
}

export async function readStatus(db: Kysely<OwnTables>): Promise<JournalStatus> {
  return inSnapshot(db, async (trx) => {
    const { origin, entry, checkpoint } = await readNamedKeys(trx)
    const head = await treeHead(trx)
    const signed = await newestCheckpoint(trx)
    const inUse = checkpoint.at(-1)
    return {
      origin,
      head,
      newest: await timeOf(trx, head.size - 1),
      checkpoint:
        signed === null ? null : { size: signed.size, time: await timeOf(trx, signed.size - 1) },
      entryKey: printVerifierKey(entry),
      checkpointKey: inUse === undefined ? null : printVerifierKey(inUse),
      unfinishedRuns: (await unfinishedRun(trx)) === null ? 0 : 1,
      lostGuards: await findLostGuards(trx),
    }
  })
}

async function timeOf(db: Kysely<OwnTables>, seq: number): Promise<string> {
  const stored = await findEntryBySeq(db, seq)
  return stored === null ? '(missing)' : requireEntry(stored).time
}

/** Renders it for people. */
export function renderStatus(status: JournalStatus): string {
  const { origin, head, newest, checkpoint, entryKey, checkpointKey } = status
  const since = head.size - (checkpoint?.size ?? 0)
  const signed =
    checkpoint === null
      ? '(none)'
      : `${checkpoint.size} entries to ${checkpoint.time}, ${since} since`
  return [
    `journal         ${origin}`,
    `head            ${printTreeHead(head)}`,
    `newest entry    ${newest}`,
    `checkpoint      ${signed}`,
    `entry key       ${entryKey}`,
    `checkpoint key  ${checkpointKey ?? '(none)'}`,
    `unfinished runs ${status.unfinishedRuns}`,
    `guards          ${guardsOf(status)}`,
    '',
  ].join('\n')
}

function guardsOf({ lostGuards }: JournalStatus): string {
  return lostGuards.length === 0 ? 'all in place' : lostGuards.map(printLostGuard).join('; ')
}

/** The status for programs. */
export function statusJson(status: JournalStatus): Readonly<Record<string, unknown>> {
  const { origin, head, newest, checkpoint, entryKey, checkpointKey } = status
  return {
    origin,
    size: head.size,
    root: head.root.toString('base64'),
    newest,
    checkpoint,
    entry_key: entryKey,
    checkpoint_key: checkpointKey,
    unfinished_runs: status.unfinishedRuns,
    lost_guards: status.lostGuards,
  }
}
