/** `journal prove` and `journal verify-proof`: that one row was acted on, shown by one file. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError, EXIT, JournalCorruptError, UsageError } from '../../base/errors.ts'
import { printTable } from '../../base/names.ts'
import { inspectCatalog } from '../../catalog/inspect.ts'
import { spelledKey } from '../../catalog/spelled-key.ts'
import type { Db } from '../../db/connect.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { inSnapshot } from '../../db/transaction.ts'
import { readEvidenceFile } from '../../journal/evidence-file.ts'
import type { EvidenceKey, RowKey } from '../../journal/evidence.ts'
import { checkProof, printProof, type Proof } from '../../journal/proof.ts'
import { provableDatabase, provableExport, type Provable } from '../../journal/proof-source.ts'
import { proveRow } from '../../journal/prove.ts'
import { openExport } from '../../journal/read-export.ts'
import { provedJson, renderProved } from '../../journal/render-proof.ts'
import type { Trust } from '../../journal/trust.ts'
import { readTable } from '../../policy/name.ts'
import { visible } from '../../policy/visible.ts'
import { openConnection, type CliContext } from '../context.ts'
import { InconclusiveError } from '../inconclusive.ts'
import { json } from '../output.ts'
import { readProof, writeNew } from '../proof-file.ts'
import { readTrust } from '../trust-file.ts'

type ProveOptions = {
  readonly table: string
  readonly key: RowKey
  readonly out: string
  readonly dir?: string
  readonly evidenceKey?: readonly string[]
  readonly from: number
  readonly to: number
}

export function proveCommand(context: CliContext): Command {
  return new Command('prove')
    .description('prove that one row was acted on: a file that is checked without a database')
    .requiredOption('--table <name>', 'table of the row: schema.table')
    .requiredOption('--key <value...>', 'the key of the row, a value for each of its columns')
    .requiredOption('--out <file>', 'where to write the proof; it names the row')
    .option('--dir <folder>', 'prove it from an export with --evidence; no database is asked')
    .option(
      '--evidence-key <file...>',
      'files of evidence keys (default: RETENTIOND_EVIDENCE_KEY_FILE)',
    )
    .option('--from <seq>', 'first entry to look at', sequence, 0)
    .option('--to <seq>', 'last entry to look at (default: the newest)', sequence, Infinity)
    .action(async (options: ProveOptions) => {
      const keys = await evidenceKeys(context, options)
      const proof =
        options.dir === undefined
          ? await proveInDatabase(context, options, keys)
          : await proveInFolder(options.dir, options, keys)
      await writeNew(options.out, printProof(proof))
      context.err(`${options.out} names the row: treat it as you treated the row\n`)
    })
}

async function evidenceKeys(
  context: CliContext,
  { evidenceKey }: ProveOptions,
): Promise<readonly EvidenceKey[]> {
  const configured = evidenceKey === undefined ? context.config().evidenceKeyFile : null
  const files = evidenceKey ?? (configured === null ? [] : [configured])
  if (files.length === 0) {
    throw new InconclusiveError('no evidence key is given, and only its holder can find a row', {
      remedy: 'set RETENTIOND_EVIDENCE_KEY_FILE, or give --evidence-key FILE',
    })
  }
  return Promise.all(files.map(readEvidenceFile))
}

async function proveInDatabase(
  context: CliContext,
  options: ProveOptions,
  keys: readonly EvidenceKey[],
): Promise<Proof> {
  await using connection = await openConnection(context)
  const { db } = connection
  await checkMigrated(db)
  const key = await spelled(context, db, options)
  return await inSnapshot(db, async (trx) =>
    proved(await provableDatabase(trx), { ...options, key }, keys),
  )
}

async function proveInFolder(
  folder: string,
  options: ProveOptions,
  keys: readonly EvidenceKey[],
): Promise<Proof> {
  const journal = await provableExport(await openExport(folder))
  if (journal === null) throw new InconclusiveError(`${folder} does not begin with a genesis`)
  return proved(journal, options, keys)
}

/** The key as the database prints it, if the table is still there and may be seen. */
async function spelled(
  { err }: CliContext,
  db: Db,
  { table: printed, key: values }: ProveOptions,
): Promise<RowKey> {
  const name = readTable(printed).value
  if (name === undefined) throw new UsageError(`${printed} is no table as schema.table`)
  const table = (await inspectCatalog(db, [name])).tables.get(printTable(name))
  const as =
    table === undefined ? { fault: 'rights' as const } : await spelledKey(db, table, values)
  switch (as.fault) {
    case undefined:
      return as.key
    case 'rights':
      err(`${printed} cannot be looked at: the key is taken as PostgreSQL would print it\n`)
      return values
    case 'columns':
    case 'values':
      throw new UsageError(`the key does not fit the columns of ${printed}`, {
        remedy: `give a value for each of ${as.columns.join(', ')}, in this order`,
      })
    default:
      return as satisfies never
  }
}

