/** Checkpoints and segments as files of a folder that only grows: another disk, a WORM share, a synced folder. */
import { mkdir, open, readdir, readFile, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SinkError } from '../base/errors.ts'
import { parseNote } from '../journal/note.ts'
import { contradiction, filesOf, isSame, type Kept, type Sink } from './sink.ts'

export type FileSinkOptions = {
  readonly name: string
  readonly required: boolean
  readonly folder: string
  /** Keep the tokens of batches too, so that a restored journal gets them back. */
  readonly evidence: boolean
}

export function fileSink({ name, required, folder, evidence }: FileSinkOptions): Sink {
  return {
    name,
    required,
    accept: async (head, from, journal) =>
      telling(name, async () => {
        for await (const kept of filesOf(head, from, journal, evidence)) {
          await keep(name, folder, kept)
        }
        return { receipt: null }
      }),
    newest: async () => telling(name, async () => newestIn(join(folder, 'checkpoints'))),
  }
}

/**
 * Writes a file that was not there; when this returns, file and folder are on the disk. One that a
 * crash cut short is completed: appending is all that a folder with `chattr +a` allows.
 */
async function keep(sink: string, folder: string, { key, bytes }: Kept): Promise<void> {
  const path = join(folder, key)
  await mkdir(dirname(path), { recursive: true })
  const there = await openNew(path)
  if (there === null) {
    const found = await readFile(path)
    if (!isSame(key, found, bytes)) {
      if (!bytes.subarray(0, found.length).equals(found)) throw contradiction(sink, key)
      await using file = await open(path, 'a')
      await putDown(file, bytes.subarray(found.length))
    }
  } else {
    await using file = there
    await putDown(file, bytes)
  }
  for (const each of [dirname(path), folder]) {
    await using parent = await open(each, 'r')
    await parent.sync()
  }
}

async function putDown(file: FileHandle, bytes: Uint8Array): Promise<void> {
  await file.writeFile(bytes)
  await file.sync()
}

/** Null if the file is there. */
async function openNew(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'wx', 0o640)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return null
    throw error
  }
}

/** A checkpoint that a crash cut short says nothing yet. */
async function newestIn(folder: string): Promise<string | null> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  })
  for (const name of names
    .filter((each) => /^\d{12}$/.test(each))
    .toSorted()
    .toReversed()) {
    const note = await readFile(join(folder, name), 'utf8')
    if (parseNote(note) !== null) return note
  }
  return null
}

async function telling<T>(sink: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = codeOf(error)
    if (!/^E[A-Z0-9]+$/.test(code)) throw error
    throw new SinkError(`sink ${sink} could not be written or read (${code})`, {
      cause: error,
      remedy: 'check the folder, its rights and its space',
    })
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
