import { generateKeyPairSync } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../base/errors.ts'
import { cosignerOf, noteSignerOf, type Cosigner, type NoteSigner } from './note.ts'
import { signerOf, type Signer } from './signature.ts'

/**
 * Makes an entry key and writes it where nothing was: a key that is overwritten can never again
 * sign the journal that it began. When this returns, the file is on the disk.
 */
export async function generateKeyFile(path: string): Promise<void> {
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  await using file = await openFile(path, 'wx')
  await file.writeFile(pem)
  await file.sync()
}

/** Reads the entry key; refuses one that others on this host could read. */
export async function readKeyFile(path: string): Promise<Signer> {
  return requireKey('entry', path, signerOf(await readSecretFile('entry', path)))
}

/** Reads the checkpoint key, under the same conditions. */
export async function readCheckpointKeyFile(path: string): Promise<NoteSigner> {
  return requireKey('checkpoint', path, noteSignerOf(await readSecretFile('checkpoint', path)))
}

/** Reads the key of a witness, under the same conditions. */
export async function readWitnessKeyFile(path: string): Promise<Cosigner> {
  return requireKey('witness', path, cosignerOf(await readSecretFile('witness', path)))
}

/** Which key a file holds, for messages. */
type KeyName = 'entry' | 'checkpoint' | 'witness' | 'S3'

function requireKey<T>(name: KeyName, path: string, key: T | null): T {
  if (key !== null) return key
  throw new ConfigError(`${name} key file ${path} holds no Ed25519 key in PKCS#8 PEM`, {
    remedy: `name the file that retentiond keygen made, or run: retentiond keygen ${path}`,
  })
}

/** Reads one line that is a secret of a sink, under the same conditions. */
export async function readSecretLine(path: string): Promise<string> {
  return (await readSecretFile('S3', path)).trim()
}

async function readSecretFile(name: KeyName, path: string): Promise<string> {
  await using file = await openFile(path, 'r', name)
  // The rights of the file that was opened: asking by name again could meet another one.
  const status = await file.stat()
  if (status.isDirectory()) throw isFolder(path, name)
  if ((status.mode & 0o077) !== 0) {
    throw new ConfigError(`${name} key file ${path} can be read by its group or by others`, {
      remedy: `run: chmod 600 ${path}`,
    })
  }
  return await file.readFile('utf8')
}

async function openFile(path: string, flags: 'wx' | 'r', name: KeyName = 'entry') {
  try {
    return await open(path, flags, 0o600)
  } catch (error) {
    throw explain(path, name, error)
  }
}

function explain(path: string, name: KeyName, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'EEXIST':
      return new ConfigError(`${name} key file ${path} is there already`, {
        cause: error,
        remedy: 'choose another path: the key that began a journal cannot be made again',
      })
    case 'ENOENT':
      return new ConfigError(`${name} key file ${path} does not exist, or its folder does not`, {
        cause: error,
        remedy: `make the folder if it is missing, then run: retentiond keygen ${path}`,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new ConfigError(`${name} key file ${path} cannot be opened (${code})`, {
        cause: error,
        remedy: 'give the user that retentiond runs as the right to it',
      })
    case 'EISDIR':
      return isFolder(path, name)
    default:
      return error
  }
}

function isFolder(path: string, name: KeyName): ConfigError {
  return new ConfigError(`${name} key file ${path} is a folder`, {
    remedy: `run: retentiond keygen ${join(path, `${name}.key`)}`,
  })
}
