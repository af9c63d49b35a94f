/** `journal verify`: the journal from its bytes, against what was kept elsewhere. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { aliveKeys } from '../../catalog/alive-keys.ts'
import type { Db } from '../../db/connect.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { inSnapshot } from '../../db/transaction.ts'
import { readAnchors } from '../../journal/anchors.ts'
import { withArchives } from '../../journal/archived.ts'
import type { EvidenceKey } from '../../journal/evidence.ts'
import { parseCheckpoint } from '../../journal/checkpoint.ts'
import { parseTreeHead, type TreeHead } from '../../journal/merkle.ts'
import { parseNote, parseVerifierKey, type VerifierKey } from '../../journal/note.ts'
import type { JournalReader } from '../../journal/reader.ts'
import { openExport } from '../../journal/read-export.ts'
import { entriesBackwards, journalReader, readTokens } from '../../journal/read.ts'
import { findResurrected } from '../../journal/resurrected.ts'
import { renderReport, renderReportJson } from '../../journal/render.ts'
import { verifyExport } from '../../journal/verify-export.ts'
import { verifyHeads, type HeadsOptions, type KeptNote } from '../../journal/verify-heads.ts'
import { exitOf, withFindings, type VerifyReport } from '../../journal/verify.ts'
import { readTable } from '../../policy/name.ts'
import { required } from '../config.ts'
import { evidenceKey, openAt, readConfiguredAnchors, type CliContext } from '../context.ts'
import { inconclusive, MalformedError } from '../inconclusive.ts'
import { readTrust } from '../trust-file.ts'

/** What a command is told that was kept elsewhere. */
export type Known = {
  readonly expect?: TreeHead
  readonly trustKey?: VerifierKey
  readonly trust?: string
  readonly anchor?: readonly string[]
  /** In milliseconds. */
  readonly maxAge?: number
  readonly deep?: boolean
  /** Folders that `journal archive` wrote. */
  readonly archive?: readonly string[]
}

type Options = Known & {
  /** An export, in place of the database. */
  readonly dir?: string
  readonly output: 'text' | 'json'
}

export function verifyCommand(context: CliContext): Command {
  return new Command('verify')
    .description('recompute the journal from its bytes; 0 only against a head kept elsewhere')
    .option('--dir <folder>', 'verify an export; no database is asked')
    .option('--trust <file>', 'keys, witnesses and quorum that you trust, as kept elsewhere')
    .option(
      '--anchor <place...>',
      'checkpoints kept elsewhere: a folder, a file, an address, or s3://BUCKET/PREFIX of a sink',
    )
    .option('--archive <folder...>', 'what journal archive wrote, to be compared too')
    .option('--max-age <age>', 'how old the newest of them may be: 26h, 90m, 7d', age)
    .option('--expect <size:root>', 'size and root as printed by enforce', expectedHead)
    .option(
      '--trust-key <vkey>',
      'entry key as kept elsewhere (default: the one in entry 0)',
      trustKey,
    )
    .option(
      '--deep',
      'compare all tokens with their roots, and look for rows that came back (evidence key)',
      false,
    )
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async (options: Options) => {
      // Parsed outside: a wrong setting is not a word about the journal.
      const url = options.dir === undefined ? required(context.config().databaseUrl) : ''
      const report = await inconclusive(async () => {
        const known = await knownElsewhere(context, options)
        return options.dir === undefined
          ? verifyAt(url, options, {
              known,
              evidence: options.deep === true ? await evidenceKey(context) : null,
            })
          : verifyExport(await whole(await openExport(options.dir), options), known)
      })
      context.out(options.output === 'json' ? renderReportJson(report) : renderReport(report))
      context.exit(exitOf(report.verdict))
    })
}

