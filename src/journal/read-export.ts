/** Reads an export: a journal as a folder of files, with no database and no package. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import { MAX_BODY_BYTES } from './entry.ts'
import { interleaved } from './archived.ts'
import { leafHash, parseTreeHead, type TreeHead } from './merkle.ts'
import type {
  ArchivedEntry,
  JournalReader,
  StatedArchive,
  StoredEntry,
  StoredTokens,
  TokensRead,
} from './reader.ts'

/** A journal in a folder, with what stands beside its entries. */
export interface ExportReader extends JournalReader {
  /** The head that the export says it goes up to. */
  head(): Promise<TreeHead>
  /** The signed heads, by the names of their files. */
  checkpoints(): AsyncIterable<{ readonly name: string; readonly note: string }>
  /** The texts of rules, by the names of their files. */
  policies(): AsyncIterable<{ readonly name: string; readonly text: Buffer }>
  /** The tokens of a batch; null if the export has none. */
  tokens(seq: number): Promise<Buffer | null>
  /** Files that are missing or are not what the manifest says; nothing if there is no manifest. */
  altered(): AsyncIterable<string>
}

/** Opens a folder that `journal export` wrote. One that was not finished, or is a part, is refused. */
export async function openExport(folder: string): Promise<ExportReader> {
  const text = await readIfThere(join(folder, 'head.txt'))
  const head = text === null ? null : parseTreeHead(text.trimEnd())
  if (head === null) {
    throw new ConfigError(`${folder} is no whole export of a journal: its head.txt is missing`, {
      remedy: 'name a folder that retentiond journal export wrote to its end',
    })
  }
  if ((await readIfThere(join(folder, 'part.txt'))) !== null) {
    throw new ConfigError(`${folder} has a part of a journal only, and no proof stands on a part`, {
      remedy: 'export it again without --from',
    })
  }
  const evidence = await stat(join(folder, 'evidence')).catch(ifThere)
  return {
    size: async () => head.size,
    tokenBytes: async () => bytesIn(join(folder, 'evidence')),
    archives: () => archivesOf(folder),
    entries: (tokens) =>
      interleaved(entriesOf(folder, evidence === null ? 'left' : tokens), archivedIn(folder)),
    head: async () => head,
    checkpoints: () => checkpointsOf(folder),
    policies: () => policiesOf(folder),
    tokens: async (seq) => tokensOf(folder, seq),
    altered: () => alteredIn(folder),
  }
}

async function* entriesOf(folder: string, tokens: TokensRead): AsyncGenerator<StoredEntry, void> {
  const signatures = linesOf(join(folder, 'signatures.txt'))
  let next = 0
  for await (const body of linesOf(join(folder, 'entries.jsonl'))) {
    const { seq, sig } = signatureOf((await signatures.next()).value ?? null, next)
    const stored = { seq, body, sig, leafHash: leafHash(body) }
    yield tokens === 'left'
      ? stored
      : { ...stored, tokens: await storedTokens(folder, seq, tokens) }
    next = seq + 1
  }
  // A signature that no entry stands beside is an entry that is gone.
  for await (const line of signatures) {
    const body = Buffer.alloc(0)
    yield { ...signatureOf(line, next), body, leafHash: leafHash(body) }
    next += 1
  }
}

/** What entries say was archived; those that are here say it again. */
async function archivesOf(folder: string): Promise<readonly StatedArchive[]> {
  const lines = (await readIfThere(join(folder, 'archives.txt')))?.split('\n') ?? []
  return lines.flatMap((line) => {
    const [, numbers = '', printed = ''] = /^(\d+ \d+ \d+ \d+) (\S+)$/.exec(line) ?? []
    const [seq = 0, from = 0, to = 0, entries = 0] = numbers.split(' ').map(Number)
    const head = parseTreeHead(printed)
    return head === null ? [] : [{ seq, from, to, entries, ...head }]
  })
}

