import { readFile } from 'node:fs/promises'
import { parseTrust, type Trust } from '../journal/trust.ts'
import { fileError } from './context.ts'
import { MalformedError } from './inconclusive.ts'

/** Reads a trust file; a wrong one is no word about the journal. */
export async function readTrust(path: string): Promise<Trust> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(path, 'read', error)
  })
  const read = parseTrust(text)
  if (read.fault === undefined) return read.trust
  throw new MalformedError(`${path} is no trust file: ${read.fault}`, {
    remedy: 'write lines as: log VERIFIER_KEY',
  })
}
