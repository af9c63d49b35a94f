/** What was kept of a journal elsewhere: the folder of a sink, a copy of its bucket, or an export. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import { leafHash } from '../journal/merkle.ts'
import { openExport } from '../journal/read-export.ts'
import type { StoredEntry } from '../journal/reader.ts'
import { numbered } from './sink.ts'

export interface Archive {
  /** Entries from `from` on, in order, each with its tokens or null. */
  entries(from: number): AsyncIterable<StoredEntry>
  /** The notes of all checkpoints, from the smallest on. */
  notes(): Promise<readonly string[]>
}

type Segment = { readonly name: string; readonly from: number; readonly to: number }

/** Opens a folder; it may hold what a sink was given, or an export. */
export async function openArchive(folder: string): Promise<Archive> {
  const names = await namesIn(folder)
  if (names.includes('segments')) {
    const segments = segmentsOf(await namesIn(join(folder, 'segments')))
    return { entries: (from) => bySegments(folder, segments, from), notes: notesIn(folder) }
  }
  const exported = await openExport(folder)
  return {
    entries: async function* entries(from) {
      for await (const entry of exported.entries('read')) {
        if (entry.seq >= from && entry.archived !== true) yield entry
      }
    },
    notes: notesIn(folder),
  }
}

function notesIn(folder: string): () => Promise<readonly string[]> {
  return async () => {
    const names = (await namesIn(join(folder, 'checkpoints'))).filter((name) => /^\d+$/.test(name))
    return Promise.all(
      names.toSorted().map(async (name) => readFile(join(folder, 'checkpoints', name), 'utf8')),
    )
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new ConfigError(`the archive ${folder} could not be read (${code})`, {
      cause: error,
      remedy: 'name the folder of a file sink, a copy of a bucket, or an export',
    })
  }
}

/** In the order of their first entries; the longest of those that begin together comes first. */
function segmentsOf(names: readonly string[]): readonly Segment[] {
  return names
    .flatMap((name) => {
      const [, from, to] = /^(\d{12})-(\d{12})\.jsonl$/.exec(name) ?? []
      return from === undefined ? [] : [{ name, from: Number(from), to: Number(to) }]
    })
    .toSorted((one, other) => one.from - other.from || other.to - one.to)
}

/** Segments may overlap: a sink may have been given the same entries twice. */
async function* bySegments(
  folder: string,
  segments: readonly Segment[],
  from: number,
): AsyncGenerator<StoredEntry, void> {
  let next = from
  for (const segment of segments) {
    if (segment.from > next) return
    if (segment.to <= next) continue
    for (const entry of await readSegment(folder, segment)) {
      if (entry.seq < next) continue
      yield { ...entry, tokens: await tokensOf(folder, entry.seq) }
      next = entry.seq + 1
    }
  }
}

async function readSegment(
  folder: string,
  { name, from }: Segment,
): Promise<readonly StoredEntry[]> {
  const path = join(folder, 'segments', name)
  const bodies = linesOf(await readFile(path))
  const signatures = linesOf(await readFile(path.replace(/\.jsonl$/, '.signatures.txt')))
  return bodies.map((body, at) => {
    const [seq = '', sig = ''] = (signatures[at]?.toString() ?? '').split(' ')
    // What is no signature is one that nobody made, which whoever follows the entries then says.
    const signature = seq === String(from + at) ? Buffer.from(sig, 'base64') : Buffer.alloc(0)
    return { seq: from + at, body, sig: signature, leafHash: leafHash(body) }
  })
}

function linesOf(bytes: Buffer): readonly Buffer[] {
  const lines: Buffer[] = []
  for (let from = 0; from < bytes.length;) {
    const end = bytes.indexOf(10, from)
    const stop = end < 0 ? bytes.length : end
    lines.push(bytes.subarray(from, stop))
    from = stop + 1
  }
  return lines
}

async function tokensOf(folder: string, seq: number): Promise<Buffer | null> {
  try {
    return await readFile(join(folder, 'evidence', `${numbered(seq)}.bin`))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
