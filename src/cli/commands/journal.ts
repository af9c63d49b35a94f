import { Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { parseEntry } from '../../journal/entry.ts'
import { parseTreeHead, type TreeHead } from '../../journal/merkle.ts'
import { treeHead } from '../../journal/nodes.ts'
import { findEntryBySeq, journalReader, readEntries } from '../../journal/read.ts'
import { renderEntry, renderList, renderReport, renderReportJson } from '../../journal/render.ts'
import { parseVerifierKey, type VerifierKey } from '../../journal/note.ts'
import { checkSignature } from '../../journal/signature.ts'
import { exitOf, verify, type StoredEntry, type VerifyReport } from '../../journal/verify.ts'
import { required } from '../config.ts'
import { openAt, openConnection, type CliContext } from '../context.ts'
import { inconclusive } from '../inconclusive.ts'
import { destroyCommand, pruneCommand } from './journal-evidence.ts'
import { exportCommand, verifyFolder } from './journal-export.ts'
import { checkpointCommand, statusCommand } from './journal-checkpoint.ts'
import { proveCommand, verifyProofCommand } from './journal-proof.ts'

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
    .addCommand(proveCommand(context))
    .addCommand(verifyProofCommand(context))
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

type VerifyOptions = {
  readonly expect?: TreeHead
  readonly trustKey?: VerifierKey
  /** An export, in place of the database. */
  readonly dir?: string
  readonly output: 'text' | 'json'
}

function verifyCommand(context: CliContext): Command {
  return new Command('verify')
    .description('recompute the journal from its bytes; 0 only against a head kept elsewhere')
    .option('--dir <folder>', 'verify an export; no database is asked')
    .option('--expect <size:root>', 'size and root as printed by enforce', expectedHead)
    .option(
      '--trust-key <vkey>',
      'entry key as kept elsewhere (default: the one in entry 0)',
      trustKey,
    )
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async (options: VerifyOptions) => {
      // Parsed outside: a wrong setting is not a word about the journal.
      const url = options.dir === undefined ? required(context.config().databaseUrl) : ''
      const report = await inconclusive(async () =>
        options.dir === undefined
          ? verifyAt(url, options)
          : verifyFolder(options.dir, trusted(options)),
      )
      context.out(options.output === 'json' ? renderReportJson(report) : renderReport(report))
      context.exit(exitOf(report.verdict))
    })
}

async function verifyAt(url: string, options: VerifyOptions): Promise<VerifyReport> {
  await using connection = await openAt(url)
  await checkMigrated(connection.db).catch((error: unknown) => {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.message, {
      cause: error,
      remedy: `${error.remedy ?? ''}; if there was a journal here before, ask who removed it`,
    })
  })
  return await verify(journalReader(connection.db), trusted(options))
}

/** What was kept elsewhere. */
function trusted({ trustKey, expect }: VerifyOptions) {
  return { trustKey: trustKey ?? null, expected: expect ?? null }
}

function sequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number')
}

function expectedHead(text: string): TreeHead {
  const head = parseTreeHead(text)
  if (head !== null) return head
  throw new InvalidArgumentError('write SIZE:ROOT as enforce prints it, as 57:+Ab…=')
}

function trustKey(text: string): VerifierKey {
  const key = parseVerifierKey(text)
  if (key !== null) return key
  throw new InvalidArgumentError('write a verifier key: name+key id+base64')
}
