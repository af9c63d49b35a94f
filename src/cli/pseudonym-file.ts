import { open } from 'node:fs/promises'
import { ConfigError } from '../base/errors.ts'
import { PseudonymKey } from '../policy/pseudonym-key.ts'

/** Reads a pseudonym key: 64 hexadecimal digits in a file that only its owner may read. */
export async function readPseudonymKey(path: string): Promise<PseudonymKey> {
  await using file = await open(path, 'r').catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError(`pseudonym key file ${path} cannot be read (${code})`, {
      cause: error,
      remedy: `make one with: openssl rand -hex 32 > ${path}`,
    })
  })
  // The rights of the file that was opened: asking by name again could meet another one.
  const status = await file.stat()
  if (!status.isFile()) {
    throw new ConfigError(`pseudonym key file ${path} is no plain file`, {
      remedy: `make one with: openssl rand -hex 32 > ${path}`,
    })
  }
  if ((status.mode & 0o077) !== 0) {
    throw new ConfigError(`pseudonym key file ${path} can be read by its group or by others`, {
      remedy: `run: chmod 600 ${path}`,
    })
  }
  const text = (await file.readFile('utf8')).trim()
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    throw new ConfigError(`pseudonym key file ${path} does not hold 64 hexadecimal digits`, {
      remedy: `make one with: openssl rand -hex 32 > ${path}`,
    })
  }
  return new PseudonymKey(Buffer.from(text, 'hex'))
}
