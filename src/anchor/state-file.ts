/** A small file that is replaced as a whole: after a crash it is the old one or the new one. */
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import { parseTreeHead, printTreeHead, type TreeHead } from '../journal/merkle.ts'

/** Replaces the file; when this returns, the new content is on the disk. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const next = `${path}.next`
  try {
    {
      await using file = await open(next, 'w', 0o600)
      await file.writeFile(text)
      await file.sync()
    }
    await rename(next, path)
    await using folder = await open(dirname(path), 'r')
    await folder.sync()
  } catch (error) {
    throw unusable(path, 'written', error)
  }
}

/** Null if there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw unusable(path, 'read', error)
  }
}

/** What the state file knows: how far a journal went, the last time that we knew it to be ours. */
export type Remembered = TreeHead & { readonly origin: string }

/** Reads what is remembered; null if there is no file. */
export async function readState(path: string): Promise<Remembered | null> {
  const text = await readIfThere(path)
  if (text === null) return null
  const [, origin = '', printed = ''] = /^([^\s+]+)\n(\S+)\n$/.exec(text) ?? []
  const head = parseTreeHead(printed)
  if (head !== null) return { origin, ...head }
  throw new ConfigError(`${path} is no state of a journal`, {
    remedy: 'name the file that retentiond wrote, or one that is not there yet',
  })
}

/** Remembers the journal; when this returns, it is on the disk. The caller has compared it with what was remembered. */
export async function writeState(path: string, { origin, ...head }: Remembered): Promise<void> {
  const text = `${origin}\n${printTreeHead(head)}\n`
  const before = await readIfThere(path)
  if (before !== text) await replaceFile(path, text)
}

function unusable(path: string, what: string, error: unknown): ConfigError {
  return new ConfigError(`${path} could not be ${what} (${codeOf(error)})`, {
    cause: error,
    remedy: 'give the user that retentiond runs as the right to the file and its folder',
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}
