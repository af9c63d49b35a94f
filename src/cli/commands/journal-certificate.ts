/** `journal certificate`: what was done, on paper for whoever asks. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { EXIT, UsageError, type ExitStatus } from '../../base/errors.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { inSnapshot } from '../../db/transaction.ts'
import {
  certify,
  certifyRecord,
  cosignedBy,
  gathering,
  gatheringOf,
  type Certificate,
  type HeldNote,
  type Scope,
  type Stated,
} from '../../journal/certificate.ts'
import { renderCertificate } from '../../journal/certificate-html.ts'
import type { CertificateLanguage } from '../../journal/certificate-text.ts'
import { openCheckpoint } from '../../journal/checkpoint.ts'
import { checkProof } from '../../journal/proof.ts'
import { openExport } from '../../journal/read-export.ts'
import { journalReader } from '../../journal/read.ts'
import { verifyExport } from '../../journal/verify-export.ts'
import { verifyHeads, type HeadsOptions } from '../../journal/verify-heads.ts'
import type { JournalReader } from '../../journal/reader.ts'
import { exitOf, type VerifyReport } from '../../journal/verify.ts'
import { required } from '../config.ts'
import { openAt, type CliContext } from '../context.ts'
import { inconclusive, InconclusiveError, TamperedError } from '../inconclusive.ts'
import { readProof, writeNew } from '../proof-file.ts'
import { rulesIn } from '../rule-texts.ts'
import { readTrust } from '../trust-file.ts'
import { age, expectedHead, knownElsewhere, whole, type Known } from './journal-verify.ts'

type Options = Known & {
  readonly run?: string
  readonly from?: string
  readonly to?: string
  readonly proof?: string
  readonly dir?: string
  readonly out: string
  readonly lang: CertificateLanguage
  readonly controller?: string
  readonly system?: string
  readonly backupDays?: number
  readonly policies?: readonly string[]
}

export function certificateCommand(context: CliContext): Command {
  return new Command('certificate')
    .description('write a certificate of a run, a period or a record: a page that prints on A4')
    .requiredOption('--out <file>', 'where to write the page (HTML, with its data as JSON inside)')
    .option('--run <id>', 'of this run')
    .option('--from <day>', 'of a period: its first day (YYYY-MM-DD, UTC)', day)
    .option('--to <day>', 'of a period: its last day', day)
    .option('--proof <file>', 'of the record that this proof is of; needs --trust and nothing else')
    .option('--dir <folder>', 'from an export; no database is asked')
    .option('--trust <file>', 'keys, witnesses and quorum that you trust, as kept elsewhere')
    .option('--anchor <place...>', 'checkpoints kept elsewhere, as of journal verify')
    .option('--archive <folder...>', 'what journal archive wrote, if it goes back that far')
    .option('--max-age <age>', 'how old the newest of them may be: 26h, 90m, 7d', age)
    .option('--expect <size:root>', 'size and root as printed by enforce', expectedHead)
    .option('--controller <name>', 'who is responsible for the data, as it is to be printed')
    .option('--system <name>', 'what the database is called, as it is to be printed')
    .option('--backup-days <days>', 'after so many days no backup is left', days)
    .option('--policies <folder...>', 'with the texts of the rules that are found in these folders')
    .addOption(new Option('--lang <language>', 'language').choices(['en', 'fr']).default('en'))
    .action(async (options: Options) => {
      const { certificate, exit } = await certified(context, options)
      await writeNew(options.out, renderCertificate(certificate, options.lang))
      if (certificate.scope.kind === 'record') {
        context.err(`${options.out} names the row: treat it as you treated the row\n`)
      }
      if (exit !== EXIT.done) {
        context.err(`${options.out} says that it is ${certificate.verdict}: give --anchor\n`)
      }
      context.exit(exit)
    })
}

type Made = { readonly certificate: Certificate; readonly exit: ExitStatus }

async function certified(context: CliContext, options: Options): Promise<Made> {
  const stated: Stated = {
    controller: options.controller ?? null,
    system: options.system ?? null,
    backupDays: options.backupDays ?? null,
    issuedAt: context.clock.now().toISOString(),
  }
  if (options.proof !== undefined) return ofRecord(options.proof, options, stated)
  const scope = scopeOf(options)
  // Parsed outside: a wrong setting is not a word about the journal.
  const url = options.dir === undefined ? required(context.config().databaseUrl) : ''
  return inconclusive(async () => {
    const known = await knownElsewhere(context, options)
    return options.dir === undefined
      ? fromDatabase(url, { scope, known, stated, options })
      : fromFolder(options.dir, { scope, known, stated, options })
  })
}

function scopeOf({ run, from, to }: Options): Scope {
  if (run !== undefined && from === undefined && to === undefined) return { kind: 'run', run }
  if (run === undefined && from !== undefined && to !== undefined && from <= to) {
    return { kind: 'period', from, to }
  }
  throw new UsageError('a certificate is of one run, one period or one record', {
    remedy: 'give --run, or --from with --to, or --proof with --trust',
  })
}

async function ofRecord(file: string, options: Options, stated: Stated): Promise<Made> {
  if (options.trust === undefined) throw new UsageError('a proof is worth nothing without --trust')
  const trust = await readTrust(options.trust)
  const proof = await readProof(file)
  const { proved, fault } = checkProof(proof, trust)
  if (fault !== undefined) throw new TamperedError(`${file} does not hold: ${fault.message}`)
  const rules = await rulesIn(options.policies ?? [])
  const certificate = certifyRecord(proof, proved, { ...stated, rules, origin: trust.origin })
  return { certificate, exit: EXIT.done }
}

type Work = {
  readonly scope: Scope
  readonly known: HeadsOptions
  readonly stated: Stated
  readonly options: Options
}

async function fromDatabase(url: string, work: Work): Promise<Made> {
  await using connection = await openAt(url)
  await checkMigrated(connection.db)
  return await inSnapshot(connection.db, async (trx) => {
    const rules = await rulesIn(work.options.policies ?? [])
    return gathered(await whole(journalReader(trx), work.options), rules, work, verifyHeads)
  })
}

async function fromFolder(folder: string, work: Work): Promise<Made> {
  const reader = await openExport(folder)
  const rules = new Map(await rulesIn(work.options.policies ?? []))
  for await (const { name, text } of reader.policies()) {
    rules.set(name.replace(/\.json$/, ''), text.toString())
  }
  return gathered(await whole(reader, work.options), rules, work, verifyExport)
}

async function gathered<R extends JournalReader>(
  reader: R,
  rules: ReadonlyMap<string, string>,
  { scope, known, stated }: Work,
  verifying: (reader: R, options: HeadsOptions) => Promise<VerifyReport>,
): Promise<Made> {
  const seen = gatheringOf(scope)
  const report = await verifying(gathering(reader, seen), known)
  const { verdict, head, anchors = null, findings } = report
  if (verdict === 'tampered') {
    const [first] = findings
    throw new TamperedError(
      `no certificate of a journal that was tampered with: entry ${first?.seq}: ${first?.code}: ${first?.message}`,
    )
  }
  const { archivedUntil } = seen
  const remedy =
    archivedUntil === null
      ? undefined
      : `what was journalled before ${archivedUntil} is archived, in part at least: give --archive`
  if (scope.kind === 'run' && !seen.runs.has(scope.run)) {
    throw new InconclusiveError(
      `the journal has no run ${scope.run}`,
      remedy === undefined ? {} : { remedy },
    )
  }
  if (scope.kind === 'period' && remedy !== undefined && scope.from <= (archivedUntil ?? '')) {
    throw new InconclusiveError(`not everything of ${scope.from} to ${scope.to} is here`, {
      remedy,
    })
  }
  const notes: HeldNote[] = []
  const { log: keys = seen.checkpointKeys, witnesses = [] } = known.trust ?? {}
  const kept = [...(known.anchors ?? [])]
  for await (const each of reader.checkpoints?.() ?? []) kept.push(each)
  for (const { note } of kept) {
    const opened = openCheckpoint(note, [...keys, ...seen.checkpointKeys, ...witnesses])
    if (opened.fault !== undefined) continue
    notes.push({ size: opened.checkpoint.size, note, cosigned: cosignedBy(opened.signed) })
  }
  const certificate = await certify(seen, { verdict, head, anchors, rules, notes }, stated)
  return { certificate, exit: exitOf(verdict) }
}

function day(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))) return text
  throw new InvalidArgumentError('write a date as YYYY-MM-DD')
}

function days(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number of days')
}