/** What an archived entry hashes to. A line that is none stands for nothing, which is a gap. */
async function* archivedIn(folder: string): AsyncGenerator<ArchivedEntry, void> {
  const path = join(folder, 'archived.txt')
  if ((await stat(path).catch(ifThere)) === null) return
  for await (const line of linesOf(path)) {
    const [, seq, leaf] = /^(\d{1,15}) ([A-Za-z0-9+/]{43}=)$/.exec(line.toString()) ?? []
    if (seq === undefined || leaf === undefined) continue
    yield { seq: Number(seq), leafHash: Buffer.from(leaf, 'base64'), archived: true }
  }
}

/** What is no signature is one that nobody made, which the verifier then says. */
function signatureOf(line: Buffer | null, next: number): Pick<StoredEntry, 'seq' | 'sig'> {
  const [, seq, sig] = /^(\d{1,15}) ([A-Za-z0-9+/]{91}=)$/.exec(line?.toString() ?? '') ?? []
  return seq === undefined || sig === undefined
    ? { seq: next, sig: Buffer.alloc(0) }
    : { seq: Number(seq), sig: Buffer.from(sig, 'base64') }
}

async function storedTokens(folder: string, seq: number, how: TokensRead): Promise<StoredTokens> {
  if (how === 'read') return tokensOf(folder, seq)
  const found = await stat(tokenFile(folder, seq)).catch(ifThere)
  return found === null ? null : { bytes: found.size }
}

async function tokensOf(folder: string, seq: number): Promise<Buffer | null> {
  return readFile(tokenFile(folder, seq)).catch(ifThere)
}

function tokenFile(folder: string, seq: number): string {
  return join(folder, 'evidence', `${String(seq).padStart(6, '0')}.bin`)
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0
  for (const name of (await readdir(folder).catch(ifThere)) ?? []) {
    bytes += (await stat(join(folder, name))).size
  }
  return bytes
}

async function* checkpointsOf(folder: string) {
  const names = (await readdir(join(folder, 'checkpoints')).catch(ifThere)) ?? []
  for (const name of names.toSorted()) {
    yield { name, note: await readFile(join(folder, 'checkpoints', name), 'utf8') }
  }
}

async function* policiesOf(folder: string) {
  const names = (await readdir(join(folder, 'policies')).catch(ifThere)) ?? []
  for (const name of names.toSorted()) {
    yield { name, text: await readFile(join(folder, 'policies', name)) }
  }
}

async function* alteredIn(folder: string): AsyncGenerator<string, void> {
  const manifest = join(folder, 'MANIFEST.sha256')
  if ((await stat(manifest).catch(ifThere)) === null) return
  for await (const line of linesOf(manifest)) {
    const [, digest, name] = /^([0-9a-f]{64}) {2}([\w./-]+)$/.exec(line.toString()) ?? []
    if (digest === undefined || name === undefined || name.split('/').includes('..')) {
      yield 'MANIFEST.sha256'
    } else if ((await digestOf(join(folder, name))) !== digest) {
      yield name
    }
  }
}

async function digestOf(path: string): Promise<string | null> {
  if ((await stat(path).catch(ifThere)) === null) return null
  const digest = createHash('sha256')
  for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer)
  return digest.digest('hex')
}

/** Yields lines as bytes, without their line feeds: decoded, broken bytes would all look alike. */
async function* linesOf(path: string): AsyncGenerator<Buffer, void> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path)) {
    rest = Buffer.concat([rest, chunk as Buffer])
    let from = 0
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, from)) {
      yield rest.subarray(from, end)
      from = end + 1
    }
    rest = rest.subarray(from)
    if (rest.length > 2 * MAX_BODY_BYTES) {
      throw new ConfigError(`${path} has a line that is longer than any of a journal`, {
        remedy: 'this is no file of an export',
      })
    }
  }
  if (rest.length > 0) yield rest
}

async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(ifThere)
}

/** Null for what is not there; every other failure goes on. */
function ifThere(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
  throw error
}
