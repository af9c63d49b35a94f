/**
 * Checkpoints of C2SP: a signed note that states origin, size and root of the journal. It is what
 * leaves the database, so that somebody else can tell later whether the past was rewritten.
 */
import type { TreeHead } from './merkle.ts'
import { openNote, printNote, type NoteSigned, type NoteSigner, type VerifierKey } from './note.ts'

export type Checkpoint = TreeHead & {
  readonly origin: string
  /** Lines after the third. We write none; those of others are read and not believed. */
  readonly extensions: readonly string[]
}

/** A checkpoint whose signatures hold, or what is wrong with it. */
export type OpenedCheckpoint =
  | {
      readonly checkpoint: Checkpoint
      readonly signed: readonly NoteSigned[]
      readonly fault?: undefined
    }
  | { readonly fault: 'malformed' | 'unknown' | 'forged' }

/** Prints what is signed: three lines, each with a line feed. */
export function printCheckpoint(origin: string, { size, root }: TreeHead): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

/**
 * Signs size and root: the note that is published. The name of the key is the origin. After a
 * rotation the key before signs too, so that whoever knows only that one can go on.
 */
export function signCheckpoint(
  signer: NoteSigner,
  origin: string,
  head: TreeHead,
  formerly?: NoteSigner,
): string {
  const text = printCheckpoint(origin, head)
  const signers = formerly === undefined ? [signer] : [formerly, signer]
  return printNote({
    text,
    signatures: signers.map((each) => {
      return { name: origin, bytes: each.sign(origin, Buffer.from(text)) }
    }),
  })
}

/** Reads the text of a checkpoint in its only spelling, or gives null. */
export function parseCheckpoint(text: string): Checkpoint | null {
  if (!text.endsWith('\n')) return null
  const [origin = '', size = '', root = '', ...extensions] = text.slice(0, -1).split('\n')
  const bytes = Buffer.from(root, 'base64')
  const sound =
    origin !== '' &&
    /^(0|[1-9]\d*)$/.test(size) &&
    Number.isSafeInteger(Number(size)) &&
    bytes.length === 32 &&
    bytes.toString('base64') === root &&
    extensions.every((line) => line !== '')
  return sound ? { origin, size: Number(size), root: bytes, extensions } : null
}

/**
 * Reads a checkpoint that one of these keys signed. A witness alone is not enough: a key of the log
 * itself, whose name is the origin, must be among those that signed.
 */
export function openCheckpoint(note: string, keys: readonly VerifierKey[]): OpenedCheckpoint {
  const opened = openNote(note, keys)
  if (opened.fault !== undefined) return opened
  const checkpoint = parseCheckpoint(opened.text)
  if (checkpoint === null) return { fault: 'malformed' }
  const byLog = opened.signed.some(
    ({ key }) => key.name === checkpoint.origin && key.algorithm === 'ed25519',
  )
  return byLog ? { checkpoint, signed: opened.signed } : { fault: 'unknown' }
}