async function proved(
  journal: Provable,
  { table: target, key, from, to }: ProveOptions,
  evidence: readonly EvidenceKey[],
): Promise<Proof> {
  const { origin, checkpoint } = journal.keys
  for (const each of evidence) requireNamed(journal, each)
  const anchor = { notes: journal.checkpoints, keys: checkpoint }
  for (const each of evidence) {
    const made = await proveRow(within(journal, from, to), each, { origin, target, key }, anchor)
    if (made.fault === undefined)
      return sound(made.proof, {
        origin,
        log: checkpoint,
        entry: null,
        witnesses: [],
        quorum: null,
      })
    if (made.fault === 'uncovered') {
      throw new InconclusiveError('the row is there, and no checkpoint covers its batch yet', {
        remedy: 'run: retentiond journal checkpoint',
      })
    }
  }
  const ids = evidence.map(({ id }) => id).join(', ')
  throw new InconclusiveError(
    `no evidence of this row under ${ids} in ${journal.size} entries of ${origin}`,
    {
      remedy:
        'this does not say that it was not destroyed: other keys, removed tokens, batches that only count, and what is archived (--dir names an archive) show nothing',
    },
  )
}

/** Another key under this id would find nothing, and nothing would say why. */
function requireNamed({ keys }: Provable, { id, check }: EvidenceKey): void {
  const named = keys.evidence.get(id)
  if (named === check) return
  throw new ConfigError(
    named === undefined
      ? `KEY-CHECK: the journal names no evidence key ${id}`
      : `KEY-CHECK: this is not the evidence key that the journal calls ${id}`,
    { remedy: `it names ${[...keys.evidence.keys()].join(', ') || 'none'}` },
  )
}

function within(journal: Provable, from: number, to: number): Provable {
  return {
    ...journal,
    backwards: async function* backwards() {
      for await (const stored of journal.backwards()) {
        if (stored.seq < from) return
        if (stored.seq <= to) yield stored
      }
    },
  }
}

/** Stored hashes that are not those of the entries make a proof that proves nothing. */
function sound(proof: Proof, trust: Trust): Proof {
  const { fault } = checkProof(proof, trust)
  if (fault === undefined) return proof
  throw new JournalCorruptError(`the proof does not hold: ${fault.code}: ${fault.message}`, {
    remedy: 'run: retentiond journal verify',
  })
}

export function verifyProofCommand(context: CliContext): Command {
  return new Command('verify-proof')
    .description('check the proof of one row; neither database nor evidence key is needed')
    .argument('<file>', 'what journal prove wrote')
    .requiredOption('--trust <file>', 'the keys you trust, as you got them from elsewhere')
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async (file: string, options: { readonly trust: string; readonly output: string }) => {
      const trust = await readTrust(options.trust)
      const proof = await readProof(file)
      const { proved: what, fault } = checkProof(proof, trust)
      const verdict = fault === undefined ? provedJson(what) : { verdict: 'not proved', ...fault }
      const text =
        fault === undefined
          ? renderProved(what, visible)
          : `NOT PROVED: ${fault.code}: ${fault.message}\n`
      context.out(options.output === 'json' ? json(1, verdict) : text)
      context.exit(
        fault === undefined ? EXIT.done : fault.code === 'QUORUM' ? EXIT.refused : EXIT.failed,
      )
    })
}

function sequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number')
}