/** Reads what was kept elsewhere. */
export async function knownElsewhere(context: CliContext, options: Known): Promise<HeadsOptions> {
  const { trustKey: key, expect, trust, anchor = [], maxAge, deep = false } = options
  const anchors: KeptNote[] = []
  for (const place of anchor) {
    anchors.push(
      ...(place.startsWith('s3://') ? await fromBucket(context, place) : await readAnchors(place)),
    )
  }
  for (const { name, note } of anchors) {
    if (parseCheckpoint(parseNote(note)?.text ?? '') !== null) continue
    throw new MalformedError(`${name} is no checkpoint, or not in its only spelling`, {
      remedy: 'leave out what is no checkpoint; get the others again from where they were kept',
    })
  }
  return {
    trustKey: key ?? null,
    expected: expect ?? null,
    trust: trust === undefined ? null : await readTrust(trust),
    anchors,
    age: maxAge === undefined ? null : { mostMs: maxAge, nowMs: context.clock.now().getTime() },
    everyToken: deep,
  }
}

/** The journal with what archives have of it. */
export async function whole<R extends JournalReader>(
  reader: R,
  { archive = [] }: Pick<Known, 'archive'>,
): Promise<R> {
  return withArchives(reader, await Promise.all(archive.map(openExport)))
}

type Compared = { readonly known: HeadsOptions; readonly evidence: EvidenceKey | null }

/** Of a bucket that is one of the configured sinks: its secret is there. */
async function fromBucket(context: CliContext, place: string): Promise<readonly KeptNote[]> {
  const { sinks } = await readConfiguredAnchors(context)
  const sink = sinks.find((each) => each.place?.replace(/\/$/, '') === place.replace(/\/$/, ''))
  if (sink?.notes !== undefined) return sink.notes()
  const known = sinks.flatMap((each) => each.place ?? [])
  throw new ConfigError(`${place} is none of the sinks that are configured`, {
    remedy: `name one of them in RETENTIOND_ANCHORS_FILE; there are ${known.join(', ') || 'none of this kind'}`,
  })
}

async function verifyAt(
  url: string,
  options: Known,
  { known, evidence }: Compared,
): Promise<VerifyReport> {
  await using connection = await openAt(url)
  await checkMigrated(connection.db).catch((error: unknown) => {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.message, {
      cause: error,
      remedy: `${error.remedy ?? ''}; if there was a journal here before, ask who removed it`,
    })
  })
  // One snapshot: evidence that is pruned meanwhile would look stolen.
  const { db } = connection
  const report = await inSnapshot(db, async (trx) =>
    verifyHeads(await whole(journalReader(trx), options), known),
  )
  return evidence === null ? report : await lookedFor(db, report, evidence)
}

/**
 * The report, and what was found of rows that came back. Rows are read after the batches that are
 * compared with them: one that a later batch deletes is no finding.
 */
async function lookedFor(db: Db, report: VerifyReport, key: EvidenceKey): Promise<VerifyReport> {
  const alive = async (target: string, most: number) => {
    const name = readTable(target).value
    return name === undefined ? null : aliveKeys(db, name, most)
  }
  const source = {
    backwards: () => entriesBackwards(db),
    tokens: async (seq: number) => readTokens(db, seq),
  }
  const { findings, remarks } = await findResurrected(source, [key], report.origin ?? '', alive)
  return withFindings(
    {
      ...report,
      remarks: [...report.remarks, ...remarks],
      remarkCount: report.remarkCount + remarks.length,
    },
    findings,
  )
}

const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Reads an age: `26h`. */
export function age(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? []
  if (count !== undefined && (unit === 'm' || unit === 'h' || unit === 'd')) {
    return Number(count) * UNIT_MS[unit]
  }
  throw new InvalidArgumentError('write a number of minutes, hours or days, as 26h')
}

/** Reads `SIZE:ROOT`. */
export function expectedHead(text: string): TreeHead {
  const head = parseTreeHead(text)
  if (head !== null) return head
  throw new InvalidArgumentError('write SIZE:ROOT as enforce prints it, as 57:+Ab…=')
}

function trustKey(text: string): VerifierKey {
  const key = parseVerifierKey(text)
  if (key !== null) return key
  throw new InvalidArgumentError('write a verifier key: name+key id+base64')
}
