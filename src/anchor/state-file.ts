/** A small file that is replaced as a whole: after a crash it is the old one or the new one. */
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from '../base/errors.ts'

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

function unusable(path: string, what: string, error: unknown): ConfigError {
  return new ConfigError(`${path} could not be ${what} (${codeOf(error)})`, {
    cause: error,
    remedy: 'give the user that retentiond runs as the right to the file and its folder',
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}
