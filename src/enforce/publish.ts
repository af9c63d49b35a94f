/** Signs heads while a run is at work, so that what it did is soon known outside the database. */
import { setTimeout as pause } from 'node:timers/promises'
import { AnchorLagError, EXIT, RetentionError, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Checkpointer } from '../journal/checkpointer.ts'

type Tools = {
  readonly checkpointer?: Checkpointer | undefined
  readonly log: Log
  readonly signal: AbortSignal
}

const BETWEEN_MS = 10_000

/** What a run gave, and what stopped it when its journal was signed; null if that was in order. */
export type Published<T> = { readonly result: T; readonly unsound: RetentionError | null }

/**
 * Runs `work`, and signs the journal every ten seconds and when it has ended. A journal that cannot
 * be signed because it is not sound stops the work between batches, and so does one that nothing outside
 * the database has known for too long. One that cannot be signed now, because a connection was lost,
 * is signed later.
 */
export async function publishing<T>(
  { checkpointer, log, signal }: Tools,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<Published<T>> {
  if (checkpointer === undefined) return { result: await work(signal), unsound: null }
  const over = new AbortController()
  const stop = new AbortController()
  const signing = signUntil(over.signal, async () => {
    const unsound = (await trySigning(checkpointer, log)) ?? (await anchorless(checkpointer, log))
    if (unsound !== null) stop.abort()
    return unsound
  })
  try {
    const result = await work(AbortSignal.any([signal, stop.signal]))
    over.abort()
    return { result, unsound: (await signing) ?? (await trySigning(checkpointer, log)) }
  } finally {
    over.abort()
    await signing
  }
}

async function signUntil(
  over: AbortSignal,
  sign: () => Promise<RetentionError | null>,
): Promise<RetentionError | null> {
  while (!over.aborted) {
    await pause(BETWEEN_MS, undefined, { signal: over, ref: false }).catch(() => {
      // Aborted: the run has ended.
    })
    if (over.aborted) return null
    const unsound = await sign()
    if (unsound !== null) return unsound
  }
  return null
}

/** The error that says that the journal is not sound; null if it was signed, or can be later. */
async function trySigning(checkpointer: Checkpointer, log: Log): Promise<RetentionError | null> {
  try {
    await checkpointer.sign()
    return null
  } catch (error) {
    if (error instanceof RetentionError && error.exit === EXIT.journalUnsound) return error
    log.warn({ err: tell(error) }, 'no checkpoint could be signed')
    return null
  }
}

/** The error that says that nothing outside has known the journal for too long; null if all is well. */
async function anchorless(checkpointer: Checkpointer, log: Log): Promise<RetentionError | null> {
  try {
    await checkpointer.requireAnchored()
    return null
  } catch (error) {
    if (error instanceof AnchorLagError) return error
    log.warn({ err: tell(error) }, 'no checkpoint could be signed')
    return null
  }
}
