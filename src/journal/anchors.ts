/** Reads checkpoints from where somebody kept them: a folder, a file, or a page of the web. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import type { KeptNote } from './verify-heads.ts'

/** More than a note with a hundred signatures. */
const MOST_BYTES = 65_536
const WAIT_MS = 30_000

/**
 * The checkpoints that are kept at a place. A folder is one of notes, or has them in `checkpoints/`, as
 * the file sink and an export do.
 */
export async function readAnchors(place: string): Promise<readonly KeptNote[]> {
  if (/^https?:\/\//.test(place)) return [{ name: place, note: await fetchNote(place) }]
  try {
    if (!(await stat(place)).isDirectory()) {
      return [{ name: basename(place), note: await readFile(place, 'utf8') }]
    }
    return await readFolder(await folderOf(place))
  } catch (error) {
    throw unreadable(place, error)
  }
}

async function folderOf(place: string): Promise<string> {
  const inside = join(place, 'checkpoints')
  const there = await stat(inside).catch(() => null)
  return there?.isDirectory() === true ? inside : place
}

async function readFolder(folder: string): Promise<readonly KeptNote[]> {
  const notes: KeptNote[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    // A sink that is writing has a name that begins with a point.
    if (!entry.isFile() || entry.name.startsWith('.')) continue
    notes.push({ name: entry.name, note: await readFile(join(folder, entry.name), 'utf8') })
  }
  return notes
}

async function fetchNote(url: string): Promise<string> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(WAIT_MS) })
    const text = answer.ok ? await answer.text() : ''
    if (answer.ok && text.length <= MOST_BYTES) return text
    const why = answer.ok ? 'longer than any checkpoint' : `status ${answer.status}`
    throw new ConfigError(`${url} gave no checkpoint (${why})`, { remedy: 'check the address' })
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw unreadable(url, error)
  }
}

function unreadable(place: string, error: unknown): ConfigError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no answer'
  return new ConfigError(`the checkpoints at ${place} could not be read (${code})`, {
    cause: error,
    remedy: 'name a folder, a file or an address with checkpoints, and check that it can be read',
  })
}
