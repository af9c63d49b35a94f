import { open, readFile } from 'node:fs/promises'
import { parseProof, type Proof } from '../journal/proof.ts'
import { fileError } from './context.ts'
import { MalformedError } from './inconclusive.ts'

/** Reads the proof of a row; what it is worth, `checkProof` says. */
export async function readProof(path: string): Promise<Proof> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(path, 'read', error)
  })
  const proof = parseProof(text)
  if (proof !== null) return proof
  throw new MalformedError(`${path} is no proof, or not as journal prove spells it`)
}

/** Writes a file where nothing was, for its owner alone: it may name a row. */
export async function writeNew(path: string, text: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(text)
  } catch (error) {
    throw fileError(path, 'write', error)
  }
}
