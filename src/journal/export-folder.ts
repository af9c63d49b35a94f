/** Writes files that were not there before, and a manifest of them. */
import { createHash, type Hash as Digest } from 'node:crypto'
import { mkdir, open, readdir, rename, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ConfigError } from '../base/errors.ts'

const MANIFEST = 'MANIFEST.sha256'
/** Written to the disk at once. */
const CHUNK_BYTES = 64 * 1024

/** A file that is being written from its beginning to its end. */
export class GrowingFile {
  readonly name: string
  readonly #file: FileHandle
  readonly #digest: Digest = createHash('sha256')
  #pending: Buffer[] = []
  #bytes = 0

  constructor(name: string, file: FileHandle) {
    this.name = name
    this.#file = file
  }

  async add(...parts: readonly (Uint8Array | string)[]): Promise<void> {
    for (const part of parts) {
      const bytes = Buffer.from(part)
      this.#pending.push(bytes)
      this.#bytes += bytes.length
    }
    if (this.#bytes >= CHUNK_BYTES) await this.#write()
  }

  /** Puts everything on the disk and returns the digest of it. */
  async end(): Promise<string> {
    await this.#write()
    await this.#file.sync()
    await this.close()
    return this.#digest.digest('hex')
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #write(): Promise<void> {
    const bytes = Buffer.concat(this.#pending)
    this.#digest.update(bytes)
    await this.#file.writeFile(bytes)
    this.#pending = []
    this.#bytes = 0
  }
}

/** A folder that was empty. It has a manifest once it is whole, and not before. */
export class ExportFolder implements AsyncDisposable {
  readonly #path: string
  readonly #open = new Set<GrowingFile>()
  readonly #manifest: FileHandle

  constructor(path: string, manifest: FileHandle) {
    this.#path = path
    this.#manifest = manifest
  }

  async begin(name: string): Promise<GrowingFile> {
    const path = join(this.#path, name)
    await mkdir(dirname(path), { recursive: true })
    const file = new GrowingFile(name, await open(path, 'wx'))
    this.#open.add(file)
    return file
  }

  async end(file: GrowingFile): Promise<void> {
    this.#open.delete(file)
    await this.#manifest.writeFile(`${await file.end()}  ${file.name}\n`)
  }

  async write(name: string, content: Uint8Array | string): Promise<void> {
    const file = await this.begin(name)
    await file.add(content)
    await this.end(file)
  }

  /** Says that nothing is missing. */
  async complete(): Promise<void> {
    await this.#manifest.sync()
    await rename(join(this.#path, `${MANIFEST}.partial`), join(this.#path, MANIFEST))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#open) await file.close()
    await this.#manifest.close()
  }
}

/** Opens a folder in which nothing is: an export is never written over another. */
export async function openExportFolder(path: string): Promise<ExportFolder> {
  try {
    await mkdir(path, { recursive: true })
    const there = await readdir(path)
    if (there.length > 0) {
      throw new ConfigError(`${path} is not empty`, {
        remedy: 'name a folder that does not exist yet: an export is never written over another',
      })
    }
    return new ExportFolder(path, await open(join(path, `${MANIFEST}.partial`), 'wx'))
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError(`${path} could not be written (${code})`, {
      cause: error,
      remedy: 'check the path and its rights',
    })
  }
}
