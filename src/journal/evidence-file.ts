import { randomBytes } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { ConfigError } from '../base/errors.ts'
import { EvidenceKey } from './evidence.ts'

const ID = /^[a-z0-9][a-z0-9.-]{0,62}$/

/** Makes an evidence key and writes it where nothing was; when this returns, it is on the disk. */
export async function generateEvidenceFile(path: string, id: string): Promise<void> {
  if (!ID.test(id)) {
    throw new ConfigError(`"${id}" cannot name an evidence key`, {
      remedy: 'use small letters, digits, points and hyphens: ek-2026',
    })
  }
  await using file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw unusable(path, error, 'choose a path where nothing is: a key is never overwritten')
  })
  await file.writeFile(`${id} ${randomBytes(32).toString('hex')}\n`)
  await file.sync()
}

/** Reads an evidence key: its id and 64 hexadecimal digits, in a file that only its owner may read. */
export async function readEvidenceFile(path: string): Promise<EvidenceKey> {
  await using file = await open(path, 'r').catch((error: unknown) => {
    throw unusable(path, error, `make one with: retentiond keygen --evidence ek-2026 ${path}`)
  })
  // The rights of the file that was opened: asking by name again could meet another one.
  const status = await file.stat()
  if (!status.isFile() || (status.mode & 0o077) !== 0) {
    throw new ConfigError(
      `evidence key file ${path} is no plain file that its owner alone may read`,
      { remedy: `run: chmod 600 ${path}` },
    )
  }
  const [, id, secret] =
    /^([a-z0-9][a-z0-9.-]{0,62}) ([0-9a-f]{64})\n?$/.exec(await file.readFile('utf8')) ?? []
  if (id === undefined || secret === undefined) {
    throw new ConfigError(`evidence key file ${path} holds no id with 64 hexadecimal digits`, {
      remedy: `make one with: retentiond keygen --evidence ek-2026 ${path}`,
    })
  }
  return new EvidenceKey(id, Buffer.from(secret, 'hex'))
}

/** Writes over a key file and removes it. Copies elsewhere are for people to find. */
export async function destroyEvidenceFile(path: string): Promise<void> {
  const file = await open(path, 'r+').catch((error: unknown) => {
    throw unusable(path, error, 'name the file of the key, or leave it out if it is gone already')
  })
  try {
    const { size } = await file.stat()
    await file.write(randomBytes(size), 0, size, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await rm(path)
}

function unusable(path: string, error: unknown, remedy: string): ConfigError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  return new ConfigError(`evidence key file ${path} cannot be used (${code})`, {
    cause: error,
    remedy,
  })
}
