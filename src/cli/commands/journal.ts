import { Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { parseEntry } from '../../journal/entry.ts'
import { treeHead } from '../../journal/nodes.ts'
import { findEntryBySeq, readEntries } from '../../journal/read.ts'
import { renderEntry, renderList } from '../../journal/render.ts'
import { parseVerifierKey } from '../../journal/note.ts'
import { checkSignature } from '../../journal/signature.ts'
import type { StoredEntry } from '../../journal/reader.ts'
import { openConnection, type CliContext } from '../context.ts'
import { archiveCommand } from './journal-archive.ts'
import { destroyCommand, pruneCommand } from './journal-evidence.ts'
import { exportCommand } from './journal-export.ts'
import { certificateCommand } from './journal-certificate.ts'
import { recoverCommand } from './journal-recover.ts'
import { succeedCommand } from './journal-succeed.ts'
import { rotateCommand } from './journal-rotate.ts'
import { checkpointCommand, statusCommand } from './journal-checkpoint.ts'
import { proveCommand, verifyProofCommand } from './journal-proof.ts'
import { verifyCommand } from './journal-verify.ts'

/** `journal`: what was destroyed, and whether the record of it can be believed. */
export function journalCommand(context: CliContext): Command {
  return new Command('journal')
    .description('read and verify the purge journal')
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(verifyCommand(context))
    .addCommand(checkpointCommand(context))
    .addCommand(statusCommand(context))
    .addCommand(exportCommand(context))
    .addCommand(certificateCommand(context))
    .addCommand(recoverCommand(context))
    .addCommand(rotateCommand(context))
    .addCommand(succeedCommand(context))
    .addCommand(proveCommand(context))
    .addCommand(verifyProofCommand(context))
    .addCommand(archiveCommand(context))
    .addCommand(pruneCommand(context))
    .addCommand(destroyCommand(context))
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('list entries, oldest first')
    .option('--from <seq>', 'first sequence number', sequence, 0)
    .option('--limit <count>', 'most entries', sequence)
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async ({ from, limit, output }: { from: number; limit?: number; output: string }) => {
      await using connection = await openConnection(context)
      await checkMigrated(connection.db)
      const range = limit === undefined ? { from } : { from, limit }
      const page: StoredEntry[] = []
      let first = true
      const flush = () => {
        if (page.length === 0 && !first) return
        const text = renderList(page)
        // Pages of a long journal are one table: only the first has a header.
        context.out(first ? text : text.slice(text.indexOf('\n') + 1))
        first = false
        page.length = 0
      }
      for await (const stored of readEntries(connection.db, range)) {
        if (output === 'json') context.out(`${stored.body.toString('utf8')}\n`)
        else if (page.push(stored) === 1000) flush()
      }
      if (output !== 'json') flush()
    })
}

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('show one entry with its leaf hash and signature')
    .argument('<seq>', 'sequence number', sequence)
    .action(async (seq: number) => {
      await using connection = await openConnection(context)
      await checkMigrated(connection.db)
      const stored = await findEntryBySeq(connection.db, seq)
      if (stored === null) {
        const { size } = await treeHead(connection.db)
        if (seq < size) {
          throw new ConfigError(`the body of entry ${seq} is archived`, {
            remedy: 'look into entries.jsonl of the archive',
          })
        }
        throw new ConfigError(`there is no entry ${seq}: the journal has ${size}`, {
          remedy: size === 0 ? 'run: retentiond migrate' : `name one from 0 to ${size - 1}`,
        })
      }
      const genesis = await findEntryBySeq(connection.db, 0)
      context.out(renderEntry({ stored, signed: isSigned(stored, genesis) }))
    })
}

/** Checks with the key that the journal names itself; null if entry 0 names none. */
function isSigned(stored: StoredEntry, first: StoredEntry | null): boolean | null {
  const genesis = first === null ? undefined : parseEntry(first.body).entry
  if (genesis?.type !== 'genesis') return null
  const key = parseVerifierKey(genesis.entryKey)
  return key === null ? null : checkSignature(key, { origin: genesis.origin, ...stored })
}

function sequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number')
}
