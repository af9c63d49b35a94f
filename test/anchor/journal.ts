/** A journal in memory that grows, with heads signed over it: what sinks are given. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { JournalSource } from '../../src/anchor/sink.ts'
import { signCheckpoint } from '../../src/journal/checkpoint.ts'
import type { SignedHead } from '../../src/journal/checkpointer.ts'
import { nodesOf, proveConsistency } from '../../src/journal/merkle.ts'
import { noteSignerOf, parseVerifierKey, type VerifierKey } from '../../src/journal/note.ts'
import type { StoredEntry } from '../../src/journal/reader.ts'
import {
  batch,
  genesis,
  headOf,
  journalOf,
  ORIGIN,
  OTHER_PEM,
  policy,
  runStart,
} from '../journal/builders.ts'

export const checkpointSigner = signerOfPem(OTHER_PEM)

function signerOfPem(pem: string) {
  const signer = noteSignerOf(pem)
  if (signer === null) throw new Error('no key')
  return signer
}

export function logKey(origin = ORIGIN): VerifierKey {
  const key = parseVerifierKey(checkpointSigner.vkey(origin))
  if (key === null) throw new Error('no key')
  return key
}

/** Entries of one journal; another `rows` makes a fork of it from entry 3 on. */
export function entriesOf(size: number, rows = 100): readonly StoredEntry[] {
  const batches = Array.from({ length: Math.max(size - 3, 0) }, () => batch({ rows }))
  return journalOf([genesis(), policy, runStart, ...batches].slice(0, size))
}

export function signed(entries: readonly StoredEntry[], size = entries.length): SignedHead {
  const head = headOf(entries.slice(0, size))
  return { ...head, origin: ORIGIN, note: signCheckpoint(checkpointSigner, ORIGIN, head) }
}

export function sourceOf(entries: readonly StoredEntry[]): JournalSource {
  const nodes = nodesOf(entries.map(({ leafHash }) => leafHash))
  return {
    entries: async function* list(from, to) {
      yield* entries.slice(from, to)
    },
    consistency: async (from, to) => proveConsistency(nodes, from, to),
    size: async () => entries.length,
  }
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-anchor-'))
  onTestFinished(async () => rm(folder, { recursive: true, force: true }))
  return folder
}
